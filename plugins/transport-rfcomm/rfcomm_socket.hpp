#pragma once

#include <cstdint>
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

// A socket with the security that its connections, or those that it accepts, will have. Throws error: unsupported,
// io, exhausted.
unique_fd open_socket(security level);

// Not repeated where the address is in use: 0, or the errno.
int bind_to(int socket, const bluetooth_address& adapter, std::uint8_t channel) noexcept;

// Connects; 0, or the errno: ETIMEDOUT when `until` has passed. A channel that an earlier connection of this machine
// has not quite left is tried again until then.
int connect_to(unique_fd& socket, security level, const bluetooth_address& from, const socket_name& to,
               const deadline& until);

socket_name local_name(int socket) noexcept;
socket_name peer_name(int socket) noexcept;

}  // namespace wherry::rfcomm
