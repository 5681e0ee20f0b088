// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "wherry/mutex.hpp"

namespace wherry::filesystem {

// Keeps a sink's folder within its quota: what is stored plus what is promised to deliveries under way never exceeds
// it. What is stored is counted on the disk at the start and again when it seems to be too much, so that room made by
// hand counts, and added up in between.
// Thread-safety: all functions from any thread.
class space_ledger {
public:
    // Tells the bytes on the disk, without the partial files of these names, which deliveries under way account for.
    // A name may occur twice: when a file is in its place, another delivery may use its partial name.
    using counter = std::function<std::uint64_t(const std::multiset<std::string>& under_way)>;

    // A quota of 0 is none, and then nothing is counted. `count` is called under the lock.
    space_ledger(std::uint64_t quota, std::string shown_folder, counter count);

    // A delivery's part of the quota; on destruction it goes back. Must not outlive the ledger.
    class share {
    public:
        share() noexcept = default;
        share(share&& other) noexcept
            : ledger_(std::exchange(other.ledger_, nullptr)),
              bytes_(std::exchange(other.bytes_, 0)),
              partial_(std::move(other.partial_)) {}
        share& operator=(share&&) = delete;
        ~share() { store(0); }

        // Makes it at least that large. Throws error(errc::exhausted) where the quota does not allow it.
        void grow_to(std::uint64_t bytes);
        // The delivery is over, and this much of it stays on the disk.
        void store(std::uint64_t bytes) noexcept;

    private:
        friend class space_ledger;
        share(space_ledger& ledger, std::uint64_t bytes, std::string partial) noexcept
            : ledger_(&ledger), bytes_(bytes), partial_(std::move(partial)) {}

        space_ledger* ledger_ = nullptr;
        std::uint64_t bytes_ = 0;
        std::string partial_;
    };

    // For a delivery that grows in the partial file of that name, of which so much was stored before and becomes part
    // of the share. Throws error(errc::exhausted).
    share reserve(std::uint64_t bytes, std::string partial, std::uint64_t stored_before);

private:
    void take(std::uint64_t bytes) WHERRY_REQUIRES(mutex_);
    void count_again() WHERRY_REQUIRES(mutex_);
    std::uint64_t left() const WHERRY_REQUIRES(mutex_);

    const std::uint64_t quota_;
    const std::string shown_folder_;
    const counter count_;
    mutex mutex_;
    std::uint64_t stored_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::uint64_t promised_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::multiset<std::string> under_way_ WHERRY_GUARDED_BY(mutex_);
    std::chrono::steady_clock::time_point next_count_ WHERRY_GUARDED_BY(mutex_);
};

}  // namespace wherry::filesystem
