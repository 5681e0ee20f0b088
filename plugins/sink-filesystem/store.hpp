// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "folder_tree.hpp"
#include "journal.hpp"
#include "options.hpp"
#include "partial_area.hpp"
#include "space_ledger.hpp"

namespace wherry::filesystem {

// What the deliveries of one sink share. Thread-safety: all members from any thread.
class store {
public:
    // `warn` gets what the receiver's own log should have; from any thread. Throws error if the folder cannot be used.
    store(const options& chosen, std::function<void(const std::string&)> warn);

    // Returns the bytes that the disk has, for a delivery that needs so many of them.
    std::uint64_t free_bytes_for(std::uint64_t needed);

    // Tells the receiver's log once what the file system does not have, and what follows.
    void tell_no_exclusive_rename() noexcept;
    void tell_no_exchange() noexcept;

    const options settings;
    folder_tree tree;
    partial_area partials;
    std::optional<filesystem::journal> journal;  // none where nothing is synced
    space_ledger ledger;
    // The program is ending: what may take long shall fail.
    std::atomic<bool> is_interrupted{false};
    // Bytes that deliveries under way have announced and not yet written; the disk must have room for all of them.
    std::atomic<std::uint64_t> expected{0};

private:
    void tell_once(std::atomic<bool>& is_told, const char* text) noexcept;
    std::uint64_t stored_bytes(const std::multiset<std::string>& under_way);

    const std::function<void(const std::string&)> warn_;
    std::atomic<bool> is_exclusive_told_{false};
    std::atomic<bool> is_exchange_told_{false};
    // What the disk had when it was asked last, and how long that will do.
    std::atomic<std::uint64_t> free_{0};
    std::atomic<std::chrono::steady_clock::time_point> free_until_{};
};

}  // namespace wherry::filesystem
