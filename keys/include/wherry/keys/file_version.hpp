// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>

namespace wherry::keys {

// Identifies a version of a file by its inode, size and times, without reading it: a changed file has another one.
struct file_version {
    // Follows symbolic links. Returns file_version() if the file is missing or stat() fails.
    static file_version of(const std::filesystem::path& file) noexcept;

    // Whether the last change was surely before that time. A change soon after another one may leave the version the
    // same, because a file system's clock ticks only some hundred times a second, or every one or two seconds.
    bool changed_before(std::chrono::system_clock::time_point time) const noexcept;

    bool operator==(const file_version&) const = default;

    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t bytes = 0;
    std::chrono::nanoseconds modified{0};  // since the epoch
    std::chrono::nanoseconds changed{0};
};

}  // namespace wherry::keys
