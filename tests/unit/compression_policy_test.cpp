// SPDX-License-Identifier: BSD-2-Clause
#include "compression_policy.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace wherry {
namespace {

using namespace std::chrono_literals;
using duration = compression_policy::duration;

constexpr std::size_t kib = 1024, mib = 1024 * kib;
constexpr std::size_t tcp_records = 256 * kib, rfcomm_records = 8 * kib;

// A link, a compressor and content, in time that passes only here.
struct scene {
    double link_cost = 0;  // nanoseconds that a byte blocks writes
    double ratio = 0.2;    // what is left of the content
    double compression_cost = 3;
    double storing_cost = 0;    // nanoseconds that a byte of content takes the receiver, in parallel with this side
    std::size_t swallowed = 0;  // by buffers, before a write is blocked

    std::size_t compressed = 0, plain = 0, trials = 0, wire = 0;

    static duration time(double nanoseconds) { return duration(static_cast<duration::rep>(nanoseconds)); }

    // Sends content in pieces of 128 KiB, as content_encoder does.
    void send(compression_policy& policy, std::size_t bytes) {
        constexpr std::size_t piece = 128 * kib;
        const auto shrunk = static_cast<std::size_t>(ratio * piece);
        for (std::size_t sent = 0; sent < bytes; sent += piece) {
            if (policy.wants_trial()) {
                ++trials;
                policy.tried(piece, shrunk, time(compression_cost * piece));
            }
            std::size_t out = piece;
            double busy = 0;
            if (policy.wants_compressed()) {
                const double cost = compression_cost * (policy.level() == compression_policy::fast_level ? 1 : 8);
                busy = cost * piece;
                policy.compressed(piece, shrunk, time(busy));
                compressed += piece;
                out = shrunk;
            } else {
                policy.left_alone(piece);
                plain += piece;
            }
            const std::size_t room = swallowed > wire ? swallowed - wire : 0;
            const auto waits = out - std::min(out, room);
            wire += out;
            const double link_takes = link_cost * static_cast<double>(waits);
            const double blocked = std::max(link_takes, storing_cost * piece - busy);
            policy.wrote(out, time(std::max(0.0, blocked) + 0.2 * static_cast<double>(out)));
        }
    }
};

constexpr double two_megabit = 4000, gigabit = 8, loopback = 0.5;

TEST(compression_policy_test, a_slow_link_gets_all_of_it_compressed) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene slow{two_megabit};
    slow.send(policy, 40 * mib);
    EXPECT_EQ(slow.plain, 0u);
    EXPECT_EQ(slow.trials, 1u);
}

TEST(compression_policy_test, a_slow_link_behind_large_buffers_gets_most_of_it_compressed) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene slow{two_megabit};
    slow.swallowed = 4 * mib;
    slow.send(policy, 100 * mib);
    EXPECT_LT(slow.plain, 4 * mib);
}

TEST(compression_policy_test, a_fast_link_gets_most_of_it_as_it_is) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene fast{loopback};
    fast.send(policy, 1000 * mib);
    // Until it showed.
    EXPECT_GT(fast.compressed, 0u);
    EXPECT_LT(fast.compressed, 16 * mib);
    EXPECT_EQ(fast.trials, 1u);
    // It stays known.
    policy.begin_content();
    fast.compressed = 0;
    fast.send(policy, 1000 * mib);
    EXPECT_EQ(fast.compressed, 0u);
    EXPECT_EQ(fast.trials, 1u);
}

TEST(compression_policy_test, a_receiver_that_is_hardly_slower_than_the_compressor_is_not_taken_for_a_slow_link) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene fast{loopback};
    fast.ratio = 0.05;
    // Writes of the little that is left wait for it, now and then.
    fast.storing_cost = 4;
    fast.send(policy, 1000 * mib);
    EXPECT_LT(fast.compressed, 64 * mib);
}

TEST(compression_policy_test, a_fast_link_that_stands_still_for_a_moment_stays_fast) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene fast{loopback};
    fast.send(policy, 100 * mib);
    fast.compressed = 0;
    for (int i = 0; i < 100; ++i) {
        policy.wrote(0, 5ms);
        fast.send(policy, 10 * mib);
    }
    EXPECT_EQ(fast.compressed, 0u);
    policy.wrote(0, 1s);
    fast.send(policy, 1000 * mib);
    EXPECT_LT(fast.compressed, 64 * mib);
}

