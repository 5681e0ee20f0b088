// SPDX-License-Identifier: BSD-2-Clause
#include "exit_code.hpp"

#include <gtest/gtest.h>

namespace wherry::app {
namespace {

TEST(exit_codes, tell_who_failed) {
    EXPECT_EQ(to_status(exit_code_for(errc::bad_input, side::here)), 2);
    EXPECT_EQ(to_status(exit_code_for(errc::bad_input, side::remote)), 4);
    EXPECT_EQ(to_status(exit_code_for(errc::io, side::here)), 7);
    EXPECT_EQ(to_status(exit_code_for(errc::exhausted, side::remote)), 4);
    EXPECT_EQ(to_status(exit_code_for(errc::auth_failed, side::here)), 5);
    EXPECT_EQ(to_status(exit_code_for(errc::timed_out, side::here)), 6);
    EXPECT_EQ(to_status(exit_code_for(errc::timed_out, side::remote)), 4);
    EXPECT_EQ(to_status(exit_code_for(errc::integrity, side::remote)), 8);
    EXPECT_EQ(to_status(exit_code_for(errc::internal, side::here)), 1);
    EXPECT_EQ(to_status(exit_code_for(errc::cancelled, side::here)), 130);
    EXPECT_EQ(to_status(exit_code::plugin), 10);
}

}  // namespace
}  // namespace wherry::app
