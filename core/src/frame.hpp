// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "wherry/bytes.hpp"
#include "wherry/cipher.hpp"
#include "wherry/error.hpp"
#include "wherry/sink.hpp"
#include "wherry/transfer_id.hpp"

// The frames inside records, byte by byte; core/doc/protocol.md describes them.
namespace wherry {

enum class frame_type : std::uint8_t {
    offer = 1,
    accept = 2,
    data = 3,
    end = 4,
    result = 5,
    cancel = 6,
    ping = 7,
    bye = 8,
    request = 9,           // reserved: fetch this from there
    compressed_data = 10,  // DATA, compressed
    streams = 11,          // extra connections are wanted, and granted
    join = 12,             // this connection is one of them
    order = 13,            // the number of the record that it begins
};

namespace frame_flag {
inline constexpr std::uint8_t critical = 1;  // who does not know this type must not go on
inline constexpr std::uint8_t more = 2;      // RESULT: the rest of the response follows in another
inline constexpr std::uint8_t all = critical | more;
}  // namespace frame_flag

inline constexpr std::size_t frame_header_bytes = 10;

// Initiators number the transfers that they offer oddly, responders evenly; 0 is for frames about no transfer.
inline bool is_numbered_by(role side, transfer_id id) noexcept { return (id % 2 == 1) == (side == role::initiator); }

// Borrows its payload from the record.
struct frame {
    frame_type type;
    std::uint8_t flags = 0;
    std::uint32_t transfer = 0;
    const_bytes payload;
};

// Writes the header of a frame to the first frame_header_bytes of `header`.
void store_frame_header(mutable_bytes header, frame_type type, std::uint8_t flags, std::uint32_t transfer,
                        std::size_t payload_bytes) noexcept;

// Takes the next frame off the front of an opened record. A type that is not known is returned as it is, unless it is
// critical. Throws error(errc::protocol).
frame take_frame(byte_reader& record);

using sha256_digest = std::array<std::byte, 32>;

enum class digest_kind : std::uint8_t { none = 0, sha256 = 1 };
enum class compression_kind : std::uint8_t { none = 0, zstd = 1 };

// What a frame's fields say. Each decode throws error: protocol if the frame is malformed, unsupported if it holds a
// critical field, or a value, that this version does not know. What decodes encodes to the same fields again.

struct offer_frame {
    offer what;
    digest_kind digest = digest_kind::none;
    compression_kind compression = compression_kind::none;  // what PACKED frames of it would hold

    bool operator==(const offer_frame&) const = default;
};
std::vector<std::byte> encode(const offer_frame& content);
offer_frame decode_offer(const_bytes payload);

// From the receiver: it has `offset` bytes with this digest. Back from the sender: it goes on from `offset`.
struct accept_frame {
    std::uint64_t offset = 0;
    std::optional<sha256_digest> prefix;

    bool operator==(const accept_frame&) const = default;
};
std::vector<std::byte> encode(const accept_frame& content);
accept_frame decode_accept(const_bytes payload);

struct end_frame {
    std::uint64_t size = 0;
    std::optional<sha256_digest> digest;

    bool operator==(const end_frame&) const = default;
};
std::vector<std::byte> encode(const end_frame& content);
end_frame decode_end(const_bytes payload);

// RESULT and CANCEL.
struct result_frame {
    std::optional<errc> failure;
    std::string text;
    std::vector<std::byte> response;
    std::string outcome = {};  // RESULT: the sink's own word, or ""

    bool operator==(const result_frame&) const = default;
};
std::vector<std::byte> encode(const result_frame& content);
result_frame decode_result(const_bytes payload);

// What an extra connection shows, so that it may carry a part of what a sender sends.
using join_token = std::array<std::byte, 32>;

// From the initiator: so many extra connections are wanted. From the responder: so many may join, with this token.
struct streams_frame {
    std::uint16_t count = 0;
    std::optional<join_token> token;

    bool operator==(const streams_frame&) const = default;
};
std::vector<std::byte> encode(const streams_frame& content);
streams_frame decode_streams(const_bytes payload);

// From the initiator. The answer is an result_frame.
struct join_frame {
    join_token token{};

    bool operator==(const join_frame&) const = default;
};
std::vector<std::byte> encode(const join_frame& content);
join_frame decode_join(const_bytes payload);

// ORDER: its header, and the number of the record.
inline constexpr std::size_t order_frame_bytes = frame_header_bytes + sizeof(std::uint64_t);
void store_order_frame(mutable_bytes frame, std::uint64_t number) noexcept;

struct numbered_record {
    std::uint64_t number;
    const_bytes rest;
};
// Takes ORDER off the front of a record, if that is what it begins with. Throws error(errc::protocol).
std::optional<numbered_record> take_order(const_bytes record);

// What may come without a number where records have numbers: PING, which says nothing that has an order. Throws
// error(errc::protocol) for anything else.
void require_only_pings(const_bytes record);

}  // namespace wherry