TEST(compression_policy_test, a_link_between_is_measured_and_compressed_for) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene between{gigabit};
    between.send(policy, 1000 * mib);
    EXPECT_GT(between.compressed, 900 * mib);
}

TEST(compression_policy_test, a_link_between_is_left_alone_where_the_content_hardly_shrinks) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene between{gigabit};
    between.ratio = 0.8;
    between.send(policy, 1000 * mib);
    EXPECT_LT(between.compressed, 16 * mib);
}

TEST(compression_policy_test, content_that_does_not_shrink_is_left_alone_and_tried_now_and_then) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene slow{two_megabit};
    slow.ratio = 1;
    slow.send(policy, 40 * mib);
    EXPECT_EQ(slow.compressed, 0u);
    EXPECT_GE(slow.trials, 2u);
    EXPECT_LE(slow.trials, 10u);
}

TEST(compression_policy_test, content_that_changes_its_kind_is_found_out) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene slow{two_megabit};
    slow.send(policy, 10 * mib);
    EXPECT_EQ(slow.plain, 0u);
    slow.ratio = 1;
    slow.compressed = 0;
    slow.send(policy, 20 * mib);
    EXPECT_LE(slow.compressed, 2 * mib);
    slow.ratio = 0.1;
    slow.plain = 0;
    slow.send(policy, 20 * mib);
    EXPECT_LE(slow.plain, 5 * mib);
}

TEST(compression_policy_test, content_that_does_not_shrink_says_nothing_of_the_compressor) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene slow{two_megabit};
    slow.swallowed = 4 * mib;
    slow.ratio = 1;
    slow.compression_cost = 0.1;
    slow.send(policy, 3 * mib);
    // Buffers took that at once, which is not fast enough to be sure.
    policy.begin_content();
    slow.ratio = 0.2;
    slow.compression_cost = 3;
    slow.plain = 0;
    slow.send(policy, 40 * mib);
    EXPECT_EQ(slow.plain, 0u);
}

TEST(compression_policy_test, small_records_say_that_the_link_is_slow) {
    compression_policy policy(rfcomm_records);
    policy.begin_content();
    scene slow{two_megabit};
    // More than all of what buffers may hide elsewhere.
    slow.swallowed = 100 * mib;
    slow.send(policy, 20 * mib);
    EXPECT_EQ(slow.plain, 0u);
    EXPECT_EQ(policy.level(), compression_policy::thorough_level);
}

TEST(compression_policy_test, a_slow_link_is_worth_the_thorough_level) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene slow{two_megabit};
    EXPECT_EQ(policy.level(), compression_policy::fast_level);
    slow.send(policy, 4 * mib);
    EXPECT_EQ(policy.level(), compression_policy::thorough_level);
    scene faster{gigabit};
    faster.send(policy, 100 * mib);
    EXPECT_EQ(policy.level(), compression_policy::fast_level);
}

TEST(compression_policy_test, a_link_that_becomes_fast_is_noticed) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene link{two_megabit};
    link.send(policy, 20 * mib);
    link.link_cost = loopback;
    link.send(policy, 400 * mib);
    link.compressed = 0;
    link.send(policy, 400 * mib);
    EXPECT_EQ(link.compressed, 0u);
}

TEST(compression_policy_test, a_link_that_becomes_slow_is_noticed) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    scene link{loopback};
    link.send(policy, 100 * mib);
    link.link_cost = two_megabit;
    link.plain = 0;
    link.send(policy, 100 * mib);
    EXPECT_LE(link.plain, 2 * mib);
}

TEST(compression_policy_test, a_trickle_is_compressed_without_a_trial) {
    compression_policy policy(tcp_records);
    policy.begin_content();
    EXPECT_TRUE(policy.wants_trial());
    policy.cannot_try();
    EXPECT_TRUE(policy.wants_compressed());
    EXPECT_FALSE(policy.wants_trial());
}

}  // namespace
}  // namespace wherry
