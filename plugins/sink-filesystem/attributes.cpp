// SPDX-License-Identifier: BSD-2-Clause
#include "attributes.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>

namespace wherry::filesystem {

namespace {

constexpr mode_t mode_mask = 0777;  // no set-user-id, set-group-id or sticky bit from a peer

constexpr std::uint64_t coarsest_seconds = 2;  // of FAT's times

}  // namespace

mode_t mode_for(const folder_tree& tree, mode_t offered) noexcept { return offered & mode_mask & ~tree.masked(); }

bool set_attributes(const folder_tree& tree, int fd, const offer& what, const std::string& attempt) {
    if (what.mode && ::fchmod(fd, mode_for(tree, *what.mode)) != 0 && !is_beyond_file_system(errno))
        tree.fail(attempt, errno);
    return set_time(tree, fd, what, attempt);
}

bool set_time(const folder_tree& tree, int fd, const offer& what, const std::string& attempt) {
    if (!what.mtime) return true;
    const timespec written{static_cast<time_t>(what.mtime->seconds), static_cast<long>(what.mtime->nanoseconds)};
    const auto has_time = [&] {
        struct stat now {};
        // A time beyond the file system's own is set to its first or last. A coarser one is no other time.
        if (::fstat(fd, &now) != 0) return true;
        // Without a sign, for a peer may say any time.
        const auto later = static_cast<std::uint64_t>(now.st_mtim.tv_sec) - static_cast<std::uint64_t>(written.tv_sec);
        return later + coarsest_seconds <= 2 * coarsest_seconds;
    };
    std::array<timespec, 2> times = {{{0, UTIME_OMIT}, written}};
    if (::futimens(fd, times.data()) != 0) {
        if (!is_beyond_file_system(errno)) tree.fail(attempt, errno);
        return false;
    }
    if (has_time()) return true;
    // Some of FUSE's set both times or none, and say nothing.
    ::clock_gettime(CLOCK_REALTIME, &times[0]);
    return ::futimens(fd, times.data()) == 0 && has_time();
}

void set_group(const folder_tree& tree, int fd, gid_t group, const std::string& attempt) {
    constexpr auto same_user = static_cast<uid_t>(-1);
    struct stat now {};
    if (::fstat(fd, &now) == 0 && now.st_gid == group) return;
    if (::fchown(fd, same_user, group) != 0 && !is_beyond_file_system(errno)) tree.fail(attempt, errno);
}

}  // namespace wherry::filesystem
