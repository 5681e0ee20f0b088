// SPDX-License-Identifier: BSD-2-Clause
#include "wire.hpp"

#include <fmt/format.h>

#include <cerrno>

namespace wherry::hybrid {

namespace {

void read_exactly(stream& link, mutable_bytes buffer) {
    while (!buffer.empty()) {
        const auto count = link.read_some(buffer);
        if (count == 0) throw error(errc::disconnected, "the peer closed the connection during the handshake");
        buffer = buffer.subspan(count);
    }
}

std::string shown(aead which) { return name_of(which); }
std::string shown(kem which) {
    if (which == kem::x25519_mlkem768 && !WHERRY_HYBRID_HAS_MLKEM)
        return fmt::format("{} (not in this build, which lacks Botan 3)", name_of(which));
    return name_of(which);
}

template <class Number>
std::string names_of(const std::vector<std::uint16_t>& list) {
    std::string text;
    for (const auto number : list) text += (text.empty() ? "" : ", ") + shown(static_cast<Number>(number));
    return text.empty() ? "nothing" : text;
}

std::string numbers_of(const std::vector<std::uint16_t>& list) {
    std::string text;
    for (const auto number : list) text += (text.empty() ? "" : ", ") + std::to_string(number);
    return text.empty() ? "none" : text;
}

// What a peer's alert means here. Its contents come from anybody: numbers with known meaning are shown, nothing else.
error meaning_of(const alert& what, message_type in_place_of) {
    switch (what.why) {
        case alert::reason::no_version:
        case alert::reason::no_kem:
        case alert::reason::no_aead:
            // Once there was a choice, there was something in common.
            if (in_place_of != message_type::choice) break;
            return error(errc::disconnected, nothing_in_common(what), EPROTONOSUPPORT);
        case alert::reason::untrusted: return error(errc::auth_failed, "the peer does not trust the key of this side");
        case alert::reason::failed: break;
    }
    return error(errc::protocol,
                 "the peer could not verify the handshake: it was altered on the way, or one side is faulty");
}

}  // namespace

byte_vector framed(message_type type, const_bytes body) {
    byte_writer writer;
    return writer.integer(static_cast<std::uint8_t>(type)).sized<std::uint16_t>(body).take();
}

byte_vector read_message(stream& link, message_type expected) {
    byte_vector message(message_header_bytes);
    read_exactly(link, message);
    const auto type = static_cast<message_type>(message[0]);
    const std::size_t length = load_big_endian<std::uint16_t>(const_bytes(message).subspan(1));
    if (type != expected && type != message_type::alert)
        throw error(errc::protocol, "the peer sent a message that does not belong at this place of the handshake");
    if (length > max_body_bytes(type))
        throw error(errc::protocol, "the peer sent a handshake message with a length out of bounds");
    message.resize(message_header_bytes + length);
    read_exactly(link, mutable_bytes(message).subspan(message_header_bytes));
    if (type == message_type::alert) throw meaning_of(alert::parse(body_of(message)), expected);
    return message;
}

void send_alert(stream& link, const alert& what) noexcept {
    try {
        link.write_all(framed(message_type::alert, what.encode()));
    } catch (...) {
        // The peer will find out by the closed connection.
    }
}

std::string nothing_in_common(const alert& what) {
    switch (what.why) {
        case alert::reason::no_version:
            return fmt::format(
                "no version of the hybrid cipher in common: the receiver, which is older or newer, speaks "
                "{}, or the handshake was altered on the way; use the same wherry on both sides",
                numbers_of(what.allowed));
        case alert::reason::no_kem:
            return fmt::format(
                "no key exchange in common: the receiver allows {}, or the handshake was altered on the "
                "way; choose with --hybrid.kem",
                names_of<kem>(what.allowed));
        default:
            return fmt::format(
                "no cipher for records in common: the receiver allows {}, or the handshake was altered on "
                "the way; choose with --hybrid.aead",
                names_of<aead>(what.allowed));
    }
}

}  // namespace wherry::hybrid
