// SPDX-License-Identifier: BSD-2-Clause
#include "bluetooth_address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>

#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::rfcomm {

namespace {

[[noreturn]] void fail_form(std::string_view text, const std::string& why) {
    throw error(
        errc::bad_input,
        fmt::format("'{}' is not a Bluetooth address: {}; write AA:BB:CC:DD:EE:FF, with /CHANNEL behind it if need be",
                    printable(text), why));
}

void require_plain(std::string_view text) {
    const auto bad = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
    if (std::any_of(text.begin(), text.end(), bad)) fail_form(text, "it has a character that no address has");
}

std::uint8_t parse_channel(std::string_view whole, std::string_view digits) {
    std::uint8_t channel = 0;
    const auto* const end = digits.data() + digits.size();
    const auto [stop, code] = std::from_chars(digits.data(), end, channel);
    if (digits.empty() || code != std::errc() || stop != end || channel < first_channel || channel > last_channel)
        fail_form(whole, fmt::format("the channel '{}' is not a number from 1 to 30", printable(digits)));
    return channel;
}

// What is before the last '/', and the channel behind it.
struct parts {
    std::string_view place;
    std::uint8_t channel = 0;
};

parts split(std::string_view text) {
    require_plain(text);
    const auto slash = text.rfind('/');
    if (slash == text.npos) return {text, 0};
    return {text.substr(0, slash), parse_channel(text, text.substr(slash + 1))};
}

// Hexadecimal digits and at least two colons, or as many colons as an address: nobody calls a device that, but many
// mistype an address.
bool is_meant_as_address(std::string_view text) {
    const auto fits = [](unsigned char c) { return c == ':' || std::isxdigit(c); };
    const auto colons = std::count(text.begin(), text.end(), ':');
    return colons >= 5 || (colons >= 2 && std::all_of(text.begin(), text.end(), fits));
}

}  // namespace

std::optional<bluetooth_address> bluetooth_address::parse(std::string_view text) noexcept {
    constexpr std::size_t length = 17;
    if (text.size() != length) return std::nullopt;
    bdaddr_t raw{};
    for (std::size_t i = 0; i < 6; ++i) {
        const auto* const digits = text.data() + 3 * i;
        if (i > 0 && digits[-1] != ':') return std::nullopt;
        // The library, and the air, have the last byte first.
        const auto [stop, code] = std::from_chars(digits, digits + 2, raw.b[5 - i], 16);
        if (code != std::errc() || stop != digits + 2) return std::nullopt;
    }
    return bluetooth_address(raw);
}

bool operator==(const bluetooth_address& one, const bluetooth_address& other) noexcept {
    return std::equal(std::begin(one.raw_.b), std::end(one.raw_.b), std::begin(other.raw_.b));
}

std::string to_string(const bluetooth_address& address) {
    std::array<char, 18> text{};
    ::ba2str(&address.raw(), text.data());
    return text.data();
}

std::string to_string(const bluetooth_address& address, std::uint8_t channel) {
    return to_string(address) + "/" + std::to_string(channel);
}

remote_endpoint parse_remote(std::string_view text) {
    const auto [place, channel] = split(text);
    if (place.empty()) fail_form(text, "it names no device");
    remote_endpoint where;
    where.channel = channel;
    where.device = bluetooth_address::parse(place);
    if (where.device && where.device->is_any()) fail_form(text, "no device has this address");
    if (!where.device) {
        if (is_meant_as_address(place)) fail_form(text, "it takes six pairs of hexadecimal digits");
        where.name = place;
    }
    return where;
}

local_endpoint parse_local(std::string_view text) {
    const auto [place, channel] = split(text);
    const bool is_name = place.starts_with("hci") && place.size() > 3 &&
                         std::all_of(place.begin() + 3, place.end(), [](unsigned char c) { return std::isdigit(c); });
    if (!place.empty() && !is_name && !bluetooth_address::parse(place))
        throw error(errc::bad_input, fmt::format("'{}' is no place to listen at over Bluetooth; write hci0 or the "
                                                 "adapter's address, with /CHANNEL behind it if need be, or nothing",
                                                 printable(text)));
    return {std::string(place), channel};
}

}  // namespace wherry::rfcomm
