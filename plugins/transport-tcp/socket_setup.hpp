// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "endpoint.hpp"
#include "tcp_options.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::tcp {

// A socket that never blocks; not open, with errno set, if there is none.
unique_fd open_socket(int family) noexcept;

// Failures are ignored: an option tunes, and a connection without it is better than none.
void set_option(int socket, int level, int name, int value) noexcept;

// The sizes must be known before a socket connects or listens.
void set_buffers(int socket, const options& chosen) noexcept;

// For a socket that is connected.
void tune(int socket, const options& chosen) noexcept;

socket_address local_address(int socket) noexcept;

}  // namespace wherry::tcp
