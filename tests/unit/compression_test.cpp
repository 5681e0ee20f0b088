// SPDX-License-Identifier: BSD-2-Clause
#include "compression.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "error_of.hpp"
#include "wherry/limits.hpp"

namespace wherry {
namespace {

using testing::HasSubstr;
using until = compressor::until;

constexpr std::size_t kib = 1024;

// Text that shrinks, no stretch of which is like another.
std::string lines(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i)
        text += "vertex " + std::to_string(i * 2654435761u % 100'003) + "\n";
    text.resize(size);
    return text;
}

std::string noise(std::size_t size) {
    std::mt19937 random(7);
    std::string text(size, '\0');
    for (auto& byte : text) byte = static_cast<char>(random());
    return text;
}

// All of `content` in payloads of at most `payload_bytes`, given to the compressor in pieces of `piece_bytes`.
std::vector<std::string> compress_all(compressor& with, std::string_view content, std::size_t piece_bytes,
                                      std::size_t payload_bytes, until each = until::it_suits) {
    std::vector<std::string> payloads;
    std::string payload(payload_bytes, '\0');
    for (bool has_ended = false; !has_ended;) {
        auto piece = content.substr(0, piece_bytes);
        content.remove_prefix(piece.size());
        has_ended = content.empty();
        for (bool is_done = false; !is_done;) {
            const auto step = with.compress(as_bytes(piece), std::as_writable_bytes(std::span(payload)),
                                            has_ended ? until::ended : each);
            piece.remove_prefix(step.taken);
            is_done = step.is_done;
            if (step.made > 0) payloads.push_back(payload.substr(0, step.made));
        }
    }
    return payloads;
}

std::string decompress_all(decompressor& with, const std::vector<std::string>& payloads,
                           std::size_t room_bytes = 128 * kib) {
    std::string content;
    std::vector<std::byte> room(room_bytes);
    for (const auto& payload : payloads)
        with.decompress(as_bytes(payload), room, [&](const_bytes piece) {
            EXPECT_LE(piece.size(), room_bytes);
            content += as_text(piece);
        });
    return content;
}

std::string joined(const std::vector<std::string>& payloads) {
    std::string all;
    for (const auto& payload : payloads) all += payload;
    return all;
}

// A whole zstd frame by libzstd's own means.
std::string compressed(std::string_view content,
                       std::initializer_list<std::pair<ZSTD_cParameter, int>> parameters = {}) {
    auto* const context = ZSTD_createCCtx();
    for (const auto& [name, value] : parameters) ZSTD_CCtx_setParameter(context, name, value);
    std::string made(ZSTD_compressBound(content.size()), '\0');
    made.resize(ZSTD_compress2(context, made.data(), made.size(), content.data(), content.size()));
    ZSTD_freeCCtx(context);
    return made;
}

error refusal_of(const std::vector<std::string>& payloads) {
    return test::error_of([&] {
        decompressor with;
        decompress_all(with, payloads);
    });
}

TEST(compression_test, what_is_compressed_expands_to_the_same_in_any_pieces) {
    compressor compressing;
    decompressor expanding;
    for (const auto size : {std::size_t{0}, std::size_t{1}, std::size_t{2}, 128 * kib - 1, 128 * kib, 128 * kib + 1,
                            1024 * kib - 1, 1024 * kib, 1024 * kib + 1, 2500 * kib})
        for (const auto& content : {lines(size), noise(size)})
            for (const auto& [piece, payload, room] :
                 {std::tuple{128 * kib, 256 * kib, 128 * kib}, std::tuple{std::size_t{9973}, std::size_t{997}, 4 * kib},
                  std::tuple{std::size_t{300'000}, std::size_t{64}, 128 * kib}}) {
                compressing.begin(1, size % 2 == 0 ? std::optional<std::uint64_t>(size) : std::nullopt);
                const auto payloads = compress_all(compressing, content, piece, payload);
                EXPECT_FALSE(compressing.is_open());
                EXPECT_TRUE(decompress_all(expanding, payloads, room) == content) << size << ' ' << piece;
                EXPECT_FALSE(expanding.is_open());
            }
}

TEST(compression_test, text_shrinks_to_what_a_trial_says) {
    compressor compressing;
    const auto content = lines(128 * kib);
    const auto on_trial = compressing.size_on_trial(as_bytes(content), 1);
    EXPECT_LT(on_trial, content.size() / 2);
    EXPECT_GT(compressing.size_on_trial(as_bytes(noise(128 * kib)), 1), 128 * kib - 1);
    compressing.begin(1, content.size());
    EXPECT_LT(joined(compress_all(compressing, content, 128 * kib, 256 * kib)).size(), on_trial + 100);
}

TEST(compression_test, what_one_compressor_lends_leaves_nothing_in_what_another_makes) {
    const auto content = lines(64 * kib);
    std::vector<std::string> of_first;
    for (int round = 0; round < 3; ++round) {
        compressor one;
        one.begin(1, content.size());
        const auto made = compress_all(one, content, 16 * kib, 256 * kib);
        if (round == 0) of_first = made;
        EXPECT_EQ(made, of_first);
        // In the middle of something else, of another level.
        one.begin(6, std::nullopt);
        std::string payload(64 * kib, '\0');
        one.compress(as_bytes(noise(kib)), std::as_writable_bytes(std::span(payload)), until::it_suits);
        one.rest();
        EXPECT_FALSE(one.is_open());
        compressor other;
        EXPECT_GT(other.size_on_trial(as_bytes(noise(128 * kib)), 1), 128 * kib - 1);
        one.begin(1, content.size());
        EXPECT_EQ(compress_all(one, content, 16 * kib, 256 * kib), of_first);
    }
}

TEST(compression_test, what_was_flushed_can_be_expanded_at_once) {
    compressor compressing;
    decompressor expanding;
    compressing.begin(3, std::nullopt);
    std::string payload(4 * kib, '\0');
    for (const std::string line : {"one\n", "two\n", "", "three\n"}) {
        const auto step =
            compressing.compress(as_bytes(line), std::as_writable_bytes(std::span(payload)), until::flushed);
        EXPECT_TRUE(step.is_done);
        if (step.made > 0) {
            EXPECT_EQ(decompress_all(expanding, {payload.substr(0, step.made)}), line);
        }
    }
    EXPECT_TRUE(expanding.is_open());
}

TEST(compression_test, a_frame_that_was_forgotten_leaves_nothing_in_the_next) {
    compressor compressing;
    std::string payload(4 * kib, '\0');
    compressing.begin(3, std::nullopt);
    compressing.compress(as_bytes("left over"), std::as_writable_bytes(std::span(payload)), until::it_suits);
    compressing.forget();
    compressing.begin(3, std::nullopt);
    decompressor expanding;
    EXPECT_EQ(decompress_all(expanding, compress_all(compressing, "fresh", kib, kib)), "fresh");
}

TEST(compression_test, a_decompressor_takes_what_another_compressor_makes) {
    const auto content = lines(300 * kib);
    decompressor expanding;
    // A content size, a checksum, an empty frame, the largest window.
    EXPECT_EQ(decompress_all(expanding, {compressed(content)}), content);
    EXPECT_EQ(decompress_all(expanding, {compressed(content, {{ZSTD_c_checksumFlag, 1}})}), content);
    EXPECT_EQ(decompress_all(expanding, {compressed("")}), "");
    const auto much = lines(3000 * kib);
    EXPECT_EQ(decompress_all(expanding, {compressed(much, {{ZSTD_c_windowLog, 20}, {ZSTD_c_contentSizeFlag, 0}})}),
              much);
}

TEST(compression_test, a_window_larger_than_allowed_is_refused) {
    const auto much = lines(3000 * kib);
    const auto refused = refusal_of({compressed(much, {{ZSTD_c_windowLog, 21}})});
    EXPECT_EQ(refused.code(), errc::protocol);
    EXPECT_THAT(refused.what(), HasSubstr("window of more than 1 MiB"));
    // Written down as its whole content: that is its window.
    auto whole = compressed(std::string(1024 * kib + 1, 'x'), {{ZSTD_c_windowLog, 21}});
    EXPECT_THAT(refusal_of({whole}).what(), HasSubstr("window of more than 1 MiB"));
    // Even where little comes of it, and no memory would be wanted.
    std::string small("\x28\xB5\x2F\xFD\x00\x60\x01\x00\x00", 9);
    EXPECT_THAT(refusal_of({small}).what(), HasSubstr("window of more than 1 MiB"));
    small[5] = '\x50';
    decompressor expanding;
    EXPECT_EQ(decompress_all(expanding, {small}), "");
    small[5] = '\x51';
    EXPECT_THAT(refusal_of({small}).what(), HasSubstr("window of more than 1 MiB"));
}

TEST(compression_test, a_frame_that_wants_a_dictionary_is_refused) {
    std::string frame = compressed("content");
    frame[4] = static_cast<char>(frame[4] | 1);
    EXPECT_THAT(refusal_of({frame}).what(), HasSubstr("dictionary"));
}

TEST(compression_test, what_is_no_zstd_frame_is_refused) {
    const std::string skippable("\x50\x2A\x4D\x18\x04\x00\x00\x00skip", 12);
    const std::string legacy("\x27\xB5\x2F\xFD\x00\x50\x01\x00\x00", 9);
    for (const auto& payload : {std::string(), std::string("\x28\xB5\x2F", 3), std::string("\x28\xB5\x2F\xFD", 4),
                                std::string("plain text"), skippable, skippable + compressed("content"), legacy}) {
        const auto refused = refusal_of({payload});
        EXPECT_EQ(refused.code(), errc::protocol) << payload.size();
    }
    EXPECT_THAT(refusal_of({skippable}).what(), HasSubstr("does not begin as a zstd frame does"));
}

TEST(compression_test, bytes_behind_the_end_are_refused) {
    const auto frame = compressed("content");
    for (const auto& behind : {std::string("x"), std::string("\0", 1), frame}) {
        const auto refused = refusal_of({frame + behind});
        EXPECT_EQ(refused.code(), errc::protocol);
        EXPECT_THAT(refused.what(), HasSubstr("bytes behind its end"));
    }
    // Its own payload is where the next frame begins.
    decompressor expanding;
    EXPECT_EQ(decompress_all(expanding, {frame, frame}), "contentcontent");
}

TEST(compression_test, a_frame_that_is_cut_anywhere_never_counts_as_whole) {
    const auto frame = compressed(lines(2000), {{ZSTD_c_checksumFlag, 1}});
    for (std::size_t length = 0; length < frame.size(); ++length) {
        decompressor expanding;
        try {
            decompress_all(expanding, {frame.substr(0, length)});
            EXPECT_TRUE(expanding.is_open()) << length;
        } catch (const error& e) {
            EXPECT_EQ(e.code(), errc::protocol);
        }
    }
}

TEST(compression_test, damage_within_is_refused_or_harmless) {
    const auto content = lines(5000);
    const auto frame = compressed(content, {{ZSTD_c_checksumFlag, 1}});
    std::size_t refused = 0;
    for (std::size_t at = 4; at < frame.size(); ++at) {
        auto damaged = frame;
        damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
        decompressor expanding;
        try {
            const auto came = decompress_all(expanding, {damaged});
            // Some bits mean nothing.
            if (!expanding.is_open()) {
                EXPECT_TRUE(came == content) << at;
            }
        } catch (const error& e) {
            EXPECT_EQ(e.code(), errc::protocol);
            ++refused;
        }
    }
    EXPECT_GT(refused, frame.size() / 2);
}

TEST(compression_test, a_bomb_comes_in_pieces_that_can_be_refused) {
    const auto bomb =
        compressed(std::string(64 * kib * kib, '\0'), {{ZSTD_c_windowLog, 17}, {ZSTD_c_contentSizeFlag, 0}});
    ASSERT_LT(bomb.size(), 16 * kib);
    decompressor expanding;
    std::vector<std::byte> room(128 * kib);
    std::size_t came = 0;
    const auto refused = test::error_of([&] {
        expanding.decompress(as_bytes(bomb), room, [&](const_bytes piece) {
            came += piece.size();
            if (came > 1000 * kib) throw error(errc::exhausted, "enough");
        });
    });
    EXPECT_EQ(refused.code(), errc::exhausted);
    EXPECT_LE(came, 1000 * kib + room.size());
}

}  // namespace
}  // namespace wherry
