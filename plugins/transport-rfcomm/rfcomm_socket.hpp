// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

#include "bluetooth_address.hpp"
#include "socket_connection.hpp"
#include "wherry/unique_fd.hpp"

// RFCOMM sockets, around the ways of the kernel's that a program would trip over. All of them never block.
namespace wherry::rfcomm {

enum class security { low, medium, high };

// One end of a connection, as the kernel tells it.
struct socket_name {
    bluetooth_address device;
    std::uint8_t channel = 0;
};

// A socket with the security that its connections, or those that it accepts, will have. Throws error: io,
// exhausted.
unique_fd open_socket(security level);

// Not repeated where the address is in use: 0, or the errno.
int bind_to(int socket, const bluetooth_address& adapter, std::uint8_t channel) noexcept;

// Lets the attempts of this process to connect pass one by one, and none right behind the end of a connection. Attempts
// at once to one device make two sessions of it, and for a round trip or so after the last channel closed the kernel
// takes the session down: what begins meanwhile is refused, reset or, at worst, never answered.
// Thread-safety: all functions from any thread.
class connection_gate {
public:
    void note_departure() noexcept { last_departure_ = std::chrono::steady_clock::now(); }

    // Returns when it is this thread's turn, which ends with the lock; not locked when `until` has passed or `stop` was
    // raised.
    std::unique_lock<std::timed_mutex> enter(const deadline& until, const stop_signal& stop);

private:
    std::timed_mutex turn_;
    std::atomic<std::chrono::steady_clock::time_point> last_departure_{};
};

// Connects; 0, or the errno: ETIMEDOUT when `until` has passed, ECANCELED once `stop` was raised. Waits for a channel
// to which this machine has a connection, for there can be one only; and tries again, a few times, what failed at once,
// which may be the end of an earlier connection, in another process.
int connect_to(unique_fd& socket, security level, const bluetooth_address& local, const socket_name& remote,
               const deadline& until, connection_gate& gate, const stop_signal& stop);

socket_name local_name(int socket) noexcept;
socket_name peer_name(int socket) noexcept;

}  // namespace wherry::rfcomm
