// SPDX-License-Identifier: BSD-2-Clause
#include "socket_setup.hpp"

#include <netinet/tcp.h>

#include <algorithm>
#include <chrono>

namespace wherry::tcp {

using namespace std::chrono_literals;

// What the system holds that it has not sent yet: enough for it never to run dry, and little, for what is given to one
// of several connections can no longer go over another. What is under way it may hold besides, as much as the path
// takes.
constexpr int unsent_bytes = 256 << 10;

void set_option(int socket, int level, int name, int value) noexcept {
    ::setsockopt(socket, level, name, &value, sizeof value);
}

void set_buffers(int socket, const options& chosen) noexcept {
    if (chosen.send_buffer != 0) set_option(socket, SOL_SOCKET, SO_SNDBUF, static_cast<int>(chosen.send_buffer));
    if (chosen.receive_buffer != 0) set_option(socket, SOL_SOCKET, SO_RCVBUF, static_cast<int>(chosen.receive_buffer));
}

void tune(int socket, const options& chosen) noexcept {
    // Records are written whole, so Nagle's algorithm could only hold back the last one.
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent_bytes);
    if (chosen.keepalive == 0ms) return;
    constexpr int probes = 4;
    const auto idle =
        std::max<int>(1, static_cast<int>(std::chrono::ceil<std::chrono::seconds>(chosen.keepalive).count()));
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, std::min(idle, 32767));
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, std::clamp(idle / (2 * probes), 1, 32767));
    set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, probes);
}

unique_fd open_socket(int family) noexcept {
    return unique_fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
}

socket_address local_address(int socket) noexcept {
    socket_address address;
    ::getsockname(socket, address.raw(), &address.length);
    return address;
}

}  // namespace wherry::tcp
