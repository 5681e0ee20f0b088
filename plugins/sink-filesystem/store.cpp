// SPDX-License-Identifier: BSD-2-Clause
#include "store.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <exception>
#include <limits>
#include <utility>
#include <vector>

namespace wherry::filesystem {

namespace {

// For a delivery of little, a disk that had plenty a moment ago is not asked again: what comes in that time is less.
constexpr std::uint64_t little = std::uint64_t{1} << 20;
constexpr std::uint64_t plenty = std::uint64_t{1} << 30;
constexpr std::chrono::milliseconds asked_again_after{50};

// Adds up what the quota counts for the files and folders beneath, but for the partial area of that name. Folders are
// opened by their path, one at a time, for a peer decides how deep they lie.
std::uint64_t bytes_beneath(int root, const std::string& partial_area) {
    std::uint64_t total = 0;
    std::vector<std::string> left = {"."};
    while (!left.empty()) {
        const auto path = std::move(left.back());
        left.pop_back();
        for_each_entry(root, path, [&](int folder, const std::string& name) {
            if (path == "." && name == partial_area) return;
            struct stat now {};
            if (::fstatat(folder, name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) return;
            total += entry_bytes;
            if (S_ISDIR(now.st_mode)) left.push_back(path == "." ? name : path + "/" + name);
            if (S_ISREG(now.st_mode)) total += static_cast<std::uint64_t>(now.st_size);
        });
    }
    return total;
}

}  // namespace

store::store(const options& chosen, std::function<void(const std::string&)> warn)
    : settings(chosen),
      tree(chosen.directory, chosen.sync),
      partials(tree, chosen.partial_lifetime),
      ledger(chosen.quota, tree.shown(), [this](const auto& under_way) { return stored_bytes(under_way); }),
      warn_(std::move(warn)) {
    if (!partials.has_locks())
        warn_(
            "the file system has no locks, so that no part of a cut file is kept and nothing is remembered; what a "
            "killed receiver leaves in the partial area is to be removed by hand");
    else if (chosen.sync == durability::synced)
        journal.emplace(tree, partials, chosen.partial_lifetime, warn_);
}

void store::tell_once(std::atomic<bool>& is_told, const char* text) noexcept {
    if (is_told.exchange(true)) return;
    try {
        warn_(text);
    } catch (const std::exception&) {
        // Out of memory.
    }
}

void store::tell_no_exclusive_rename() noexcept {
    tell_once(is_exclusive_told_,
              "the file system can neither rename without replacing nor make hard links, so that a file that another "
              "program gives the name of one that arrives, at the same moment, is replaced");
}

void store::tell_no_exchange() noexcept {
    tell_once(is_exchange_told_,
              "the file system cannot exchange two files, so that a file that was replaced does not come back if its "
              "successor cannot be synced");
}

std::uint64_t store::free_bytes_for(std::uint64_t needed) {
    const auto now = std::chrono::steady_clock::now();
    if (needed <= little && now < free_until_.load()) return free_;
    const auto free = tree.free_bytes().value_or(std::numeric_limits<std::int64_t>::max());
    const bool is_plenty = free / 2 >= plenty + expected;
    free_ = free;
    free_until_ = is_plenty ? now + asked_again_after : now;
    return free;
}

std::uint64_t store::stored_bytes(const std::multiset<std::string>& under_way) {
    return bytes_beneath(tree.root(), partials.name()) + partials.kept_bytes(under_way);
}

}  // namespace wherry::filesystem
