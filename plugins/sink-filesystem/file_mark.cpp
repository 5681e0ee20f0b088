// SPDX-License-Identifier: BSD-2-Clause
#include "file_mark.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

namespace wherry::filesystem {

namespace {

// Where the C library or the system has no statx(), nothing tells when a file was made.
std::optional<file_mark> look_without_birth(int folder, const char* name, int flags) noexcept {
    struct stat now {};
    if (::fstatat(folder, name, &now, flags) != 0 || !S_ISREG(now.st_mode)) return std::nullopt;
    file_mark mark;
    mark.device = now.st_dev;
    mark.inode = now.st_ino;
    mark.size = static_cast<std::uint64_t>(now.st_size);
    mark.modified = {now.st_mtim.tv_sec, static_cast<std::uint32_t>(now.st_mtim.tv_nsec)};
    return mark;
}

std::optional<file_mark> look(int folder, const char* name, int flags) noexcept {
#ifdef STATX_BTIME
    struct statx now {};
    if (::statx(folder, name, flags, STATX_BASIC_STATS | STATX_BTIME, &now) != 0)
        return errno == ENOSYS ? look_without_birth(folder, name, flags) : std::nullopt;
    if (!S_ISREG(now.stx_mode)) return std::nullopt;
    file_mark mark;
    mark.device = makedev(now.stx_dev_major, now.stx_dev_minor);
    mark.inode = now.stx_ino;
    if ((now.stx_mask & STATX_BTIME) != 0) mark.birth = {now.stx_btime.tv_sec, now.stx_btime.tv_nsec};
    mark.size = now.stx_size;
    mark.modified = {now.stx_mtime.tv_sec, now.stx_mtime.tv_nsec};
    return mark;
#else
    return look_without_birth(folder, name, flags);
#endif
}

}  // namespace

std::optional<file_mark> mark_of(int fd) noexcept { return look(fd, "", AT_EMPTY_PATH); }

std::optional<file_mark> mark_of(int folder, const std::string& name) noexcept {
    return look(folder, name.c_str(), AT_SYMLINK_NOFOLLOW);
}

bool is_same_file(const file_mark& one, const file_mark& other) noexcept {
    return one.device == other.device && one.inode == other.inode && one.size == other.size &&
           one.birth == other.birth && (one.birth || one.modified == other.modified);
}

}  // namespace wherry::filesystem
