// SPDX-License-Identifier: BSD-2-Clause
#include "attributes.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace wherry::filesystem {

namespace {

constexpr mode_t mode_mask = 0777;  // no set-user-id, set-group-id or sticky bit from a peer

// Some file systems have no permission bits or times to set; what was sent is stored nevertheless.
bool is_beyond_file_system(int code) noexcept { return code == EPERM || code == EOPNOTSUPP || code == EINVAL; }

}  // namespace

mode_t mode_for(const folder_tree& tree, mode_t offered, mode_t always) noexcept {
    return (offered & mode_mask & ~tree.masked()) | always;
}

void set_attributes(const folder_tree& tree, int fd, const offer& what, mode_t always, const std::string& attempt) {
    if (what.mode && ::fchmod(fd, mode_for(tree, *what.mode, always)) != 0 && !is_beyond_file_system(errno))
        tree.fail(attempt, errno);
    if (!what.mtime) return;
    const timespec written{static_cast<time_t>(what.mtime->seconds), static_cast<long>(what.mtime->nanoseconds)};
    const std::array<timespec, 2> times = {{{0, UTIME_OMIT}, written}};
    if (::futimens(fd, times.data()) != 0 && !is_beyond_file_system(errno)) tree.fail(attempt, errno);
}

void set_group(const folder_tree& tree, int fd, gid_t group, const std::string& attempt) {
    constexpr auto same_user = static_cast<uid_t>(-1);
    struct stat now {};
    if (::fstat(fd, &now) == 0 && now.st_gid == group) return;
    if (::fchown(fd, same_user, group) != 0 && !is_beyond_file_system(errno)) tree.fail(attempt, errno);
}

}  // namespace wherry::filesystem
