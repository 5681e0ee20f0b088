// SPDX-License-Identifier: BSD-2-Clause
#include "endpoint.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
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

std::string quoted(std::string_view text) {
    std::string all = "'";
    all += printable(text);
    return all += '\'';
}

[[noreturn]] void fail_form(std::string_view text, const std::string& why) {
    throw error(errc::bad_input,
                fmt::format("{} is not a TCP address: {}; write host:port, host, or [IPv6]:port", quoted(text), why));
}

std::uint16_t parse_port(std::string_view whole, std::string_view digits) {
    std::uint16_t port = 0;
    const auto* const end = digits.data() + digits.size();
    const auto [stop, code] = std::from_chars(digits.data(), end, port);
    if (digits.empty() || code != std::errc() || stop != end)
        fail_form(whole, fmt::format("the port {} is not a number from 0 to 65535", quoted(digits)));
    return port;
}

bool is_ipv6_number(std::string_view host) {
    const std::string number(host.substr(0, host.find('%')));
    in6_addr ignored{};
    return ::inet_pton(AF_INET6, number.c_str(), &ignored) == 1;
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
        if (!is_ipv6_number(host)) fail_form(text, "what is in brackets is no IPv6 address");
        if (rest.empty()) return {std::string(host), default_port};
        if (!rest.starts_with(':')) fail_form(text, "after the bracket comes ':' and the port");
        return {std::string(host), parse_port(text, rest.substr(1))};
    }

    const auto colon = text.find(':');
    if (colon == text.npos) return {std::string(text), default_port};
    if (text.find(':', colon + 1) != text.npos) {
        if (!is_ipv6_number(text)) fail_form(text, "it has several colons but is no IPv6 address");
        return {std::string(text), default_port};
    }
    return {std::string(text.substr(0, colon)), parse_port(text, text.substr(colon + 1))};
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
    const auto name = quoted(where.host);
    switch (answer.result) {
        case 0: break;
        case EAI_NONAME:
        case EAI_NODATA:
        case EAI_ADDRFAMILY:
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

}  // namespace wherry::tcp
