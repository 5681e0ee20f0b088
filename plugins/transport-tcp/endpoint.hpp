// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wherry::tcp {

// What a user writes as an address.
struct endpoint {
    std::string host;  // a name or a number, without brackets; empty: none was given, or '*'
    std::uint16_t port = 0;
};

// Takes "host:port", "[v6]:port", "host", "[v6]", a bare IPv6 number, ":port" and "". The interface of an IPv6 number
// follows '%', or "%25" as in a URI (RFC 6874). Throws error(errc::bad_input).
endpoint parse_endpoint(std::string_view text, std::uint16_t default_port);

// "host:port", with brackets where the host is an IPv6 number.
std::string to_string(const endpoint& where);

// A socket address of either family.
struct socket_address {
    sockaddr_storage storage{};
    socklen_t length = sizeof(sockaddr_storage);

    sockaddr* raw() noexcept { return reinterpret_cast<sockaddr*>(&storage); }
    const sockaddr* raw() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
    int family() const noexcept { return storage.ss_family; }
};

// "1.2.3.4:555" or "[::1]:555"; an IPv4 address in IPv6 clothes is shown as what it is.
std::string to_string(const socket_address& address);

// The address that the host is, where that is a number; none for a name. Asks nobody.
std::optional<socket_address> numeric_address(const endpoint& where);

// Every address of the host, in the order in which they should be tried. May block for as long as the system's
// resolver does. REQUIRES: !where.host.empty(). Throws error: bad_input, disconnected, exhausted.
std::vector<socket_address> resolve(const endpoint& where);

// Leaves out the link-local addresses that lack their interface, which no system can use. Throws error(errc::bad_input)
// if no other is left.
std::vector<socket_address> with_interfaces(const endpoint& where, std::vector<socket_address> addresses);

}  // namespace wherry::tcp
