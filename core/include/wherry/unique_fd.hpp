// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace wherry {

// Owns a file descriptor.
class unique_fd {
public:
    unique_fd() noexcept = default;
    explicit unique_fd(int fd) noexcept : fd_(fd) {}
    unique_fd(unique_fd&& other) noexcept : fd_(other.release()) {}
    unique_fd& operator=(unique_fd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    ~unique_fd() { reset(); }

    // -1 where there is none.
    int get() const noexcept { return fd_; }
    bool is_open() const noexcept { return fd_ >= 0; }
    int release() noexcept { return std::exchange(fd_, -1); }

    // Closes what it had. Leaves errno alone, so that it may run between a failure and its report.
    void reset(int fd = -1) noexcept {
        const int old = std::exchange(fd_, fd);
        if (old < 0) return;
        const int before = errno;
        ::close(old);  // never retried: Linux has let go of the descriptor even when it says EINTR
        errno = before;
    }

private:
    int fd_ = -1;
};

// Runs a system call again for as long as a signal interrupts it.
template <class Call>
auto uninterrupted(Call&& call) noexcept(noexcept(call())) {
    for (;;) {
        const auto result = call();
        if (result != -1 || errno != EINTR) return result;
    }
}

}  // namespace wherry
