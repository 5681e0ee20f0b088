// SPDX-License-Identifier: BSD-2-Clause
#include "standard_streams.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "wherry/error.hpp"

namespace wherry::app {

bool open_closed_standard_streams() noexcept {
    // In this order: open() takes the lowest number that is free.
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(stream, F_GETFD) != -1 || errno != EBADF) continue;
        // Opened the wrong way, so that writing or reading fails: else output would seem shown, and input empty.
        if (::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream) return false;
    }
    return true;
}

void require_readable_input(const std::string& purpose) {
    const int flags = ::fcntl(STDIN_FILENO, F_GETFL);
    if (flags != -1 && (flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_WRONLY) return;
    throw error(errc::io, fmt::format("standard input cannot be read {}, for it is closed or open only for writing; "
                                      "redirect a file or a pipe to it",
                                      purpose));
}

}  // namespace wherry::app
