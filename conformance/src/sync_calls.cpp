// SPDX-License-Identifier: BSD-2-Clause
#include "sync_calls.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>

namespace wherry::conformance {

namespace {

struct synced_file {
    std::atomic<dev_t> device;
    std::atomic<ino_t> number;
};

// No lock and no memory of the heap: a call may come from anywhere, a forked process among them.
std::atomic<bool> is_watching{false}, is_all_synced{false};
std::array<synced_file, 1024> files;
std::atomic<std::size_t> file_count{0};

int noted(long result, int fd) noexcept {
    struct stat status {};
    if (result != 0 || !is_watching || ::fstat(fd, &status) != 0) return static_cast<int>(result);
    const auto place = file_count++;
    if (place < files.size()) {
        files[place].device = status.st_dev;
        files[place].number = status.st_ino;
    } else {
        is_all_synced = true;
    }
    return static_cast<int>(result);
}

int noted_for_all(long result) noexcept {
    if (result == 0 && is_watching) is_all_synced = true;
    return static_cast<int>(result);
}

}  // namespace

sync_watch::sync_watch() noexcept {
    file_count = 0;
    is_all_synced = false;
    is_watching = true;
}

sync_watch::~sync_watch() { is_watching = false; }

bool sync_watch::has_any() const noexcept { return is_all_synced || file_count > 0; }

bool sync_watch::has(const std::filesystem::path& file) const noexcept {
    struct stat status {};
    if (is_all_synced) return true;
    if (::stat(file.c_str(), &status) != 0) return false;
    return std::any_of(files.begin(), files.begin() + std::min<std::size_t>(file_count, files.size()),
                       [&](const auto& one) { return one.device == status.st_dev && one.number == status.st_ino; });
}

}  // namespace wherry::conformance

// sync_file_range() is not among them: what it writes may still be lost.
#pragma GCC visibility push(default)
extern "C" {

int fsync(int fd) { return wherry::conformance::noted(::syscall(SYS_fsync, fd), fd); }

int fdatasync(int fd) { return wherry::conformance::noted(::syscall(SYS_fdatasync, fd), fd); }

int syncfs(int fd) noexcept { return wherry::conformance::noted_for_all(::syscall(SYS_syncfs, fd)); }

void sync() noexcept { wherry::conformance::noted_for_all(::syscall(SYS_sync)); }

int msync(void* begin, std::size_t length, int how) {
    const auto result = ::syscall(SYS_msync, begin, length, how);
    return (how & MS_SYNC) != 0 ? wherry::conformance::noted_for_all(result) : static_cast<int>(result);
}
}
#pragma GCC visibility pop
