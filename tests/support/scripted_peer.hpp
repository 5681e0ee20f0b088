// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "frame.hpp"
#include "plain_cipher.hpp"
#include "record.hpp"
#include "wherry/limits.hpp"

namespace wherry::test {

// What an initiator with plain_cipher says: its preface, its handshake, and then records of any frames.
class scripted_peer {
public:
    explicit scripted_peer(std::string_view cipher_name = "plain") {
        // Byte by byte: GCC 12 takes what is put into a vector in one piece here for an overflow.
        for (const char c : std::string_view("\x89wherry\n\x01")) said_.integer(static_cast<std::uint8_t>(c));
        said_.sized<std::uint8_t>(as_bytes(cipher_name)).bytes(as_bytes("h"));
    }

    // A record of these bytes, which need not be frames.
    scripted_peer& record(const_bytes plain) {
        std::vector<std::byte> sealed(plain.begin(), plain.end());
        sealed.resize(plain.size() + cipher_.overhead());
        cipher_.seal(sealed, plain.size());
        said_.sized<std::uint32_t>(sealed);
        return *this;
    }

    // A record of one frame.
    scripted_peer& frame(frame_type type, std::uint32_t transfer, const_bytes payload = {}, std::uint8_t flags = 0) {
        return record(make_frame(type, transfer, payload, flags));
    }

    static std::vector<std::byte> make_frame(frame_type type, std::uint32_t transfer, const_bytes payload,
                                             std::uint8_t flags = 0) {
        std::vector<std::byte> bytes(frame_header_bytes + payload.size());
        store_frame_header(bytes, type, flags, transfer, payload.size());
        std::copy(payload.begin(), payload.end(), bytes.begin() + frame_header_bytes);
        return bytes;
    }

    scripted_peer& offer(std::uint32_t transfer, std::string_view name) {
        offer_frame content;
        content.what.name = name;
        return frame(frame_type::offer, transfer, encode(content));
    }
    scripted_peer& item(std::uint32_t transfer, std::string_view name, std::string_view content) {
        offer(transfer, name).frame(frame_type::data, transfer, as_bytes(content));
        return frame(frame_type::end, transfer, encode(end_frame{content.size(), std::nullopt}));
    }
    scripted_peer& bye() { return frame(frame_type::bye, 0); }

    const_bytes said() const noexcept { return said_.view(); }

private:
    byte_writer said_;
    plain_cipher::plain_session cipher_{role::initiator};
};

}  // namespace wherry::test
