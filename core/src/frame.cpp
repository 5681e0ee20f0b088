// SPDX-License-Identifier: BSD-2-Clause
#include "frame.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "wherry/limits.hpp"

namespace wherry {

namespace {

// A field is `u16 tag ‖ u32 length ‖ value`; the highest bit of the tag makes it critical. Tags ascend.
constexpr std::uint16_t critical_bit = 0x8000;

namespace tag {
constexpr std::uint16_t offer_kind = 1, offer_name = 2, offer_size = 3, offer_mode = 4, offer_mtime = 5,
                        offer_compression = 6, offer_resume = 7, offer_digest = 8, offer_id = 9;
constexpr std::uint16_t accept_offset = 1, accept_prefix = 2;
constexpr std::uint16_t end_size = 1, end_digest = 2;
constexpr std::uint16_t result_status = 1, result_text = 2, result_response = 3, result_outcome = 4;
constexpr std::uint16_t streams_count = 1, streams_token = 2;
constexpr std::uint16_t join_token = 1;
}  // namespace tag

enum class necessity { skippable, critical };

class field_writer {
public:
    field_writer& field(std::uint16_t number, const_bytes value, necessity how = necessity::skippable) {
        writer_.integer(static_cast<std::uint16_t>(how == necessity::critical ? number | critical_bit : number));
        writer_.sized<std::uint32_t>(value);
        return *this;
    }

    template <std::unsigned_integral Integer>
    field_writer& integer(std::uint16_t number, Integer value, necessity how = necessity::skippable) {
        std::array<std::byte, sizeof(Integer)> bytes;
        store_big_endian<Integer>(bytes, value);
        return field(number, bytes, how);
    }

