// SPDX-License-Identifier: BSD-2-Clause
#include "line_budget.hpp"

#include <gtest/gtest.h>

namespace wherry::app {
namespace {

using namespace std::chrono_literals;

TEST(line_budget, leaves_out_what_is_beyond_so_many_in_a_minute_and_counts_it) {
    line_budget budget(2);
    const line_budget::clock::time_point start{1h};
    EXPECT_EQ(budget.take(start), 0u);
    EXPECT_EQ(budget.take(start + 1s), 0u);
    EXPECT_EQ(budget.take(start + 2s), std::nullopt);
    EXPECT_EQ(budget.take(start + 59s), std::nullopt);
    EXPECT_EQ(budget.take(start + 60s), 2u);
    EXPECT_EQ(budget.take(start + 61s), 0u);
    EXPECT_EQ(budget.take(start + 62s), std::nullopt);
}

}  // namespace
}  // namespace wherry::app
