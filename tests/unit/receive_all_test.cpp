// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/receive_all.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "error_of.hpp"
#include "memory_stream.hpp"
#include "scripted_connection.hpp"

namespace wherry {
namespace {

using bytes = std::vector<std::byte>;
using test::scripted_connection;
using namespace std::chrono_literals;

bytes pattern(std::size_t size) {
    bytes made(size);
    std::minstd_rand random(42);
    for (auto& byte : made) byte = static_cast<std::byte>(random() >> 8);
    return made;
}

// Both forms of receive_all, which must not differ: into a buffer, and piece by piece.
enum class form { buffer, pieces };

class receive_all_of : public testing::TestWithParam<form> {
protected:
    struct outcome {
        received how;
        bytes content;
    };

    outcome receive(connection& from, const receive_all_options& options = {}) const {
        outcome out{};
        if (GetParam() == form::buffer) {
            growing_buffer into;
            out.how = receive_all(from, options, into);
            out.content.assign(into.bytes().begin(), into.bytes().end());
        } else {
            out.how = receive_all(from, options, [&](const_bytes piece) {
                EXPECT_FALSE(piece.empty());
                out.content.insert(out.content.end(), piece.begin(), piece.end());
            });
        }
        EXPECT_EQ(out.how.bytes, out.content.size());
        return out;
    }