    std::vector<std::byte> take() { return writer_.take(); }

private:
    byte_writer writer_;
};

// Calls known(tag, value) for each field; it returns false for a tag that it does not know.
template <class Known>
void for_each_field(const_bytes payload, std::string_view what, Known&& known) {
    byte_reader reader(payload, what);
    int last = -1;
    while (reader.remaining() > 0) {
        const auto tagged = reader.integer<std::uint16_t>();
        const auto value = reader.sized<std::uint32_t>(limits::max_record_bytes);
        const std::uint16_t number = tagged & ~critical_bit;
        if (number <= last) reader.fail("has its fields out of order");
        last = number;
        if (!known(number, value) && (tagged & critical_bit) != 0)
            throw error(errc::unsupported,
                        fmt::format("{} holds a field ({}) that this version of wherry does not know", what, number));
    }
}

template <std::unsigned_integral Integer>
Integer only_integer(const_bytes value, std::string_view what) {
    byte_reader reader(value, what);
    const auto number = reader.integer<Integer>();
    reader.finish();
    return number;
}

template <class Array>
Array only_bytes(const_bytes value, std::string_view what) {
    Array bytes;
    byte_reader reader(value, what);
    std::ranges::copy(reader.bytes(bytes.size()), bytes.begin());
    reader.finish();
    return bytes;
}

sha256_digest only_digest(const_bytes value, std::string_view what) { return only_bytes<sha256_digest>(value, what); }

std::string only_text(const_bytes value, std::size_t maximum, std::string_view what) {
    if (value.size() > maximum) byte_reader(value, what).fail("has a length out of bounds");
    return std::string(as_text(value));
}

[[noreturn]] void lacks(std::string_view what, std::string_view field) {
    throw error(errc::protocol, fmt::format("{} lacks its {}", what, field));
}

}  // namespace

void store_frame_header(mutable_bytes header, frame_type type, std::uint8_t flags, std::uint32_t transfer,
                        std::size_t payload_bytes) noexcept {
    header[0] = static_cast<std::byte>(type);
    header[1] = static_cast<std::byte>(flags);
    store_big_endian(header.subspan(2), transfer);
    store_big_endian(header.subspan(6), static_cast<std::uint32_t>(payload_bytes));
}

frame take_frame(byte_reader& record) {
    frame taken{};
    taken.type = static_cast<frame_type>(record.integer<std::uint8_t>());
    taken.flags = record.integer<std::uint8_t>();
    taken.transfer = record.integer<std::uint32_t>();
    taken.payload = record.sized<std::uint32_t>(limits::max_record_bytes);
    const bool is_known =
        taken.type >= frame_type::offer && taken.type <= frame_type::order && taken.type != frame_type::request;
    if (!is_known && (taken.flags & frame_flag::critical) != 0)
        throw error(errc::protocol,
                    fmt::format("the peer sent a frame of type {} that must be understood and is not; use the same "
                                "version of wherry on both sides",
                                static_cast<unsigned>(taken.type)));
    return taken;
}

std::vector<std::byte> encode(const offer_frame& content) {
    const auto& what = content.what;
    field_writer writer;
    writer.integer(tag::offer_kind, static_cast<std::uint8_t>(what.kind), necessity::critical);
    if (!what.name.empty()) writer.field(tag::offer_name, as_bytes(what.name));
    if (what.size) writer.integer(tag::offer_size, *what.size);
    if (what.mode) writer.integer(tag::offer_mode, *what.mode);
    if (what.mtime) {
        byte_writer time;
        time.integer(static_cast<std::uint64_t>(what.mtime->seconds)).integer(what.mtime->nanoseconds);
        writer.field(tag::offer_mtime, time.view());
    }
    if (content.compression != compression_kind::none)
        writer.integer(tag::offer_compression, static_cast<std::uint8_t>(content.compression), necessity::critical);
    if (what.wants_resume) writer.field(tag::offer_resume, {});
    if (content.digest != digest_kind::none)
        writer.integer(tag::offer_digest, static_cast<std::uint8_t>(content.digest), necessity::critical);
    if (what.id) writer.field(tag::offer_id, *what.id);
    return writer.take();
}

offer_frame decode_offer(const_bytes payload) {
    constexpr std::string_view what = "the peer's OFFER";
    offer_frame content;
    bool has_kind = false;
    for_each_field(payload, what, [&](std::uint16_t number, const_bytes value) {
        switch (number) {
            case tag::offer_kind: {
                const auto kind = only_integer<std::uint8_t>(value, what);
                if (kind < WHERRY_MESSAGE || kind > WHERRY_FOLDER)
                    throw error(
                        errc::unsupported,
                        fmt::format("the peer offers a kind of item ({}) that this version of wherry does not know",
                                    kind));
                content.what.kind = static_cast<item_kind>(kind);
                has_kind = true;
                return true;
            }
            case tag::offer_name: content.what.name = only_text(value, limits::max_item_name_bytes, what); return true;
            case tag::offer_size: content.what.size = only_integer<std::uint64_t>(value, what); return true;
            case tag::offer_mode: {
                const auto mode = only_integer<std::uint32_t>(value, what);
                if (mode > limits::max_mode) byte_reader(value, what).fail("has a mode out of bounds");
                content.what.mode = mode;
                return true;
            }
            case tag::offer_mtime: {
                byte_reader reader(value, what);
                file_time time;
                time.seconds = static_cast<std::int64_t>(reader.integer<std::uint64_t>());
                time.nanoseconds = reader.integer<std::uint32_t>();
                reader.finish();
                if (time.nanoseconds >= 1'000'000'000) reader.fail("has a time out of bounds");
                content.what.mtime = time;
                return true;
            }
            case tag::offer_compression: {
                const auto kind = only_integer<std::uint8_t>(value, what);
                if (kind > static_cast<std::uint8_t>(compression_kind::zstd))
                    throw error(errc::unsupported,
                                "the peer compresses in a way that this version of wherry does not know; the sender's "
                                "--compress none does without");
                content.compression = static_cast<compression_kind>(kind);
                return true;
            }
            case tag::offer_resume:
                if (!value.empty()) byte_reader(value, what).fail("has a length out of bounds");
                content.what.wants_resume = true;
                return true;
            case tag::offer_digest: {
                const auto kind = only_integer<std::uint8_t>(value, what);
                if (kind > static_cast<std::uint8_t>(digest_kind::sha256))
                    throw error(
                        errc::unsupported,
                        "the peer wants a content digest that this version of wherry does not know; the sender's "
                        "--digest none does without");
                content.digest = static_cast<digest_kind>(kind);
                return true;
            }
            case tag::offer_id: content.what.id = only_bytes<delivery_id>(value, what); return true;
            default: return false;
        }
    });
    if (!has_kind) lacks(what, "kind");
    if (content.what.name.find('\0') != std::string::npos) throw error(errc::refused, "a name cannot hold a NUL byte");
    return content;
}

std::vector<std::byte> encode(const accept_frame& content) {
    field_writer writer;
    writer.integer(tag::accept_offset, content.offset);
    if (content.prefix) writer.field(tag::accept_prefix, *content.prefix);
    return writer.take();
}

accept_frame decode_accept(const_bytes payload) {
    constexpr std::string_view what = "the peer's ACCEPT";
    accept_frame content;
    bool has_offset = false;
    for_each_field(payload, what, [&](std::uint16_t number, const_bytes value) {
        switch (number) {
            case tag::accept_offset:
                content.offset = only_integer<std::uint64_t>(value, what);
                has_offset = true;
                return true;
            case tag::accept_prefix: content.prefix = only_digest(value, what); return true;
            default: return false;
        }
    });
    if (!has_offset) lacks(what, "offset");
    return content;
}

std::vector<std::byte> encode(const end_frame& content) {
    field_writer writer;
    writer.integer(tag::end_size, content.size);
    if (content.digest) writer.field(tag::end_digest, *content.digest);
    return writer.take();
}

end_frame decode_end(const_bytes payload) {
    constexpr std::string_view what = "the peer's END";
    end_frame content;
    bool has_size = false;
    for_each_field(payload, what, [&](std::uint16_t number, const_bytes value) {
        switch (number) {
            case tag::end_size:
                content.size = only_integer<std::uint64_t>(value, what);
                has_size = true;
                return true;
            case tag::end_digest: content.digest = only_digest(value, what); return true;
            default: return false;
        }
    });
    if (!has_size) lacks(what, "size");
    return content;
}

std::vector<std::byte> encode(const result_frame& content) {
    field_writer writer;
    writer.integer(tag::result_status,
                   content.failure ? static_cast<std::uint32_t>(*content.failure) : std::uint32_t{0},
                   necessity::critical);
    if (!content.text.empty())
        writer.field(tag::result_text, as_bytes(std::string_view(content.text).substr(0, limits::max_text_bytes)));
    if (!content.response.empty()) writer.field(tag::result_response, content.response);
    if (!content.outcome.empty()) writer.field(tag::result_outcome, as_bytes(content.outcome));
    return writer.take();
}

result_frame decode_result(const_bytes payload) {
    constexpr std::string_view what = "the peer's RESULT or CANCEL";
    result_frame content;
    bool has_status = false;
    for_each_field(payload, what, [&](std::uint16_t number, const_bytes value) {
        switch (number) {
            case tag::result_status: {
                const auto status = only_integer<std::uint32_t>(value, what);
                // A status of a later version is a failure all the same.
                if (status != WHERRY_OK)
                    content.failure = to_errc(static_cast<std::int32_t>(std::min(status, 0x7FFFFFFFu)));
                has_status = true;
                return true;
            }
            case tag::result_text: content.text = only_text(value, limits::max_text_bytes, what); return true;
            case tag::result_response:
                if (value.size() > limits::max_response_bytes)
                    byte_reader(value, what).fail("has a length out of bounds");
                content.response.assign(value.begin(), value.end());
                return true;
            case tag::result_outcome: content.outcome = only_text(value, limits::max_outcome_bytes, what); return true;
            default: return false;
        }
    });
    if (!has_status) lacks(what, "status");
    return content;
}

std::vector<std::byte> encode(const streams_frame& content) {
    field_writer writer;
    writer.integer(tag::streams_count, content.count);
    if (content.token) writer.field(tag::streams_token, *content.token);
    return writer.take();
}

streams_frame decode_streams(const_bytes payload) {
    constexpr std::string_view what = "the peer's STREAMS";
    streams_frame content;
    bool has_count = false;
    for_each_field(payload, what, [&](std::uint16_t number, const_bytes value) {
        switch (number) {
            case tag::streams_count:
                content.count = only_integer<std::uint16_t>(value, what);
                has_count = true;
                return true;
            case tag::streams_token: content.token = only_bytes<join_token>(value, what); return true;
            default: return false;
        }
    });
    if (!has_count) lacks(what, "count");
    return content;
}

std::vector<std::byte> encode(const join_frame& content) {
    field_writer writer;
    writer.field(tag::join_token, content.token);
    return writer.take();
}

join_frame decode_join(const_bytes payload) {
    constexpr std::string_view what = "the peer's JOIN";
    std::optional<join_token> token;
    for_each_field(payload, what, [&](std::uint16_t number, const_bytes value) {
        if (number != tag::join_token) return false;
        token = only_bytes<join_token>(value, what);
        return true;
    });
    if (!token) lacks(what, "token");
    return {*token};
}

void store_order_frame(mutable_bytes frame, std::uint64_t number) noexcept {
    store_frame_header(frame, frame_type::order, 0, 0, sizeof number);
    store_big_endian(frame.subspan(frame_header_bytes), number);
}

std::optional<numbered_record> take_order(const_bytes record) {
    if (record.empty() || static_cast<frame_type>(record.front()) != frame_type::order) return std::nullopt;
    byte_reader reader(record, "a record of the peer");
    const auto order = take_frame(reader);
    byte_reader payload(order.payload, "the peer's ORDER");
    const auto number = payload.integer<std::uint64_t>();
    payload.finish();
    return numbered_record{number, record.last(reader.remaining())};
}

void require_only_pings(const_bytes record) {
    byte_reader reader(record, "a record of the peer");
    while (reader.remaining() > 0)
        if (take_frame(reader).type != frame_type::ping)
            throw error(errc::protocol, "the peer sent a record without a number where all have one");
}

}  // namespace wherry
