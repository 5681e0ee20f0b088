// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/keys/file_version.hpp"

#include <sys/stat.h>

namespace wherry::keys {

namespace {

std::chrono::nanoseconds since_epoch(const timespec& time) noexcept {
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

file_version file_version::of(const std::filesystem::path& file) noexcept {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0) return {};
    return {status.st_dev, status.st_ino, status.st_size, since_epoch(status.st_mtim), since_epoch(status.st_ctim)};
}

bool file_version::changed_before(std::chrono::system_clock::time_point time) const noexcept {
    using namespace std::chrono_literals;
    // A time in whole seconds is that of a file system that knows no other, or only every second one (FAT).
    const auto tick = changed % 1s == 0ns ? std::chrono::nanoseconds(2s) : 0ns;
    return changed + tick < time.time_since_epoch();
}

}  // namespace wherry::keys
