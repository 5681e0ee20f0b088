// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/retry.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <vector>

namespace wherry {
namespace {

using std::chrono::milliseconds;
using progress = retry_schedule::progress;

TEST(retry, failures_that_another_attempt_may_mend) {
    EXPECT_TRUE(is_cut_off(errc::disconnected, false));
    EXPECT_TRUE(is_cut_off(errc::timed_out, false));
    EXPECT_TRUE(is_cut_off(errc::disconnected, true));  // the receiver is about to end
    EXPECT_FALSE(is_cut_off(errc::timed_out, true));    // its sink waited in vain
    EXPECT_TRUE(is_cut_off(errc::integrity, false));
    EXPECT_TRUE(is_cut_off(errc::integrity, true));
    EXPECT_TRUE(is_out_of_room(errc::exhausted, true));
    EXPECT_FALSE(is_out_of_room(errc::exhausted, false));
    for (const auto code : {errc::refused, errc::auth_failed, errc::io, errc::protocol, errc::unsupported}) {
        EXPECT_FALSE(is_cut_off(code, true) || is_cut_off(code, false));
        EXPECT_FALSE(is_out_of_room(code, true));
    }
}

TEST(retry_schedule, waits_longer_each_time_up_to_a_minute) {
    retry_schedule schedule(9, [] { return 0.0; });
    std::vector<std::int64_t> waits;
    while (const auto next = schedule.after_failure(progress::none)) waits.push_back(next->wait.count());
    EXPECT_EQ(waits, (std::vector<std::int64_t>{1000, 2000, 4000, 8000, 16'000, 32'000, 60'000, 60'000, 60'000}));
}

TEST(retry_schedule, chance_shortens_a_wait_by_up_to_half) {
    retry_schedule schedule(3, [] { return 0.999; });
    for (const int full : {1000, 2000, 4000}) {
        const auto wait = schedule.after_failure(progress::none)->wait;
        EXPECT_GE(wait.count(), full / 2);
        EXPECT_LE(wait.count(), full / 2 + full / 100);
    }
}

TEST(retry_schedule, counts) {
    retry_schedule schedule(2, [] { return 0.0; });
    EXPECT_EQ(schedule.after_failure(progress::none)->number, 1u);
    const auto second = schedule.after_failure(progress::none);
    EXPECT_EQ(second->number, 2u);
    EXPECT_EQ(second->total, 2u);
    EXPECT_FALSE(schedule.after_failure(progress::none));
}

TEST(retry_schedule, progress_starts_the_count_and_the_wait_over) {
    retry_schedule schedule(2, [] { return 0.0; });
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(schedule.after_failure(progress::some)->number, 1u);
        const auto next = schedule.after_failure(progress::none);
        EXPECT_EQ(next->number, 2u);
        EXPECT_EQ(next->wait, milliseconds(2000));
    }
    EXPECT_FALSE(schedule.after_failure(progress::none));
}

TEST(retry_schedule, is_off_at_0) {
    retry_schedule schedule(0, [] { return 0.0; });
    EXPECT_FALSE(schedule.is_on());
    EXPECT_FALSE(schedule.after_failure(progress::some));
}

TEST(retry_schedule, only_what_happens_to_the_link_is_worth_another_attempt) {
    for (const auto code : {errc::disconnected, errc::timed_out, errc::integrity}) EXPECT_TRUE(is_link_failure(code));
    for (const auto code : {errc::bad_input, errc::auth_failed, errc::exhausted, errc::unsupported, errc::io,
                            errc::internal, errc::protocol, errc::refused, errc::cancelled})
        EXPECT_FALSE(is_link_failure(code)) << to_string(code);
    EXPECT_TRUE(is_link_failure(error(errc::disconnected, "it is gone", ECONNRESET)));
    EXPECT_FALSE(is_link_failure(error(errc::disconnected, "there is nothing in common", EPROTONOSUPPORT)));
}

}  // namespace
}  // namespace wherry
