// SPDX-License-Identifier: BSD-2-Clause
#include "endpoint.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>
#include <netdb.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>

#include "socket_connection.hpp"
#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::tcp {

namespace {

[[noreturn]] void fail_form(std::string_view text, const std::string& why) {
    throw error(errc::bad_input, fmt::format("{} is not a TCP address: {}; write host:port, host, or [IPv6]:port",
                                             in_quotes(text), why));
}

std::uint16_t parse_port(std::string_view whole, std::string_view digits) {
    std::uint16_t port = 0;
    const auto* const end = digits.data() + digits.size();
    const auto [stop, code] = std::from_chars(digits.data(), end, port);
    if (digits.empty() || code != std::errc() || stop != end)
        fail_form(whole, fmt::format("the port {} is not a number from 0 to 65535", in_quotes(digits)));
    return port;
}

std::optional<in6_addr> ipv6_number(std::string_view host) {
    const std::string number(host.substr(0, host.find('%')));
    in6_addr address{};
    return ::inet_pton(AF_INET6, number.c_str(), &address) == 1 ? std::optional(address) : std::nullopt;
}

// The host of an address; '*' is what other programs call all addresses of this machine.
std::string parse_host(std::string_view text) {
    if (text == "*") return {};
    std::string host(text);
    constexpr std::string_view escaped = "%25";
    const auto mark = host.find(escaped);
    // With digits alone behind the percent sign it is the number of an interface.
    if (mark != host.npos && host.find_first_not_of("0123456789", mark + 1) != host.npos && ipv6_number(text))
        host.replace(mark, escaped.size(), "%");
    return host;
}

// "lo, eth0", for people.
std::string interface_names() {
    const std::unique_ptr<struct if_nameindex, decltype(&::if_freenameindex)> all(::if_nameindex(),
                                                                                  &::if_freenameindex);
    std::string names;
    for (const auto* one = all.get(); one != nullptr && one->if_index != 0; ++one) {
        if (!names.empty()) names += ", ";
        names += printable(one->if_name);
    }
    return names.empty() ? "none" : names;
}

// Throws for a number whose interface the system cannot find.
void require_interface(const endpoint& where) {
    const auto mark = where.host.find('%');
    const auto number = ipv6_number(where.host);
    if (mark == where.host.npos || !number) return;
    const auto name = where.host.substr(mark + 1);
    if (!IN6_IS_ADDR_LINKLOCAL(&*number) && !IN6_IS_ADDR_MC_LINKLOCAL(&*number))
        throw error(errc::bad_input,
                    fmt::format("the address {} is not link-local, so it has no interface; leave {} out",
                                in_quotes(where.host), in_quotes("%" + name)));
    unsigned index = 0;
    const auto [stop, code] = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool is_index = code == std::errc() && stop == name.data() + name.size();
    std::array<char, IF_NAMESIZE> found{};
    if (is_index ? ::if_indextoname(index, found.data()) != nullptr : ::if_nametoindex(name.c_str()) != 0) return;
    throw error(errc::bad_input,
                fmt::format("there is no network interface {} for the address {}; this machine has: {}",
                            in_quotes(name), in_quotes(where.host), interface_names()));
}

bool lacks_interface(const socket_address& address) {
    if (address.family() != AF_INET6) return false;
    const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(&address.storage);
    return IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr) && v6.sin6_scope_id == 0;
}

struct system_answer {
    int result;  // 0, or EAI_...
    int code;    // the errno
    std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> rows;
};

system_answer ask_system(const endpoint& where, int flags) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | flags;
    addrinfo* found = nullptr;
    const int result = ::getaddrinfo(where.host.c_str(), std::to_string(where.port).c_str(), &hints, &found);
    const int code = errno;
    return {result, code, {found, &::freeaddrinfo}};
}

std::vector<socket_address> addresses_in(const system_answer& answer) {
    std::vector<socket_address> addresses;
    for (const auto* row = answer.rows.get(); row != nullptr; row = row->ai_next) {
        if (row->ai_addrlen > sizeof(sockaddr_storage)) continue;
        auto& address = addresses.emplace_back();
        std::memcpy(&address.storage, row->ai_addr, row->ai_addrlen);
        address.length = row->ai_addrlen;
    }
    return addresses;
}

}  // namespace

