// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/secure_channel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "memory_stream.hpp"
#include "plain_cipher.hpp"
#include "wherry/text.hpp"

namespace wherry {
namespace {

using test::memory_link;
using test::plain_cipher;
using testing::HasSubstr;

constexpr channel_options quick = {std::chrono::milliseconds(200), std::chrono::milliseconds(1000)};

std::optional<error> failure_of(const std::function<void()>& act) {
    try {
        act();
    } catch (const error& e) {
        return e;
    }
    return std::nullopt;
}

struct outcome {
    std::optional<error> initiator, responder;
};

// Opens both ends, each up to where records can flow.
outcome open_both(const std::string& initiators_cipher, const std::string& responders_cipher,
                  const peer_verifier& verify = nullptr) {
    memory_link link;
    plain_cipher cipher;
    auto responder = std::async(std::launch::async, [&] {
        return failure_of([&] {
            secure_channel::open(role::responder, std::move(link.responder), cipher, responders_cipher, verify, quick)
                ->complete();
        });
    });
    outcome both;
    both.initiator = failure_of([&] {
        secure_channel::open(role::initiator, std::move(link.initiator), cipher, initiators_cipher, nullptr, quick)
            ->complete();
    });
    both.responder = responder.get();
    return both;
}

// What a responder makes of a peer that says this.
std::optional<error> responder_hears(const_bytes said, bool and_closes) {
    memory_link link;
    plain_cipher cipher;
    if (!said.empty()) link.initiator->write_all(said);
    if (and_closes) link.initiator->shutdown_write();
    return failure_of(
        [&] { secure_channel::open(role::responder, std::move(link.responder), cipher, "plain", nullptr, quick); });
}

TEST(secure_channel, opens_between_two_sides_that_agree) {
    const auto both = open_both("plain", "plain");
    EXPECT_FALSE(both.initiator) << both.initiator->what();
    EXPECT_FALSE(both.responder) << both.responder->what();
}

TEST(secure_channel, two_ciphers_are_named_on_both_sides) {
    const auto both = open_both("plain", "other");
    ASSERT_TRUE(both.initiator && both.responder);
    EXPECT_EQ(both.initiator->code(), errc::disconnected);
    EXPECT_EQ(both.initiator->system_error(), EPROTONOSUPPORT);
    EXPECT_EQ(both.responder->code(), errc::protocol);
    EXPECT_THAT(both.initiator->what(), HasSubstr("the peer uses the cipher 'other', this side 'plain', or the opening "
                                                  "was altered on the way"));
    EXPECT_THAT(both.responder->what(), HasSubstr("the peer uses the cipher 'plain', this side 'other'"));
}

TEST(secure_channel, a_refused_initiator_learns_it_from_the_cipher) {
    const auto both =
        open_both("plain", "plain", [](const identity&) -> std::string { throw error(errc::auth_failed, "not here"); });
    ASSERT_TRUE(both.initiator && both.responder);
    EXPECT_EQ(both.initiator->code(), errc::auth_failed);
    EXPECT_EQ(both.responder->code(), errc::auth_failed);
}

TEST(secure_channel, another_version_is_named_on_both_sides) {
    memory_link link;
    plain_cipher cipher;
    link.initiator->write_all(as_bytes("\x89wherry\n\x07whatever follows"));
    link.initiator->shutdown_write();
    const auto failure = failure_of(
        [&] { secure_channel::open(role::responder, std::move(link.responder), cipher, "plain", nullptr, quick); });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_THAT(failure->what(), HasSubstr("the peer speaks version 7 of the protocol, this side version 1"));
    // It was told ours, so that it can say the same.
    std::array<std::byte, 15> answer;
    EXPECT_EQ(link.initiator->read_some(answer), 15u);
    EXPECT_EQ(as_text(answer), "\x89wherry\n\x01\x05plain");
}

TEST(secure_channel, what_speaks_something_else_is_quoted_harmlessly) {
    const auto failure = responder_hears(as_bytes("GET / HTTP/1.1\r\n\x1b[2J"), false);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_THAT(failure->what(), HasSubstr("speaks no wherry; it began with 'GET / HTTP/1.1\\x0D\\x0A\\x1B[2J"));
}

TEST(secure_channel, what_says_little_and_waits_is_quoted_at_once) {
    for (const std::string_view said : {"+OK\r\n", "220 ready\n", "\x89PNG\r\n\x1a\n", "\x89wherr!"}) {
        memory_link link;
        plain_cipher cipher;
        link.initiator->write_all(as_bytes(said));
        // Whoever waited for more would wait for an hour.
        const channel_options patient = {std::chrono::hours(1), std::chrono::hours(1)};
        const auto failure = failure_of([&] {
            secure_channel::open(role::responder, std::move(link.responder), cipher, "plain", nullptr, patient);
        });
        ASSERT_TRUE(failure);
        EXPECT_EQ(failure->code(), errc::protocol) << failure->what();
        EXPECT_THAT(failure->what(), HasSubstr("speaks no wherry; it began with '" + printable(said) + "'"));
    }
}

TEST(secure_channel, a_preface_may_come_in_any_pieces) {
    const std::string preface("\x89wherry\n\x01\x05plain", 15);
    for (std::size_t cut = 1; cut < preface.size(); ++cut) {
        memory_link link;
        plain_cipher cipher;
        auto dribble = std::async(std::launch::async, [&, to = std::move(link.initiator)] {
            to->write_all(as_bytes(preface.substr(0, cut)));
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            to->write_all(as_bytes(preface.substr(cut)));
            to->shutdown_write();
        });
        const auto failure = failure_of(
            [&] { secure_channel::open(role::responder, std::move(link.responder), cipher, "plain", nullptr, quick); });
        // It got as far as the handshake.
        ASSERT_TRUE(failure);
        EXPECT_THAT(failure->what(), HasSubstr("closed in the handshake")) << cut;
        dribble.get();
    }
}

TEST(secure_channel, a_peer_that_says_nothing_is_given_up) {
    const auto failure = responder_hears({}, false);
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::timed_out);
}

TEST(secure_channel, a_peer_that_dribbles_is_given_up_all_the_same) {
    memory_link link;
    plain_cipher cipher;
    std::atomic<bool> over = false;
    auto dribble = std::async(std::launch::async, [&, to = std::move(link.initiator)] {
        // One byte now and then would keep a time limit for each read from ever ending.
        const std::string preface("\x89wherry\n\x01\x20", 10);
        for (std::size_t i = 0; !over; ++i) {
            try {
                to->write_all(as_bytes(i < preface.size() ? preface.substr(i, 1) : "a"));
            } catch (const error&) {
                return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
    });
    const auto failure = failure_of(
        [&] { secure_channel::open(role::responder, std::move(link.responder), cipher, "plain", nullptr, quick); });
    over = true;
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::timed_out);
}

TEST(secure_channel, a_preface_cut_at_any_byte_is_a_lost_peer) {
    const std::string preface("\x89wherry\n\x01\x05plainh", 16);
    for (std::size_t length = 0; length < preface.size(); ++length) {
        const auto failure = responder_hears(as_bytes(preface.substr(0, length)), true);
        ASSERT_TRUE(failure) << length;
        EXPECT_EQ(failure->code(), errc::disconnected) << length;
    }
    EXPECT_FALSE(responder_hears(as_bytes(preface), true));
}

TEST(secure_channel, a_preface_changed_in_any_byte_is_refused) {
    const std::string preface("\x89wherry\n\x01\x05plainh", 16);
    for (std::size_t at = 0; at + 1 < preface.size(); ++at) {
        auto changed = preface;
        changed[at] = static_cast<char>(changed[at] ^ 0x40);
        const auto failure = responder_hears(as_bytes(changed), true);
        ASSERT_TRUE(failure) << at;
        // A changed length, at 9, is out of bounds.
        EXPECT_EQ(failure->code(), errc::protocol) << at;
    }
}

TEST(secure_channel, an_initiator_finds_out_that_there_is_no_wherry) {
    memory_link link;
    plain_cipher cipher;
    link.responder->write_all(as_bytes("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"));
    auto opened = secure_channel::open(role::initiator, std::move(link.initiator), cipher, "plain", nullptr, quick);
    const auto failure = failure_of([&] { opened->complete(); });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_THAT(failure->what(), HasSubstr("SSH-2.0"));
}

}  // namespace
}  // namespace wherry
