// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "wherry/mutex.hpp"

namespace wherry::filesystem {

// What the quota counts for each file and folder besides its content: about what a name and an inode take. Without it
// a peer could use up a disk's inodes by empty files.
constexpr std::uint64_t entry_bytes = 4096;

// Keeps a sink's folder within its quota: what is stored plus what is promised to deliveries under way never exceeds
// it. What is stored is counted on the disk at the start and again when it seems to be too much, so that room made by
// hand counts, and added up in between.
// Thread-safety: all functions from any thread.
class space_ledger {
public:
    // Tells the bytes on the disk, those of the entries included, without the partial files of these names, which
    // deliveries under way account for. A name may occur twice: when a file is in its place, another delivery may use
    // its partial name.
    using counter = std::function<std::uint64_t(const std::multiset<std::string>& under_way)>;

    // A quota of 0 is none, and then nothing is counted. `count` is called under the lock.
    space_ledger(std::uint64_t quota, std::string shown_folder, counter count);

    // What the quota counts for a file or folder that is on its way; on destruction it goes back. Must not outlive the
    // ledger.
    class share {
    public:
        share() noexcept = default;
        share(share&& other) noexcept
            : ledger_(std::exchange(other.ledger_, nullptr)),
              bytes_(std::exchange(other.bytes_, 0)),
              partial_(std::move(other.partial_)) {}
        share& operator=(share&&) = delete;
        ~share() { end(0); }

        // Makes it at least that large. Throws error(errc::exhausted) where the quota does not allow it.
        void grow_to(std::uint64_t content_bytes);
        // The delivery is over, and the file or folder stays on the disk with this much content.
        void store(std::uint64_t content_bytes) noexcept;

    private:
        friend class space_ledger;
        share(space_ledger& ledger, std::uint64_t bytes, std::string partial) noexcept
            : ledger_(&ledger), bytes_(bytes), partial_(std::move(partial)) {}
        void end(std::uint64_t stored_bytes) noexcept;

        space_ledger* ledger_ = nullptr;
        std::uint64_t bytes_ = 0;
        std::string partial_;
    };

    // For a file that grows under that name in the partial area, where so much of its content was stored before and
    // becomes part of the share; none if the file is new. Throws error(errc::exhausted).
    share reserve(std::uint64_t content_bytes, std::string partial, std::optional<std::uint64_t> stored_before);
    // For that many folders, at least one. Throws error(errc::exhausted).
    share reserve_folders(std::size_t count) { return reserve((count - 1) * entry_bytes, {}, std::nullopt); }
    bool has_quota() const noexcept { return quota_ != 0; }

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