endpoint parse_endpoint(std::string_view text, std::uint16_t default_port) {
    const auto bad = [](unsigned char c) { return c <= 0x20 || c == 0x7F || c == '/'; };
    if (std::any_of(text.begin(), text.end(), bad)) fail_form(text, "it has a character that no address has");

    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == text.npos) fail_form(text, "the bracket is not closed");
        const auto host = text.substr(1, close - 1);
        const auto rest = text.substr(close + 1);
        if (!ipv6_number(host)) fail_form(text, "what is in brackets is no IPv6 address");
        if (rest.empty()) return {parse_host(host), default_port};
        if (!rest.starts_with(':')) fail_form(text, "after the bracket comes ':' and the port");
        return {parse_host(host), parse_port(text, rest.substr(1))};
    }

    const auto colon = text.find(':');
    if (colon == text.npos) return {parse_host(text), default_port};
    if (text.find(':', colon + 1) != text.npos) {
        if (!ipv6_number(text)) fail_form(text, "it has several colons but is no IPv6 address");
        return {parse_host(text), default_port};
    }
    return {parse_host(text.substr(0, colon)), parse_port(text, text.substr(colon + 1))};
}

std::string to_string(const endpoint& where) {
    const bool bracketed = where.host.find(':') != where.host.npos;
    return (bracketed ? "[" + where.host + "]" : where.host) + ":" + std::to_string(where.port);
}

std::string to_string(const socket_address& address) {
    socket_address plain = address;
    if (address.family() == AF_INET6) {
        const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
            sockaddr_in v4{};
            v4.sin_family = AF_INET;
            v4.sin_port = v6->sin6_port;
            std::memcpy(&v4.sin_addr, &v6->sin6_addr.s6_addr[12], sizeof v4.sin_addr);
            std::memcpy(&plain.storage, &v4, sizeof v4);
            plain.length = sizeof v4;
        }
    }
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> port{};
    if (::getnameinfo(plain.raw(), plain.length, host.data(), host.size(), port.data(), port.size(),
                      NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return "unknown address";
    const std::string shown(host.data());
    return (plain.family() == AF_INET6 ? "[" + shown + "]" : shown) + ":" + port.data();
}

std::optional<socket_address> numeric_address(const endpoint& where) {
    const auto answer = ask_system(where, AI_NUMERICHOST);
    if (answer.result != 0) return std::nullopt;
    auto addresses = addresses_in(answer);
    return addresses.empty() ? std::nullopt : std::optional(addresses.front());
}

std::vector<socket_address> resolve(const endpoint& where) {
    const auto answer = ask_system(where, 0);
    const auto name = in_quotes(where.host);
    switch (answer.result) {
        case 0: break;
        case EAI_NONAME:
        case EAI_NODATA:
        case EAI_ADDRFAMILY:
            require_interface(where);
            throw error(errc::bad_input, fmt::format("no host is known by the name {}; check its spelling", name));
        case EAI_AGAIN:
            throw error(errc::disconnected, fmt::format("the name {} cannot be looked up now; check the spelling and "
                                                        "the network, or give the address as a number",
                                                        name));
        case EAI_MEMORY: throw error(errc::exhausted, fmt::format("no memory to look up the name {}", name));
        case EAI_SYSTEM:
            throw error(errc::io, fmt::format("the name {} cannot be looked up ({})", name, system_text(answer.code)),
                        answer.code);
        default:
            throw error(errc::disconnected,
                        fmt::format("the name {} cannot be looked up ({})", name, ::gai_strerror(answer.result)));
    }

    return addresses_in(answer);
}

std::vector<socket_address> with_interfaces(const endpoint& where, std::vector<socket_address> addresses) {
    require_interface(where);
    const auto had_any = !addresses.empty();
    std::erase_if(addresses, lacks_interface);
    if (had_any && addresses.empty())
        throw error(errc::bad_input,
                    fmt::format("the address {0} is link-local, so it needs the interface that leads there; write "
                                "[ADDRESS%INTERFACE]:PORT, with one of this machine's interfaces: {1}",
                                in_quotes(where.host), interface_names()));
    return addresses;
}

}  // namespace wherry::tcp
