// SPDX-License-Identifier: BSD-2-Clause
#include "attributes.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

namespace wherry::filesystem {

namespace {

constexpr mode_t mode_mask = 0777;  // no set-user-id, set-group-id or sticky bit from a peer

constexpr time_t coarsest_seconds = 3;  // FAT's times are even seconds

}  // namespace

bool set_attributes(const folder_tree& tree, int fd, const offer& what, mode_t always, const std::string& attempt) {
    if (what.mode && ::fchmod(fd, (*what.mode & mode_mask & ~tree.masked()) | always) != 0 &&
        !is_beyond_file_system(errno))
        tree.fail(attempt, errno);
    if (!what.mtime) return true;
    const timespec written{static_cast<time_t>(what.mtime->seconds), static_cast<long>(what.mtime->nanoseconds)};
    const std::array<timespec, 2> times = {{{0, UTIME_OMIT}, written}};
    if (::futimens(fd, times.data()) != 0) {
        if (!is_beyond_file_system(errno)) tree.fail(attempt, errno);
        return false;
    }
    // A time beyond the file system's own is set to its first or last. A coarser one is no other time.
    struct stat now {};
    return ::fstat(fd, &now) != 0 || std::abs(now.st_mtim.tv_sec - written.tv_sec) < coarsest_seconds;
}

void set_group(const folder_tree& tree, int fd, gid_t group, const std::string& attempt) {
    constexpr auto same_user = static_cast<uid_t>(-1);
    struct stat now {};
    if (::fstat(fd, &now) == 0 && now.st_gid == group) return;
    if (::fchown(fd, same_user, group) != 0 && !is_beyond_file_system(errno)) tree.fail(attempt, errno);
}

}  // namespace wherry::filesystem
