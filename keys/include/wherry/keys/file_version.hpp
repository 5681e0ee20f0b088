#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>

namespace wherry::keys {

// Tells whether a file is still the one that it was, by what a change of it changes; nothing of it is read.
struct file_version {
    // Looks at the file behind symbolic links; file_version() if it is not there, or cannot be looked at.
    static file_version of(const std::filesystem::path& file) noexcept;

    // Whether the last change lay before that time. If it did not, a further one may look the same: a file system's
    // clock ticks some hundred times a second.
    bool changed_before(std::chrono::system_clock::time_point time) const noexcept;

    bool operator==(const file_version&) const = default;

    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t bytes = 0;
    std::chrono::nanoseconds modified{0};  // since the epoch
    std::chrono::nanoseconds changed{0};
};

}  // namespace wherry::keys