    static receive_all_options at_most(std::uint64_t bytes) {
        receive_all_options options;
        options.max_bytes = bytes;
        return options;
    }
};

INSTANTIATE_TEST_SUITE_P(both, receive_all_of, testing::Values(form::buffer, form::pieces), [](const auto& info) {
    return info.param == form::buffer ? std::string("buffer") : std::string("pieces");
});

// ---- The three ends ----

TEST_P(receive_all_of, a_peer_that_closes) {
    scripted_connection link;
    link.says(as_bytes("all there is"));
    const auto [how, content] = receive(link);
    EXPECT_EQ(how.how, receive_end::closed);
    EXPECT_EQ(as_text(content), "all there is");
}

TEST_P(receive_all_of, a_peer_that_falls_silent) {
    scripted_connection link;
    link.says(as_bytes("a reading")).is_silent().says(as_bytes("too late"));
    const auto [how, content] = receive(link);
    EXPECT_EQ(how.how, receive_end::idle);
    EXPECT_EQ(as_text(content), "a reading");
    EXPECT_EQ(link.unread(), 8U);
}

TEST_P(receive_all_of, a_peer_that_has_more_than_the_limit) {
    scripted_connection link;
    link.says(as_bytes("1234567890"));
    const auto [how, content] = receive(link, at_most(4));
    EXPECT_EQ(how.how, receive_end::limit);
    EXPECT_EQ(as_text(content), "1234");
    EXPECT_GE(link.unread(), 5U) << "what is above stays where it is, but for the byte that shows that there is more";
}

TEST_P(receive_all_of, exactly_the_limit_is_within_it) {
    for (const std::vector<std::size_t>& steps : {std::vector<std::size_t>{}, std::vector<std::size_t>{1}}) {
        scripted_connection link;
        link.says(as_bytes("1234"), steps);
        const auto [how, content] = receive(link, at_most(4));
        EXPECT_EQ(how.how, receive_end::closed);
        EXPECT_EQ(as_text(content), "1234");
    }
}

TEST_P(receive_all_of, exactly_the_limit_and_then_silence_is_idle) {
    scripted_connection link;
    link.says(as_bytes("1234")).is_silent();
    const auto [how, content] = receive(link, at_most(4));
    EXPECT_EQ(how.how, receive_end::idle);
    EXPECT_EQ(as_text(content), "1234");
}

TEST_P(receive_all_of, one_byte_more_than_the_limit_is_beyond_it) {
    for (const std::vector<std::size_t>& steps : {std::vector<std::size_t>{}, std::vector<std::size_t>{1}}) {
        scripted_connection link;
        link.says(as_bytes("12345"), steps);
        const auto [how, content] = receive(link, at_most(4));
        EXPECT_EQ(how.how, receive_end::limit);
        EXPECT_EQ(as_text(content), "1234");
    }
}

TEST_P(receive_all_of, a_limit_of_nothing_tells_nothing_from_something) {
    scripted_connection quiet, talkative, silent;
    talkative.says(as_bytes("x"));
    silent.is_silent();
    EXPECT_EQ(receive(quiet, at_most(0)).how.how, receive_end::closed);
    EXPECT_EQ(receive(talkative, at_most(0)).how.how, receive_end::limit);
    EXPECT_EQ(receive(silent, at_most(0)).how.how, receive_end::idle);
}

TEST_P(receive_all_of, nothing_at_all) {
    scripted_connection link;
    const auto [how, content] = receive(link);
    EXPECT_EQ(how.how, receive_end::closed);
    EXPECT_TRUE(content.empty());
}

TEST_P(receive_all_of, silence_before_the_first_byte) {
    scripted_connection link;
    link.is_silent();
    const auto [how, content] = receive(link);
    EXPECT_EQ(how.how, receive_end::idle);
    EXPECT_TRUE(content.empty());
}

// ---- Content ----

TEST_P(receive_all_of, one_byte_at_a_time) {
    const auto sent = pattern(20'000);
    scripted_connection link;
    link.says(sent, {1});
    EXPECT_EQ(receive(link).content, sent);
}

TEST_P(receive_all_of, sizes_around_its_own_piece) {
    constexpr std::size_t piece = std::size_t{256} << 10;
    for (const std::size_t size : {piece - 1, piece, piece + 1, 2 * piece - 1, 2 * piece, 2 * piece + 1}) {
        const auto sent = pattern(size);
        for (const std::vector<std::size_t>& steps :
             {std::vector<std::size_t>{}, std::vector<std::size_t>{1021, 65536}}) {
            scripted_connection link;
            link.says(sent, steps);
            const auto [how, content] = receive(link);
            EXPECT_EQ(how.how, receive_end::closed);
            ASSERT_TRUE(content == sent) << size;
            for (const std::uint64_t limit : {size - 1, size, size + 1}) {
                scripted_connection again;
                again.says(sent, steps);
                const auto limited = receive(again, at_most(limit));
                EXPECT_EQ(limited.how.how, limit < size ? receive_end::limit : receive_end::closed);
                EXPECT_EQ(limited.content.size(), std::min<std::uint64_t>(limit, size));
            }
        }
    }
}

TEST_P(receive_all_of, much) {
    const auto sent = pattern(std::size_t{48} << 20);
    scripted_connection link;
    link.says(sent, {1 << 20, 3, 70'001});
    ASSERT_TRUE(receive(link).content == sent);
}

// ---- Manners ----

TEST_P(receive_all_of, leaves_the_waiting_to_the_connection) {
    scripted_connection link;
    link.says(as_bytes("abc"), {1}).is_silent();
    receive_all_options options;
    options.idle_timeout = 1234ms;
    receive(link, options);
    EXPECT_EQ(link.read_timeout(), 1234ms);
    EXPECT_EQ(link.reads(), 4U) << "one for each byte and one for the silence: a loop that polls has more";
}

TEST_P(receive_all_of, waits_for_ever_without_an_idle_timeout) {
    scripted_connection link;
    receive_all_options options;
    options.idle_timeout = 0ms;
    receive(link, options);
    EXPECT_EQ(link.read_timeout(), 0ms);
}

TEST_P(receive_all_of, stops_at_the_end_of_the_stream) {
    scripted_connection link;
    link.says(as_bytes("abc"));
    receive(link);
    EXPECT_EQ(link.reads_at_end(), 1U);
}

TEST_P(receive_all_of, never_asks_for_more_than_the_limit_leaves) {
    scripted_connection link;
    link.says(pattern(1000), {10});
    receive(link, at_most(100));
    EXPECT_LE(link.largest_read(), 100U);
}

TEST_P(receive_all_of, passes_on_failures_of_the_link) {
    for (const auto code : {errc::disconnected, errc::io, errc::internal}) {
        scripted_connection link;
        link.says(as_bytes("abc")).fails(error(code, "cable pulled", 5));
        const auto thrown = test::error_of([&] { receive(link); });
        EXPECT_EQ(thrown.code(), code);
        EXPECT_STREQ(thrown.what(), "cable pulled");
        EXPECT_EQ(thrown.system_error(), 5);
    }
}

TEST_P(receive_all_of, passes_on_a_failure_while_it_looks_beyond_the_limit) {
    scripted_connection link;
    link.says(as_bytes("abc")).fails(error(errc::disconnected, "cable pulled"));
    EXPECT_EQ(test::error_of([&] { receive(link, at_most(3)); }).code(), errc::disconnected);
}

// Against a clock: it ends when the silence has lasted, does not before, and sleeps meanwhile.
TEST_P(receive_all_of, counts_the_silence_from_the_last_byte) {
    test::memory_link link;
    std::thread peer([&] {
        // Longer than the idle timeout in all, and each pause well below it.
        for (const auto* const piece : {"abc", "def", "ghi"}) {
            link.forward->write(as_bytes(piece));
            std::this_thread::sleep_for(1200ms);
        }
    });
    receive_all_options options;
    options.idle_timeout = 2000ms;
    const auto [how, content] = receive(*link.responder, options);
    peer.join();
    EXPECT_EQ(how.how, receive_end::idle);
    EXPECT_EQ(as_text(content), "abcdefghi");
}

// ---- Piece by piece ----

TEST(receive_all_pieces, what_consume_throws_ends_it) {
    scripted_connection link;
    link.says(as_bytes("abc"), {1});
    int calls = 0;
    EXPECT_THROW(receive_all(link, {},
                             [&](const_bytes) {
                                 if (++calls == 2) throw std::out_of_range("mine");
                             }),
                 std::out_of_range);
    EXPECT_EQ(calls, 2);
    EXPECT_EQ(link.unread(), 1U);
}

// A sink that times out is no silent peer: to call it the end would be to call a part the whole.
TEST(receive_all_pieces, a_time_out_of_consume_is_not_the_silence_of_the_peer) {
    scripted_connection link;
    link.says(as_bytes("abc"), {1});
    const auto thrown = test::error_of(
        [&] { receive_all(link, {}, [&](const_bytes) { throw error(errc::timed_out, "the disk does not answer"); }); });
    EXPECT_EQ(thrown.code(), errc::timed_out);
    EXPECT_STREQ(thrown.what(), "the disk does not answer");
}

TEST(receive_all_pieces, consume_may_set_another_read_timeout) {
    scripted_connection link;
    link.says(as_bytes("abc"), {1}).is_silent();
    receive_all(link, {}, [&](const_bytes) { link.set_read_timeout(7ms); });
    EXPECT_EQ(link.read_timeout(), 7ms);
}

TEST(receive_all_pieces, goes_on_behind_a_silence_when_it_is_called_again) {
    scripted_connection link;
    link.says(as_bytes("first")).is_silent().says(as_bytes("second"));
    std::string all;
    const auto keep = [&](const_bytes piece) { all += as_text(piece); };
    EXPECT_EQ(receive_all(link, {}, keep).how, receive_end::idle);
    EXPECT_EQ(receive_all(link, {}, keep).how, receive_end::closed);
    EXPECT_EQ(all, "firstsecond");
}

TEST(receive_all_pieces, hands_over_what_came_before_it_waits_for_more) {
    scripted_connection link;
    link.says(as_bytes("abcdef"), {2, 1, 3});
    std::vector<std::string> pieces;
    receive_all(link, {}, [&](const_bytes piece) { pieces.emplace_back(as_text(piece)); });
    EXPECT_EQ(pieces, (std::vector<std::string>{"ab", "c", "def"}));
}

// ---- Into a buffer ----

TEST(receive_all_buffer, comes_behind_what_is_there) {
    growing_buffer into;
    into.room(4)[0] = std::byte{'>'};
    into.commit(1);
    scripted_connection link;
    link.says(as_bytes("abcdef"));
    receive_all_options options;
    options.max_bytes = 3;
    const auto how = receive_all(link, options, into);
    EXPECT_EQ(how.bytes, 3U) << "counts what came, and so does the limit";
    EXPECT_EQ(as_text(into.bytes()), ">abc");
}

TEST(receive_all_buffer, keeps_what_came_before_a_failure) {
    growing_buffer into;
    scripted_connection link;
    link.says(as_bytes("abc")).fails(error(errc::disconnected, "gone"));
    test::error_of([&] { receive_all(link, {}, into); });
    EXPECT_EQ(as_text(into.bytes()), "abc");
}

TEST(growing_buffer, is_empty_at_first) {
    const growing_buffer buffer;
    EXPECT_EQ(buffer.size(), 0U);
    EXPECT_TRUE(buffer.bytes().empty());
}

TEST(growing_buffer, gives_at_least_the_room_that_is_wanted) {
    growing_buffer buffer;
    for (const std::size_t wanted : {1, 7, 4096, 100'000, 3}) {
        auto room = buffer.room(wanted);
        ASSERT_GE(room.size(), wanted);
        std::ranges::fill(room, static_cast<std::byte>(wanted));  // a sanitizer sees if it is not ours
        buffer.commit(wanted);
    }
    EXPECT_EQ(buffer.size(), 1U + 7 + 4096 + 100'000 + 3);
    EXPECT_EQ(buffer.bytes()[1], std::byte{7});
    EXPECT_EQ(buffer.bytes().back(), std::byte{3});
}

TEST(growing_buffer, room_that_is_not_committed_is_given_again) {
    growing_buffer buffer;
    const auto first = buffer.room(100);
    const auto second = buffer.room(100);
    EXPECT_EQ(first.data(), second.data());
    EXPECT_EQ(buffer.size(), 0U);
}

// Quadratic copying would show as a move at every so many bytes rather than at every doubling.
TEST(growing_buffer, moves_seldom_however_small_the_steps) {
    growing_buffer buffer;
    std::size_t growths = 0, room_left = 0;
    for (std::size_t i = 0; i < (std::size_t{4} << 20); ++i) {
        const auto room = buffer.room(1);
        if (room_left == 0) ++growths;
        room_left = room.size() - 1;
        room[0] = static_cast<std::byte>(i);
        buffer.commit(1);
    }
    EXPECT_LE(growths, 24U);
    EXPECT_EQ(buffer.bytes()[3'000'000], static_cast<std::byte>(3'000'000));
}

TEST(growing_buffer, refuses_what_memory_cannot_hold) {
    growing_buffer buffer;
    buffer.room(10);
    buffer.commit(10);
    constexpr auto most = std::numeric_limits<std::size_t>::max();
    for (const std::size_t wanted : {most, most - 5, most - 10, most / 2}) {
#ifdef WHERRY_SANITIZED
        if (wanted <= most - 10) continue;  // a sanitizer's realloc ends the program rather than say no
#endif
        EXPECT_EQ(test::error_of([&] { buffer.room(wanted); }).code(), errc::exhausted) << wanted;
        EXPECT_EQ(buffer.size(), 10U);
    }
    EXPECT_GE(buffer.room(1).size(), 1U) << "and goes on";
}

TEST(growing_buffer, moves_with_its_bytes) {
    growing_buffer first;
    std::ranges::copy(as_bytes("abc"), first.room(3).begin());
    first.commit(3);
    const auto* const at = first.bytes().data();

    growing_buffer second(std::move(first));
    EXPECT_EQ(second.bytes().data(), at);
    EXPECT_EQ(as_text(second.bytes()), "abc");
    EXPECT_EQ(first.size(), 0U);  // NOLINT: what it is after a move is the point
    EXPECT_GE(first.room(1).size(), 1U) << "and can be used again";

    growing_buffer third;
    std::ranges::copy(as_bytes("gone"), third.room(4).begin());
    third.commit(4);
    third = std::move(second);
    EXPECT_EQ(as_text(third.bytes()), "abc");

    auto& same = third;
    third = std::move(same);
    EXPECT_EQ(as_text(third.bytes()), "abc");
}

TEST(receive_end_name, is_the_word_in_the_log) {
    EXPECT_EQ(to_string(receive_end::closed), "close");
    EXPECT_EQ(to_string(receive_end::idle), "silence");
    EXPECT_EQ(to_string(receive_end::limit), "limit");
    EXPECT_EQ(to_string(receive_end::cut), "cut");
}

}  // namespace
}  // namespace wherry
