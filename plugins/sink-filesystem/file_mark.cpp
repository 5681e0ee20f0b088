// SPDX-License-Identifier: BSD-2-Clause
#include "file_mark.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace wherry::filesystem {

namespace {

std::optional<file_mark> look(int folder, const char* name, int flags) noexcept {
    struct statx now {};
    if (::statx(folder, name, flags, STATX_BASIC_STATS | STATX_BTIME, &now) != 0 || !S_ISREG(now.stx_mode))
        return std::nullopt;
    file_mark mark;
    mark.device = makedev(now.stx_dev_major, now.stx_dev_minor);
    mark.inode = now.stx_ino;
    if ((now.stx_mask & STATX_BTIME) != 0) mark.birth = {now.stx_btime.tv_sec, now.stx_btime.tv_nsec};
    mark.size = now.stx_size;
    mark.modified = {now.stx_mtime.tv_sec, now.stx_mtime.tv_nsec};
    return mark;
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
