// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/home.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

#include "error_of.hpp"

namespace wherry {
namespace {

TEST(find_home, order) {
    ::unsetenv("WHERRY_HOME");
    ::unsetenv("XDG_CONFIG_HOME");
    ::setenv("HOME", "/home/somebody", 1);
    EXPECT_EQ(find_home(std::nullopt), "/home/somebody/.config/wherry");
    ::setenv("XDG_CONFIG_HOME", "relative", 1);
    EXPECT_EQ(find_home(std::nullopt), "/home/somebody/.config/wherry");
    ::setenv("XDG_CONFIG_HOME", "/xdg", 1);
    EXPECT_EQ(find_home(std::nullopt), "/xdg/wherry");
    ::setenv("WHERRY_HOME", "/w", 1);
    EXPECT_EQ(find_home(std::nullopt), "/w");
    EXPECT_EQ(find_home("/given"), "/given");
    EXPECT_TRUE(find_home("given").is_absolute());
    EXPECT_EQ(test::error_of([] { find_home(""); }).code(), errc::bad_input);
    ::unsetenv("WHERRY_HOME");
    ::unsetenv("XDG_CONFIG_HOME");
}

}  // namespace
}  // namespace wherry
