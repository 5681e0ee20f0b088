// SPDX-License-Identifier: BSD-2-Clause
#include "frame.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "error_of.hpp"
#include "wherry/limits.hpp"

namespace wherry {
namespace {

using bytes = std::vector<std::byte>;

// Bytes from hexadecimal digits; whatever is no digit separates.
bytes hex(std::string_view text) {
    bytes out;
    int half = -1;
    for (const char c : text) {
        if (!std::isxdigit(static_cast<unsigned char>(c))) continue;
        const int digit = std::stoi(std::string(1, c), nullptr, 16);
        if (half < 0) {
            half = digit;
        } else {
            out.push_back(static_cast<std::byte>(half << 4 | digit));
            half = -1;
        }
    }
    return out;
}

std::string as_hex(const_bytes from) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const auto byte : from) {
        out += digits[std::to_integer<unsigned>(byte) >> 4];
        out += digits[std::to_integer<unsigned>(byte) & 15];
    }
    return out;
}

void expect_bytes(const_bytes got, std::string_view expected) { EXPECT_EQ(as_hex(got), as_hex(hex(expected))); }

bytes operator+(bytes left, const bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

constexpr std::uint16_t critical = 0x8000;

// One field, whatever it says.
bytes field(std::uint16_t tag, const_bytes value) {
    byte_writer out;
    out.integer(tag).sized<std::uint32_t>(value);
    return out.take();
}

sha256_digest counting_digest() {
    sha256_digest digest;
    for (std::size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<std::byte>(i);
    return digest;
}

offer_frame full_offer() {
    offer_frame content;
    content.what.kind = item_kind::file;
    content.what.name = "dir/skull.stl";
    content.what.size = 0x0102030405060708;
    content.what.mode = 0644;
    content.what.mtime = file_time{1'700'000'000, 123'456'789};
    content.what.wants_resume = true;
    content.digest = digest_kind::sha256;
    content.what.id.emplace();
    for (std::size_t i = 0; i < content.what.id->size(); ++i) (*content.what.id)[i] = static_cast<std::byte>(0xA0 + i);
    content.compression = compression_kind::zstd;
    return content;
}

const bytes offer_kind_field = hex("8001 00000001 02");
const bytes accept_offset_field = hex("0001 00000008 0000000000000010");
const bytes end_size_field = hex("0001 00000008 0000000000000010");
const bytes result_status_field = hex("8001 00000004 00000000");

// ---- The bytes on the wire: who changes one of these changes the protocol ----

TEST(frame_bytes, numbers_of_types_and_flags_are_fixed) {
    const std::pair<frame_type, int> all[] = {
        {frame_type::offer, 1},   {frame_type::accept, 2},           {frame_type::data, 3},     {frame_type::end, 4},
        {frame_type::result, 5},  {frame_type::cancel, 6},           {frame_type::ping, 7},     {frame_type::bye, 8},
        {frame_type::request, 9}, {frame_type::compressed_data, 10}, {frame_type::streams, 11}, {frame_type::join, 12},
        {frame_type::order, 13},
    };
    for (const auto& [type, number] : all) EXPECT_EQ(static_cast<int>(type), number);
    EXPECT_EQ(frame_flag::critical, 1);
    EXPECT_EQ(frame_flag::more, 2);
    EXPECT_EQ(frame_header_bytes, 10U);
}

TEST(frame_bytes, header) {
    std::array<std::byte, frame_header_bytes> out{};
    store_frame_header(out, frame_type::data, frame_flag::critical, 0x0A0B0C0D, 0x00012345);
    expect_bytes(out, "03 01 0a0b0c0d 00012345");
}

TEST(frame_bytes, smallest_offer) {
    offer_frame content;
    content.what.kind = item_kind::message;
    expect_bytes(encode(content), "8001 00000001 01");
}

TEST(frame_bytes, full_offer) {
    expect_bytes(encode(full_offer()),
                 "8001 00000001 02"
                 "0002 0000000d 6469722f736b756c6c2e73746c"
                 "0003 00000008 0102030405060708"
                 "0004 00000004 000001a4"
                 "0005 0000000c 000000006553f100 075bcd15"
                 "8006 00000001 01"
                 "0007 00000000"
                 "8008 00000001 01"
                 "0009 00000010 a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
}

TEST(frame_bytes, time_before_1970) {
    offer_frame content;
    content.what.mtime = file_time{-1, 999'999'999};
    expect_bytes(encode(content), "8001 00000001 02  0005 0000000c ffffffffffffffff 3b9ac9ff");
}

TEST(frame_bytes, accept) {
    expect_bytes(encode(accept_frame{0x1122334455667788, std::nullopt}), "0001 00000008 1122334455667788");
    expect_bytes(encode(accept_frame{5, counting_digest()}),
                 "0001 00000008 0000000000000005"
                 "0002 00000020 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
}

TEST(frame_bytes, end) {
    expect_bytes(encode(end_frame{0xFFFFFFFFFFFFFFFF, std::nullopt}), "0001 00000008 ffffffffffffffff");
    expect_bytes(encode(end_frame{7, counting_digest()}),
                 "0001 00000008 0000000000000007"
                 "0002 00000020 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
}

TEST(frame_bytes, outcome) {
    expect_bytes(encode(result_frame{}), "8001 00000004 00000000");
    expect_bytes(encode(result_frame{errc::exhausted, "full", hex("00ff")}),
                 "8001 00000004 00000005  0002 00000004 66756c6c  0003 00000002 00ff");
}

TEST(frame_bytes, streams) {
    expect_bytes(encode(streams_frame{3, std::nullopt}), "0001 00000002 0003");
    streams_frame granted{2, join_token{}};
    granted.token->back() = std::byte{7};
    expect_bytes(encode(granted), "0001 00000002 0002  0002 00000020" + std::string(62, '0') + "07");
}

TEST(frame_bytes, join) {
    join_frame wish;
    wish.token.front() = std::byte{9};
    expect_bytes(encode(wish), "0001 00000020 09" + std::string(62, '0'));
}

TEST(frame_bytes, order) {
    std::array<std::byte, order_frame_bytes> out{};
    store_order_frame(out, 0x0102030405060708);
    expect_bytes(out, "0d 00 00000000 00000008 0102030405060708");
}

TEST(frame_bytes, statuses_are_the_numbers_of_the_abi) {
    for (std::uint32_t status = 1; status <= 12; ++status) {
        byte_writer expected;
        expected.integer<std::uint16_t>(0x8001).integer<std::uint32_t>(4).integer(status);
        EXPECT_EQ(as_hex(encode(result_frame{static_cast<errc>(status), "", {}})), as_hex(expected.view()));
    }
}

// ---- Headers ----

TEST(take_frame, takes_one_after_the_other) {
    const auto record = hex("01 00 00000001 00000003 aabbcc  07 00 00000000 00000000  08 03 ffffffff 00000001 dd");
    byte_reader in(record, "a record");
    const auto first = take_frame(in);
    EXPECT_EQ(first.type, frame_type::offer);
    EXPECT_EQ(first.flags, 0);
    EXPECT_EQ(first.transfer, 1U);
    expect_bytes(first.payload, "aabbcc");
    const auto second = take_frame(in);
    EXPECT_EQ(second.type, frame_type::ping);
    EXPECT_TRUE(second.payload.empty());
    const auto third = take_frame(in);
    EXPECT_EQ(third.type, frame_type::bye);
    EXPECT_EQ(third.flags, frame_flag::all);
    EXPECT_EQ(third.transfer, 0xFFFFFFFFU);
    expect_bytes(third.payload, "dd");
    EXPECT_EQ(in.remaining(), 0U);
}

TEST(take_frame, reads_back_every_header_that_is_stored) {
    for (int type = 1; type <= 8; ++type)
        for (const std::size_t size : {0, 1, 255, 256, 65536}) {
            bytes record(frame_header_bytes + size, std::byte{0x5A});
            store_frame_header(record, static_cast<frame_type>(type), frame_flag::more, 0x80000001, size);
            byte_reader in(record, "a record");
            const auto taken = take_frame(in);
            EXPECT_EQ(static_cast<int>(taken.type), type);
            EXPECT_EQ(taken.flags, frame_flag::more);
            EXPECT_EQ(taken.transfer, 0x80000001U);
            EXPECT_EQ(taken.payload.size(), size);
        }
}

TEST(take_frame, refuses_a_frame_that_is_cut_anywhere) {
    const auto whole = hex("01 00 00000001 00000003 aabbcc");
    for (std::size_t length = 0; length < whole.size(); ++length) {
        byte_reader in(const_bytes(whole).first(length), "a record");
        const auto thrown = test::error_of([&] { take_frame(in); });
        EXPECT_EQ(thrown.code(), errc::protocol) << length;
        EXPECT_STREQ(thrown.what(), "a record is cut short") << length;
    }
}

TEST(take_frame, refuses_a_length_beyond_the_largest_record) {
    for (const auto* header : {"03 00 00000001 00100001", "03 00 00000001 ffffffff"}) {
        const auto record = hex(header);
        byte_reader in(record, "a record");
        const auto thrown = test::error_of([&] { take_frame(in); });
        EXPECT_EQ(thrown.code(), errc::protocol);
        EXPECT_STREQ(thrown.what(), "a record has a length out of bounds");
    }
}

TEST(take_frame, gives_unknown_types_that_may_be_skipped) {
    for (const unsigned type : {0U, 9U, 14U, 127U, 255U}) {
        auto record = hex("00 00 00000005 00000002 1122");
        record[0] = static_cast<std::byte>(type);
        for (const unsigned flags : {0x00U, 0x02U, 0xFEU}) {
            record[1] = static_cast<std::byte>(flags);
            byte_reader in(record, "a record");
            const auto taken = take_frame(in);
            EXPECT_EQ(static_cast<unsigned>(taken.type), type);
            EXPECT_EQ(in.remaining(), 0U) << "its payload is passed over";
        }
    }
}

TEST(take_frame, refuses_unknown_types_that_are_critical) {
    for (const unsigned type : {0U, 9U, 14U, 255U}) {
        auto record = hex("00 01 00000005 00000000");
        record[0] = static_cast<std::byte>(type);
        byte_reader in(record, "a record");
        const auto thrown = test::error_of([&] { take_frame(in); });
        EXPECT_EQ(thrown.code(), errc::protocol);
        EXPECT_EQ(thrown.what(),
                  "the peer sent a frame of type " + std::to_string(type) +
                      " that must be understood and is not; use the same version of wherry on both sides");
    }
}

TEST(take_frame, lets_known_types_be_critical) {
    for (int type = 1; type <= 8; ++type) {
        auto record = hex("00 01 00000005 00000000");
        record[0] = static_cast<std::byte>(type);
        byte_reader in(record, "a record");
        EXPECT_EQ(static_cast<int>(take_frame(in).type), type);
    }
}

TEST(take_order, takes_the_number_and_leaves_the_rest) {
    const auto record = hex("0d00 00000000 00000008 000000000000002a") + hex("0700 00000000 00000000");
    const auto taken = take_order(record);
    ASSERT_TRUE(taken);
    EXPECT_EQ(taken->number, 42U);
    expect_bytes(taken->rest, "0700 00000000 00000000");
    EXPECT_FALSE(take_order(taken->rest)) << "there is one number at most";
    EXPECT_FALSE(take_order({}));
}

TEST(take_order, refuses_a_number_of_another_length) {
    for (const auto* const text :
         {"0d00 00000000 00000007 00000000000001", "0d00 00000000 00000009 000000000000000001"})
        EXPECT_EQ(test::error_of([&] { take_order(hex(text)); }).code(), errc::protocol);
}

TEST(require_only_pings, lets_nothing_else_pass) {
    const auto ping = hex("0700 00000000 00000000");
    require_only_pings(ping + ping);
    EXPECT_EQ(test::error_of([&] { require_only_pings(ping + hex("0800 00000000 00000000")); }).code(), errc::protocol);
}

TEST(streams_frame, refuses_what_lacks_its_count_or_has_a_short_token) {
    EXPECT_EQ(test::error_of([&] { decode_streams({}); }).code(), errc::protocol);
    EXPECT_EQ(test::error_of([&] { decode_streams(hex("0001 00000002 0001 0002 0000001f") + bytes(31)); }).code(),
              errc::protocol);
    EXPECT_EQ(test::error_of([&] { decode_join({}); }).code(), errc::protocol);
}

// ---- Round trips ----

TEST(offer_frame, comes_back_as_it_was) {
    EXPECT_EQ(decode_offer(encode(full_offer())), full_offer());
    for (const auto kind : {item_kind::message, item_kind::file, item_kind::data, item_kind::folder}) {
        offer_frame content;
        content.what.kind = kind;
        EXPECT_EQ(decode_offer(encode(content)), content);
    }
}

TEST(offer_frame, comes_back_with_every_field_left_out) {
    for (int without = 0; without < 8; ++without) {
        auto content = full_offer();
        if (without == 0) content.what.name.clear();
        if (without == 1) content.what.size.reset();
        if (without == 2) content.what.mode.reset();
        if (without == 3) content.what.mtime.reset();
        if (without == 4) content.what.wants_resume = false;
        if (without == 5) content.digest = digest_kind::none;
        if (without == 6) content.what.id.reset();
        if (without == 7) content.compression = compression_kind::none;
        EXPECT_EQ(decode_offer(encode(content)), content) << without;
    }
}

TEST(offer_frame, comes_back_at_the_ends_of_its_ranges) {
    auto content = full_offer();
    content.what.name = std::string(limits::max_item_name_bytes, '\xFF');
    content.what.size = 0;
    content.what.mode = 07777;
    content.what.mtime = file_time{std::numeric_limits<std::int64_t>::min(), 0};
    EXPECT_EQ(decode_offer(encode(content)), content);
    content.what.size = std::numeric_limits<std::uint64_t>::max();
    content.what.mode = 0;
    content.what.mtime = file_time{std::numeric_limits<std::int64_t>::max(), 999'999'999};
    EXPECT_EQ(decode_offer(encode(content)), content);
}

TEST(offer_frame, of_the_longest_name_fits_the_smallest_record) {
    auto content = full_offer();
    content.what.name = std::string(limits::max_item_name_bytes, 'n');
    EXPECT_LE(frame_header_bytes + encode(content).size() + 4 + 64, limits::min_record_bytes);
}

TEST(accept_frame, comes_back_as_it_was) {
    for (const auto& content :
         {accept_frame{0, std::nullopt}, accept_frame{1, counting_digest()}, accept_frame{~std::uint64_t{0}, {}}})
        EXPECT_EQ(decode_accept(encode(content)), content);
}

TEST(end_frame, comes_back_as_it_was) {
    for (const auto& content :
         {end_frame{0, std::nullopt}, end_frame{1, counting_digest()}, end_frame{~std::uint64_t{0}, {}}})
        EXPECT_EQ(decode_end(encode(content)), content);
}

TEST(result_frame, comes_back_as_it_was) {
    EXPECT_EQ(decode_result(encode(result_frame{})), result_frame{});
    for (int status = WHERRY_BAD_INPUT; status <= WHERRY_CANCELLED; ++status) {
        const result_frame content{static_cast<errc>(status), std::string(limits::max_text_bytes, 't'),
                                   hex("00 01 ff")};
        EXPECT_EQ(decode_result(encode(content)), content);
    }
    const result_frame largest{std::nullopt, "", bytes(limits::max_response_bytes, std::byte{7})};
    EXPECT_EQ(decode_result(encode(largest)), largest);
}

TEST(result_frame, sends_no_more_text_than_the_other_side_takes) {
    const result_frame content{errc::io, std::string(limits::max_text_bytes + 500, 't'), {}};
    EXPECT_EQ(decode_result(encode(content)).text, std::string(limits::max_text_bytes, 't'));
}

// ---- What holds for the fields of every frame ----

struct codec {
    const char* name;
    bytes required;               // the one field that must be there
    bytes whole;                  // every field
    std::string_view what;        // how errors begin
    std::string_view lacks;       // the error without the required field
    bytes (*again)(const_bytes);  // decode, then encode
};

std::ostream& operator<<(std::ostream& out, const codec& it) { return out << it.name; }

const codec all_codecs[] = {
    {"offer", offer_kind_field, encode(full_offer()), "the peer's OFFER", "the peer's OFFER lacks its kind",
     [](const_bytes in) { return encode(decode_offer(in)); }},
    {"accept", accept_offset_field, encode(accept_frame{16, counting_digest()}), "the peer's ACCEPT",
     "the peer's ACCEPT lacks its offset", [](const_bytes in) { return encode(decode_accept(in)); }},
    {"end", end_size_field, encode(end_frame{16, counting_digest()}), "the peer's END", "the peer's END lacks its size",
     [](const_bytes in) { return encode(decode_end(in)); }},
    {"outcome", result_status_field, encode(result_frame{errc::io, "why", hex("0102")}), "the peer's RESULT or CANCEL",
     "the peer's RESULT or CANCEL lacks its status", [](const_bytes in) { return encode(decode_result(in)); }},
};

class every_codec : public testing::TestWithParam<codec> {
protected:
    void expect_refused(const_bytes payload, errc code, std::string_view text) const {
        const auto thrown = test::error_of([&] { GetParam().again(payload); });
        EXPECT_EQ(thrown.code(), code) << as_hex(payload);
        EXPECT_EQ(thrown.what(), text) << as_hex(payload);
    }
    std::string text(std::string_view why) const { return std::string(GetParam().what) + " " + std::string(why); }
};

INSTANTIATE_TEST_SUITE_P(frame, every_codec, testing::ValuesIn(all_codecs),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(every_codec, re_encodes_what_it_decodes) {
    EXPECT_EQ(as_hex(GetParam().again(GetParam().whole)), as_hex(GetParam().whole));
    EXPECT_EQ(as_hex(GetParam().again(GetParam().required)), as_hex(GetParam().required));
}

TEST_P(every_codec, refuses_to_miss_its_required_field) {
    expect_refused({}, errc::protocol, GetParam().lacks);
    expect_refused(field(0x4000, {}), errc::protocol, GetParam().lacks);
}

// Every prefix either ends between two fields, or is refused; none is read beyond its end (a sanitizer watches).
TEST_P(every_codec, refuses_to_be_cut_within_a_field) {
    const auto& whole = GetParam().whole;
    std::vector<std::size_t> borders;
    for (std::size_t at = 0; at < whole.size();) {
        borders.push_back(at);
        at += 6 + load_big_endian<std::uint32_t>(const_bytes(whole).subspan(at + 2, 4));
    }
    for (std::size_t length = 1; length < whole.size(); ++length) {
        const bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
        if (std::find(borders.begin(), borders.end(), length) != borders.end())
            EXPECT_NO_THROW(GetParam().again(cut)) << length;
        else
            expect_refused(cut, errc::protocol, text("is cut short"));
    }
}

TEST_P(every_codec, skips_fields_that_it_does_not_know) {
    const auto required = GetParam().required;
    EXPECT_EQ(GetParam().again(required + field(0x0100, hex("010203")) + field(0x7FFF, {})), required);
    EXPECT_EQ(GetParam().again(field(0, hex("aa")) + required), required);
}

TEST_P(every_codec, refuses_critical_fields_that_it_does_not_know) {
    const auto sentence = [&](const char* number) {
        return text(std::string("holds a field (") + number + ") that this version of wherry does not know");
    };
    expect_refused(GetParam().required + field(critical | 0x0100, {}), errc::unsupported, sentence("256"));
    expect_refused(GetParam().required + field(critical | 0x7FFF, {}), errc::unsupported, sentence("32767"));
    expect_refused(field(critical, {}) + GetParam().required, errc::unsupported, sentence("0"));
}

TEST_P(every_codec, refuses_fields_twice_or_out_of_order) {
    const auto required = GetParam().required;
    const auto sentence = text("has its fields out of order");
    expect_refused(required + required, errc::protocol, sentence);
    expect_refused(required + field(0x0200, {}) + field(0x0100, {}), errc::protocol, sentence);
    expect_refused(required + field(0x0200, {}) + field(0x0200, {}), errc::protocol, sentence);
    expect_refused(field(0x0200, {}) + required, errc::protocol, sentence);
    // The critical bit is no part of the number.
    expect_refused(required + field(0x0200, {}) + field(critical | 0x0200, {}), errc::protocol, sentence);
}

TEST_P(every_codec, refuses_a_field_longer_than_any_record) {
    for (const auto* length : {"00100001", "7fffffff", "ffffffff"})
        expect_refused(GetParam().required + hex(std::string("0100") + length), errc::protocol,
                       text("has a length out of bounds"));
}

TEST_P(every_codec, does_not_mind_known_fields_that_are_critical) {
    auto loud = GetParam().whole;
    for (std::size_t at = 0; at < loud.size();) {
        loud[at] |= std::byte{0x80};
        at += 6 + load_big_endian<std::uint32_t>(const_bytes(loud).subspan(at + 2, 4));
    }
    EXPECT_EQ(as_hex(GetParam().again(loud)), as_hex(GetParam().whole));
}

// ---- Values ----

struct bad_value {
    const char* name;
    bytes payload;
    errc code;
    std::string_view text;
};

void expect_all_refused(const std::vector<bad_value>& all, bytes (*again)(const_bytes)) {
    for (const auto& [name, payload, code, text] : all) {
        const auto thrown = test::error_of([&, &payload = payload] { again(payload); });
        EXPECT_EQ(thrown.code(), code) << name;
        EXPECT_EQ(thrown.what(), text) << name;
    }
}

TEST(offer_frame, refuses_values_out_of_bounds) {
    constexpr std::string_view bounds = "the peer's OFFER has a length out of bounds",
                               cut = "the peer's OFFER is cut short", over = "the peer's OFFER has bytes left over";
    const auto with = [](std::uint16_t tag, const bytes& value) { return offer_kind_field + field(tag, value); };
    expect_all_refused(
        {
            {"kind 0", field(critical | 1, hex("00")), errc::unsupported,
             "the peer offers a kind of item (0) that this version of wherry does not know"},
            {"kind 5", field(critical | 1, hex("05")), errc::unsupported,
             "the peer offers a kind of item (5) that this version of wherry does not know"},
            {"kind of no byte", field(critical | 1, {}), errc::protocol, cut},
            {"kind of two bytes", field(critical | 1, hex("0101")), errc::protocol, over},
            {"long name", with(2, bytes(limits::max_item_name_bytes + 1, std::byte{'n'})), errc::protocol, bounds},
            {"name with NUL", with(2, hex("610062")), errc::refused, "a name cannot hold a NUL byte"},
            {"short size", with(3, hex("00000000000001")), errc::protocol, cut},
            {"long size", with(3, hex("000000000000000001")), errc::protocol, over},
            {"mode of type bits", with(4, hex("00001000")), errc::protocol,
             "the peer's OFFER has a mode out of bounds"},
            {"mode of all bits", with(4, hex("ffffffff")), errc::protocol, "the peer's OFFER has a mode out of bounds"},
            {"short mode", with(4, hex("01a4")), errc::protocol, cut},
            {"a whole second", with(5, hex("0000000000000000 3b9aca00")), errc::protocol,
             "the peer's OFFER has a time out of bounds"},
            {"short time", with(5, hex("0000000000000000")), errc::protocol, cut},
            {"long time", with(5, hex("0000000000000000 00000000 00")), errc::protocol, over},
            {"unknown compression", with(6, hex("02")), errc::unsupported,
             "the peer compresses in a way that this version of wherry does not know; the sender's --compress none "
             "does "
             "without"},
            {"long compression", with(6, hex("0000")), errc::protocol, over},
            {"resume with a value", with(7, hex("01")), errc::protocol, bounds},
            {"unknown digest", with(critical | 8, hex("02")), errc::unsupported,
             "the peer wants a content digest that this version of wherry does not know; the sender's --digest none "
             "does "
             "without"},
            {"empty digest", with(critical | 8, {}), errc::protocol, cut},
            {"short id", with(9, bytes(15, std::byte{1})), errc::protocol, cut},
            {"long id", with(9, bytes(17, std::byte{1})), errc::protocol, over},
        },
        [](const_bytes in) { return encode(decode_offer(in)); });
}

TEST(offer_frame, takes_defaults_that_are_spelt_out) {
    offer_frame expected;
    EXPECT_EQ(decode_offer(offer_kind_field + field(2, {}) + field(6, hex("00")) + field(critical | 8, hex("00"))),
              expected);
}

TEST(accept_frame, refuses_values_out_of_bounds) {
    constexpr std::string_view cut = "the peer's ACCEPT is cut short", over = "the peer's ACCEPT has bytes left over";
    expect_all_refused(
        {
            {"short offset", field(1, hex("00000000000001")), errc::protocol, cut},
            {"long offset", field(1, hex("000000000000000001")), errc::protocol, over},
            {"short digest", accept_offset_field + field(2, bytes(31)), errc::protocol, cut},
            {"long digest", accept_offset_field + field(2, bytes(33)), errc::protocol, over},
        },
        [](const_bytes in) { return encode(decode_accept(in)); });
}

TEST(end_frame, refuses_values_out_of_bounds) {
    constexpr std::string_view cut = "the peer's END is cut short", over = "the peer's END has bytes left over";
    expect_all_refused(
        {
            {"empty size", field(1, {}), errc::protocol, cut},
            {"long size", field(1, bytes(9)), errc::protocol, over},
            {"short digest", end_size_field + field(2, bytes(31)), errc::protocol, cut},
            {"long digest", end_size_field + field(2, bytes(33)), errc::protocol, over},
        },
        [](const_bytes in) { return encode(decode_end(in)); });
}

TEST(result_frame, refuses_values_out_of_bounds) {
    constexpr std::string_view bounds = "the peer's RESULT or CANCEL has a length out of bounds";
    expect_all_refused(
        {
            {"short status", field(critical | 1, bytes(3)), errc::protocol, "the peer's RESULT or CANCEL is cut short"},
            {"long status", field(critical | 1, bytes(5)), errc::protocol,
             "the peer's RESULT or CANCEL has bytes left over"},
            {"long text", result_status_field + field(2, bytes(limits::max_text_bytes + 1)), errc::protocol, bounds},
            // As large as a field can be is as large as a response can be: nothing is above.
            {"long response", result_status_field + hex("0003 00100001") + bytes(limits::max_response_bytes + 1),
             errc::protocol, bounds},
        },
        [](const_bytes in) { return encode(decode_result(in)); });
}

TEST(result_frame, takes_a_status_of_a_later_version_for_a_failure) {
    for (const auto* status : {"0000000d", "00001000", "7fffffff", "80000000", "ffffffff"})
        EXPECT_EQ(decode_result(field(critical | 1, hex(status))).failure, errc::internal) << status;
}

}  // namespace
}  // namespace wherry
