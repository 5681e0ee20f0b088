// SPDX-License-Identifier: BSD-2-Clause
#include "record.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "checking_cipher.hpp"
#include "error_of.hpp"
#include "scripted_connection.hpp"
#include "wherry/limits.hpp"

namespace wherry {
namespace {

using bytes = std::vector<std::byte>;
using test::checking_session;
using test::scripted_connection;

bytes pattern(std::size_t size, unsigned seed = 1) {
    bytes made(size);
    std::minstd_rand random(seed);
    for (auto& byte : made) byte = static_cast<std::byte>(random() >> 8);
    return made;
}

void append(bytes& to, const_bytes more) { to.insert(to.end(), more.begin(), more.end()); }

// What a sender puts on the link, record by record, and the plaintext of each as the receiver must see it.
class sender {
public:
    explicit sender(std::size_t overhead = 8) : overhead_(overhead), cipher_(overhead) {}

    // A record of one DATA frame with that many bytes.
    sender& data(std::size_t payload_bytes) {
        record_buffer record(
            std::clamp(payload_bytes + 64 + overhead_, limits::min_record_bytes, limits::max_record_bytes), overhead_);
        const auto payload = pattern(payload_bytes, static_cast<unsigned>(expected.size() + 1));
        record.append(frame_type::data, 0, 1, payload);
        byte_writer plain;
        plain.integer<std::uint8_t>(3).integer<std::uint8_t>(0).integer<std::uint32_t>(1);
        plain.sized<std::uint32_t>(payload);
        expected.push_back(plain.take());
        starts.push_back(wire.size());
        append(wire, record.seal(cipher_));
        return *this;
    }

