// SPDX-License-Identifier: BSD-2-Clause
#include "rfcomm_socket.hpp"

#include <bluetooth/rfcomm.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <random>

#include "failures.hpp"

namespace wherry::rfcomm {

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

int kernel_level(security level) noexcept {
    switch (level) {
        case security::low: return BT_SECURITY_LOW;
        case security::medium: return BT_SECURITY_MEDIUM;
        case security::high: return BT_SECURITY_HIGH;
    }
    return BT_SECURITY_HIGH;
}

sockaddr_rc as_raw(const bluetooth_address& device, std::uint8_t channel) noexcept {
    sockaddr_rc raw{};
    raw.rc_family = AF_BLUETOOTH;
    raw.rc_bdaddr = device.raw();
    raw.rc_channel = channel;
    return raw;
}

socket_name from_raw(const sockaddr_rc& raw) noexcept { return {bluetooth_address(raw.rc_bdaddr), raw.rc_channel}; }

// Sleeps until then, or until the signal is raised.
void sleep_until(clock::time_point time, const stop_signal& stop) noexcept {
    pollfd raised{stop.descriptor(), POLLIN, 0};
    uninterrupted([&] { return ::poll(&raised, 1, poll_timeout(time)); });
}

// One attempt; the socket is used up.
int attempt(int socket, const bluetooth_address& local, const socket_name& remote, const deadline& until,
            const stop_signal& stop) noexcept {
    if (const int code = bind_to(socket, local, 0)) return code;
    const auto raw = as_raw(remote.device, remote.channel);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&raw), sizeof raw) == 0) return 0;
    if (errno != EINPROGRESS && errno != EAGAIN && errno != EINTR) return errno;

    std::array<pollfd, 2> watched{{{socket, POLLOUT, 0}, {stop.descriptor(), POLLIN, 0}}};
    const int ready = uninterrupted([&] { return ::poll(watched.data(), watched.size(), poll_timeout(until)); });
    if (ready < 0) return errno;
    if (watched[1].revents != 0) return ECANCELED;
    if (ready == 0) return ETIMEDOUT;
    int code = 0;
    socklen_t size = sizeof code;
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size) != 0) return errno;
    if (code == 0 && (watched[0].revents & POLLHUP) != 0) return ECONNRESET;
    return code;
}

}  // namespace

unique_fd open_socket(security level) {
    unique_fd socket(::socket(AF_BLUETOOTH, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, BTPROTO_RFCOMM));
    if (!socket.is_open()) fail_socket(errno);
    bt_security wanted{};
    wanted.level = static_cast<std::uint8_t>(kernel_level(level));
    if (::setsockopt(socket.get(), SOL_BLUETOOTH, BT_SECURITY, &wanted, sizeof wanted) != 0)
        throw error(errc::io,
                    fmt::format("the security of a Bluetooth connection cannot be set ({})", system_text(errno)),
                    errno);
    // Kernels before 5.16 make a send to a connection that has just ended wait, non-blocking or not, for this long.
    const timeval soon{0, 200'000};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    return socket;
}

int bind_to(int socket, const bluetooth_address& adapter, std::uint8_t channel) noexcept {
    const auto raw = as_raw(adapter, channel);
    return ::bind(socket, reinterpret_cast<const sockaddr*>(&raw), sizeof raw) == 0 ? 0 : errno;
}

std::unique_lock<std::timed_mutex> connection_gate::enter(const deadline& until, const stop_signal& stop) {
    constexpr auto settling = 150ms;
    // How often a thread that waits for its turn looks whether it is to stop.
    constexpr auto tick = 200ms;
    std::unique_lock lock(turn_, std::defer_lock);
    while (!lock.owns_lock()) {
        const auto now = clock::now();
        if (stop.raised() || (until && now >= *until)) return lock;
        static_cast<void>(lock.try_lock_until(until ? std::min(*until, now + tick) : now + tick));
    }
    sleep_until(last_departure_.load() + settling, stop);
    if (stop.raised()) lock.unlock();
    return lock;
}

int connect_to(unique_fd& socket, security level, const bluetooth_address& local, const socket_name& remote,
               const deadline& until, connection_gate& gate, const stop_signal& stop) {
    // Longer than a channel that is closed, or a session that ends, needs to say so; shorter than a person who
    // declines.
    constexpr auto at_once = 1s;
    int tries_left = 3;
    // Processes that wait for one channel should not all come back at once.
    std::minstd_rand dice(std::random_device{}());
    for (auto pause = 100ms;; pause = std::min(2 * pause, 800ms)) {
        int code = ETIMEDOUT;
        {
            const auto turn = gate.enter(until, stop);
            if (!turn.owns_lock()) return stop.raised() ? ECANCELED : code;
            socket = open_socket(level);
            const auto begin = clock::now();
            code = attempt(socket.get(), local, remote, until, stop);
            if (code == 0) return 0;
            socket.reset();
            const bool may_be_passing =
                (code == ECONNREFUSED || code == ECONNRESET) && clock::now() - begin < at_once && --tries_left > 0;
            if (code != EBUSY && !may_be_passing) return code;
        }
        const auto after = pause * std::uniform_int_distribution(50, 150)(dice) / 100;
        if (until && clock::now() + after >= *until) return code;
        sleep_until(clock::now() + after, stop);
    }
}

socket_name local_name(int socket) noexcept {
    sockaddr_rc raw{};
    socklen_t size = sizeof raw;
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&raw), &size);
    return from_raw(raw);
}

socket_name peer_name(int socket) noexcept {
    sockaddr_rc raw{};
    socklen_t size = sizeof raw;
    ::getpeername(socket, reinterpret_cast<sockaddr*>(&raw), &size);
    return from_raw(raw);
}

}  // namespace wherry::rfcomm
