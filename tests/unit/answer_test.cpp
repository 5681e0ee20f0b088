// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "application.hpp"
#include "wherry/text.hpp"

namespace wherry::app {
namespace {

using testing::EndsWith;
using testing::StartsWith;

std::string answer(const std::string& response) {
    return describe_answer("exit 0", as_bytes(response), detail::summary);
}

TEST(answer, short_ones_are_shown_whole) {
    EXPECT_EQ(answer(""), " [exit 0]");
    EXPECT_EQ(answer("one\n"), " [exit 0]: one");
    EXPECT_EQ(answer("one\ntwo\n"), " [exit 0]:\n    one\n    two");
}

TEST(answer, many_lines_are_cut_behind_a_line) {
    std::string lines;
    for (int i = 0; i < 1040; ++i) lines += "line\n";
    const auto shown = answer(lines);
    // 40 lines, one for the outcome, and one for the rest.
    EXPECT_EQ(std::count(shown.begin(), shown.end(), '\n'), 41);
    EXPECT_THAT(shown, EndsWith("\n    line\n    (4.88 KiB more; --verbose shows all of it)"));
    EXPECT_THAT(answer(lines.substr(0, 200)), EndsWith("\n    line"));
}

TEST(answer, a_long_line_is_cut_between_characters) {
    // An odd byte in front, so that the limit is in the middle of a character.
    std::string line = "x";
    for (int i = 0; i < 500'000; ++i) line += "\u00e9";
    const auto shown = answer(line);
    EXPECT_THAT(shown, StartsWith(" [exit 0]: x\u00e9\u00e9"));
    EXPECT_THAT(shown, EndsWith("\u00e9\n    (969 KiB more; --verbose shows all of it)"));
    EXPECT_LT(shown.size(), 9000u);
}

}  // namespace
}  // namespace wherry::app