    bytes wire;
    std::vector<bytes> expected;
    std::vector<std::size_t> starts;

private:
    const std::size_t overhead_;
    checking_session cipher_;
};

// Reads everything there is, and compares.
void expect_all(connection& link, const sender& from, std::size_t overhead = 8) {
    checking_session cipher(overhead);
    record_reader reader(link, cipher);
    for (std::size_t i = 0; i < from.expected.size(); ++i) {
        const auto got = reader.next();
        ASSERT_TRUE(got) << "record " << i;
        ASSERT_TRUE(std::ranges::equal(*got, from.expected[i])) << "record " << i;
    }
    EXPECT_FALSE(reader.next());
    EXPECT_FALSE(reader.next()) << "the end stays the end";
}

// ---- record_buffer ----

TEST(record_buffer, seals_a_length_and_then_the_body) {
    checking_session cipher(8);
    record_buffer record(limits::min_record_bytes, 8);
    EXPECT_TRUE(record.empty());
    record.append(frame_type::ping, 0, 0, {});
    record.append(frame_type::data, frame_flag::more, 7, as_bytes("abc"));
    EXPECT_FALSE(record.empty());
    const auto sealed = record.seal(cipher);
    ASSERT_EQ(sealed.size(), 4U + 10 + 13 + 8);
    EXPECT_EQ(load_big_endian<std::uint32_t>(sealed.first(4)), 10U + 13 + 8);
    EXPECT_TRUE(record.empty());

    bytes body(sealed.begin() + 4, sealed.end());
    checking_session other(8);
    const auto opened = other.open(body);
    byte_reader frames(opened, "it");
    EXPECT_EQ(take_frame(frames).type, frame_type::ping);
    const auto data = take_frame(frames);
    EXPECT_EQ(data.transfer, 7U);
    EXPECT_EQ(data.flags, frame_flag::more);
    EXPECT_EQ(as_text(data.payload), "abc");
    EXPECT_EQ(frames.remaining(), 0U);
}

TEST(record_buffer, fits_to_the_last_byte_and_not_one_more) {
    for (const std::size_t overhead : {0, 1, 16, 40}) {
        record_buffer record(limits::min_record_bytes, overhead);
        const auto most = limits::min_record_bytes - 4 - overhead - frame_header_bytes;
        EXPECT_TRUE(record.fits(most));
        EXPECT_FALSE(record.fits(most + 1));
        EXPECT_FALSE(record.fits(limits::max_record_bytes));
        EXPECT_EQ(test::error_of([&] { record.append(frame_type::data, 0, 1, pattern(most + 1)); }).code(),
                  errc::internal);
        EXPECT_TRUE(record.empty()) << "what did not fit left nothing behind";
        record.append(frame_type::data, 0, 1, pattern(most));
        EXPECT_FALSE(record.fits(0));
        checking_session cipher(overhead);
        EXPECT_EQ(record.seal(cipher).size(), limits::min_record_bytes);
        EXPECT_TRUE(record.fits(most)) << "all the room is back";
    }
}

TEST(record_buffer, takes_content_in_place) {
    checking_session cipher(8), other(8);
    record_buffer record(limits::min_record_bytes, 8);
    record.append(frame_type::offer, 0, 1, as_bytes("offer"));
    const auto room = record.data_room();
    EXPECT_EQ(room.size(), limits::min_record_bytes - 4 - 8 - 15 - 10);
    const auto content = pattern(100);
    std::ranges::copy(content, room.begin());
    record.commit_data(1, 100);
    record.append(frame_type::end, 0, 1, {});
    const auto sealed = record.seal(cipher);
    bytes body(sealed.begin() + 4, sealed.end());
    byte_reader frames(other.open(body), "it");
    EXPECT_EQ(as_text(take_frame(frames).payload), "offer");
    const auto data = take_frame(frames);
    EXPECT_EQ(data.type, frame_type::data);
    EXPECT_EQ(data.transfer, 1U);
    EXPECT_TRUE(std::ranges::equal(data.payload, content));
    EXPECT_EQ(take_frame(frames).type, frame_type::end);
}

TEST(record_buffer, does_without_memory_between_two_records) {
    checking_session cipher(8), other(8);
    record_buffer record(std::size_t{256} << 10, 8);
    for (int i = 0; i < 3; ++i) {
        record.append(frame_type::data, 0, 1, as_bytes("some"));
        const auto sealed = record.seal(cipher);
        bytes body(sealed.begin() + record_length_bytes, sealed.end());
        byte_reader frames(other.open(body), "it");
        EXPECT_EQ(as_text(take_frame(frames).payload), "some");
        record.rest();
        EXPECT_TRUE(record.empty());
        EXPECT_EQ(record.record_bytes(), std::size_t{256} << 10);
    }
}

TEST(record_buffer, room_for_content_ends_with_the_record) {
    checking_session cipher(8);
    record_buffer record(limits::max_record_bytes, 8);
    while (record.fits(1)) {
        const auto room = record.data_room();
        ASSERT_FALSE(room.empty());
        const auto some = std::min<std::size_t>(room.size(), 77777);
        std::ranges::fill(room.first(some), std::byte{1});
        record.commit_data(1, some);
    }
    EXPECT_LE(record.seal(cipher).size(), limits::max_record_bytes);
}

// ---- record_reader ----

TEST(record_reader, gives_what_was_sent_however_it_is_cut_up) {
    sender from;
    for (const std::size_t size : {0, 1, 2, 100, 1023, 8000, 3, 70000, 65526, 65536, 5}) from.data(size);
    const std::vector<std::vector<std::size_t>> ways = {
        {1}, {2}, {3}, {7, 1}, {4, 18}, {13, 64 * 1024, 1}, {4095, 4097}, {65535}, {65536}, {65537}, {}};
    for (std::size_t way = 0; way < ways.size(); ++way) {
        SCOPED_TRACE(way);
        scripted_connection link;
        link.says(from.wire, ways[way]);
        expect_all(link, from);
    }
}

TEST(record_reader, works_without_any_overhead) {
    sender from(0);
    from.data(0).data(5).data(100'000);
    scripted_connection link;
    link.says(from.wire, {11});
    expect_all(link, from, 0);
}

TEST(record_reader, takes_many_records_out_of_one_read) {
    sender from;
    for (int i = 0; i < 500; ++i) from.data(static_cast<std::size_t>(i % 90));
    ASSERT_LT(from.wire.size(), 65536U);
    scripted_connection link;
    link.says(from.wire);
    expect_all(link, from);
    EXPECT_LE(link.reads(), 3U) << "one for all of it, and one for each time that the end was asked for";
}

TEST(record_reader, takes_the_largest_record_and_small_ones_after_it) {
    sender from;
    const auto largest = limits::max_record_bytes - 8 - frame_header_bytes - 4;
    from.data(10).data(largest).data(20).data(0).data(largest).data(largest - 1).data(1);
    for (const auto& steps : std::vector<std::vector<std::size_t>>{{}, {1000}, {65536}, {1 << 20, 3}}) {
        scripted_connection link;
        link.says(from.wire, steps);
        expect_all(link, from);
        // A peer must not make this side ask for, and hold, much more than a record.
        EXPECT_LE(link.largest_read(), limits::max_record_bytes + 8192);
    }
}

// A sender may fill the body to max_record_bytes; the length in front is not counted.
TEST(record_reader, takes_a_body_of_exactly_the_maximum) {
    checking_session sealing(8);
    bytes record(4 + limits::max_record_bytes);
    store_big_endian(mutable_bytes(record), static_cast<std::uint32_t>(limits::max_record_bytes));
    sealing.seal(mutable_bytes(record).subspan(4), limits::max_record_bytes - 8);
    scripted_connection link;
    link.says(record, {99'999});
    checking_session cipher(8);
    record_reader reader(link, cipher);
    const auto got = reader.next();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->size(), limits::max_record_bytes - 8);
}

TEST(record_reader, survives_random_records_in_random_reads) {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        std::minstd_rand random(seed);
        sender from;
        for (int i = 0; i < 60; ++i) from.data(random() % (random() % 8 == 0 ? 200'000 : 3000));
        std::vector<std::size_t> steps;
        for (int i = 0; i < 97; ++i) steps.push_back(1 + random() % (random() % 4 == 0 ? 100'000 : 500));
        scripted_connection link;
        link.says(from.wire, steps);
        expect_all(link, from);
    }
}

TEST(record_reader, does_not_read_far_ahead_of_small_records) {
    sender from;
    for (int i = 0; i < 5000; ++i) from.data(100);
    scripted_connection link;
    link.says(from.wire);
    expect_all(link, from);
    EXPECT_LE(link.largest_read(), 65536U);
}

TEST(record_reader, does_not_read_far_ahead_of_small_records_after_a_large_one) {
    sender from;
    from.data(1'000'000);
    for (int i = 0; i < 5000; ++i) from.data(100);
    scripted_connection link;
    const auto large = const_bytes(from.wire).first(from.starts[1]);
    link.says(large).says(const_bytes(from.wire).subspan(large.size()));
    checking_session cipher(8);
    record_reader reader(link, cipher);
    ASSERT_TRUE(reader.next());
    link.count_again();
    for (int i = 0; i < 5000; ++i) ASSERT_TRUE(reader.next());
    EXPECT_LE(link.largest_read(), 65536U) << "what is read ahead is moved to the front later";
}

TEST(record_reader, an_empty_stream_has_no_records) {
    scripted_connection link;
    expect_all(link, sender());
}

// ---- Lengths ----

// The refusal of a stream that begins with this length.
error refusal_of_length(std::uint32_t length, std::size_t overhead, scripted_connection& link) {
    byte_writer head;
    head.integer(length).bytes(bytes(64));
    link.says(head.view());
    checking_session cipher(overhead);
    record_reader reader(link, cipher);
    return test::error_of([&] { reader.next(); });
}

TEST(record_reader, refuses_lengths_out_of_bounds_before_reading_on) {
    for (const std::uint32_t length : {0U, 1U, 8U, 17U, 0x00100001U, 0x7FFFFFFFU, 0xFFFFFFFFU}) {
        scripted_connection link;
        const auto thrown = refusal_of_length(length, 8, link);
        EXPECT_EQ(thrown.code(), errc::integrity) << length;
        EXPECT_EQ(thrown.what(),
                  "a record announces " + std::to_string(length) +
                      " bytes, which is out of bounds: it was damaged on the way, or the peer is faulty; "
                      "send again over a new connection");
        EXPECT_EQ(link.reads(), 1U);
    }
}

TEST(record_reader, the_shortest_record_depends_on_the_overhead) {
    for (const std::size_t overhead : {0, 8, 40}) {
        scripted_connection link;
        const auto shortest = static_cast<std::uint32_t>(overhead + frame_header_bytes);
        EXPECT_EQ(refusal_of_length(shortest - 1, overhead, link).code(), errc::integrity);
    }
    sender from(40);
    from.data(0);
    ASSERT_EQ(from.wire.size(), 4U + 40 + frame_header_bytes);
    scripted_connection link;
    link.says(from.wire);
    expect_all(link, from, 40);
}

// ---- The end of the stream, and failures of the link ----

TEST(record_reader, an_end_anywhere_within_a_record_is_a_cut) {
    sender from;
    from.data(5).data(9);
    for (std::size_t length = 1; length < from.wire.size(); ++length) {
        for (const std::vector<std::size_t>& steps : {std::vector<std::size_t>{}, std::vector<std::size_t>{1}}) {
            scripted_connection link;
            link.says(const_bytes(from.wire).first(length), steps);
            checking_session cipher(8);
            record_reader reader(link, cipher);
            const bool has_first = length >= from.starts[1];
            if (has_first) {
                ASSERT_TRUE(reader.next()) << length;
            }
            if (length == from.starts[1]) {
                EXPECT_FALSE(reader.next());
                continue;
            }
            const auto thrown = test::error_of([&] { reader.next(); });
            EXPECT_EQ(thrown.code(), errc::disconnected) << length;
            EXPECT_STREQ(thrown.what(), "the link was cut in the middle of a record") << length;
        }
    }
}

TEST(record_reader, passes_on_what_the_link_throws) {
    sender from;
    from.data(50);
    for (const std::size_t length : {std::size_t{0}, std::size_t{3}, std::size_t{20}, from.wire.size()}) {
        scripted_connection link;
        link.says(const_bytes(from.wire).first(length)).fails(error(errc::timed_out, "silence"));
        checking_session cipher(8);
        record_reader reader(link, cipher);
        EXPECT_TRUE(length < from.wire.size() || reader.next());
        EXPECT_STREQ(test::error_of([&] { reader.next(); }).what(), "silence");
    }
}

TEST(record_reader, goes_on_after_a_time_out_without_losing_a_byte) {
    sender from;
    from.data(50).data(3);
    for (std::size_t at = 0; at < from.wire.size(); ++at) {
        scripted_connection link;
        link.says(const_bytes(from.wire).first(at)).is_silent().says(const_bytes(from.wire).subspan(at));
        checking_session cipher(8);
        record_reader reader(link, cipher);
        std::size_t whole = 0;
        while (whole < 2 && at >= (whole == 0 ? from.starts[1] : from.wire.size())) {
            ASSERT_TRUE(reader.next());
            ++whole;
        }
        EXPECT_EQ(test::error_of([&] { reader.next(); }).code(), errc::timed_out);
        for (; whole < 2; ++whole) {
            const auto got = reader.next();
            ASSERT_TRUE(got) << at;
            EXPECT_TRUE(std::ranges::equal(*got, from.expected[whole])) << at;
        }
    }
}

// ---- Damage ----

TEST(record_reader, a_flipped_bit_anywhere_is_found_out) {
    sender from;
    from.data(5).data(30).data(2);
    for (std::size_t at = 0; at < from.wire.size(); ++at) {
        for (const unsigned mask : {0x01U, 0x80U}) {
            auto damaged = from.wire;
            damaged[at] ^= static_cast<std::byte>(mask);
            scripted_connection link;
            link.says(damaged);
            checking_session cipher(8);
            record_reader reader(link, cipher);
            const auto hit = static_cast<std::size_t>(std::upper_bound(from.starts.begin(), from.starts.end(), at) -
                                                      from.starts.begin() - 1);
            for (std::size_t i = 0; i < hit; ++i) {
                const auto got = reader.next();
                ASSERT_TRUE(got && std::ranges::equal(*got, from.expected[i])) << at;
            }
            const auto code = test::error_of([&] { reader.next(); }).code();
            // A length that was changed leads to a record that is too long, too short, cut off, or of other bytes.
            const bool in_length = at - from.starts[hit] < 4;
            const bool is_found_as_length = in_length && code == errc::disconnected;
            EXPECT_TRUE(is_found_as_length || code == errc::integrity) << at << ": " << to_string(code);
        }
    }
}

TEST(record_reader, records_cannot_be_dropped_repeated_or_swapped) {
    sender from;
    from.data(5).data(5).data(5);
    const auto piece = [&](std::size_t i) {
        const auto end = i + 1 < from.starts.size() ? from.starts[i + 1] : from.wire.size();
        return const_bytes(from.wire).subspan(from.starts[i], end - from.starts[i]);
    };
    const std::vector<std::vector<std::size_t>> orders = {{1, 2}, {0, 0, 1, 2}, {0, 2, 1}};
    for (const auto& order : orders) {
        scripted_connection link;
        for (const auto i : order) link.says(piece(i));
        checking_session cipher(8);
        record_reader reader(link, cipher);
        EXPECT_EQ(test::error_of([&] {
                      for (std::size_t i = 0; i < order.size(); ++i) reader.next();
                  }).code(),
                  errc::integrity);
    }
}

TEST(record_reader, tells_a_short_record_before_it_reads_a_long_one) {
    sender from;
    from.data(20).data(100'000).data(30);
    scripted_connection link;
    link.says(from.wire);
    checking_session cipher(8);
    record_reader reader(link, cipher);
    EXPECT_TRUE(reader.is_next_short(100));
    EXPECT_EQ(reader.next()->size(), from.expected[0].size());
    EXPECT_FALSE(reader.is_next_short(100));
    EXPECT_LE(link.largest_read(), 512U) << "next to nothing is held of what has to wait";
    const auto taken = reader.next();
    EXPECT_TRUE(std::equal(taken->begin(), taken->end(), from.expected[1].begin(), from.expected[1].end()));
    EXPECT_TRUE(reader.is_next_short(100));
    EXPECT_EQ(reader.next()->size(), from.expected[2].size());
    EXPECT_FALSE(reader.is_next_short(100)) << "at the end";
    EXPECT_FALSE(reader.next());
}

TEST(record_buffer, has_its_number_in_front_of_all) {
    checking_session cipher(8), opening(8);
    for (const auto other_bytes : {limits::min_record_bytes, 2 * limits::min_record_bytes}) {
        record_buffer filled(limits::min_record_bytes, cipher.overhead(), record_buffer::numbering::ordered);
        EXPECT_TRUE(filled.empty());
        filled.append(frame_type::ping, 0, 0, {});
        record_buffer other(other_bytes, cipher.overhead(), record_buffer::numbering::ordered);
        other.take_over(filled);
        EXPECT_TRUE(filled.empty());
        EXPECT_FALSE(other.empty());
        other.set_number(77);
        EXPECT_EQ(other.sealed_bytes(), 4 + order_frame_bytes + frame_header_bytes + cipher.overhead());
        const auto sealed = other.seal(cipher);
        std::vector<std::byte> body(sealed.begin() + 4, sealed.end());
        const auto taken = take_order(opening.open(body));
        ASSERT_TRUE(taken);
        EXPECT_EQ(taken->number, 77U);
        EXPECT_EQ(taken->rest.size(), frame_header_bytes);
        EXPECT_TRUE(other.empty());
    }
}

}  // namespace
}  // namespace wherry
