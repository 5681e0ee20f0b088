// SPDX-License-Identifier: BSD-2-Clause
#include "exit_code.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace wherry::app {
namespace {

std::string manual() {
    std::ifstream in(WHERRY_TEST_DATA_DIRECTORY "/../../docs/command-line.md");
    return {std::istreambuf_iterator<char>(in), {}};
}

TEST(exit_codes, are_those_of_the_manual_for_each_kind_of_failure) {
    const auto all = manual();
    const auto text = all.substr(all.find("\n| `status` | | here | there |"));
    for (auto code = errc::bad_input; code <= errc::cancelled; code = static_cast<errc>(static_cast<int>(code) + 1)) {
        const auto begin = text.find("\n| `" + std::string(to_string(code)) + "` |");
        ASSERT_NE(begin, text.npos) << to_string(code);
        const auto row = text.substr(begin + 1, text.find('\n', begin + 1) - begin - 1);
        EXPECT_THAT(row, testing::EndsWith("| " + std::to_string(to_status(exit_code_for(code, side::here))) + " | " +
                                           std::to_string(to_status(exit_code_for(code, side::remote))) + " |"));
    }
}

TEST(exit_codes, have_a_row_each_in_the_manual) {
    const auto text = manual();
    for (const int code : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130})
        EXPECT_THAT(text, testing::HasSubstr("\n| " + std::to_string(code) + " | "));
    EXPECT_EQ(to_status(exit_code::plugin), 10);
}

}  // namespace
}  // namespace wherry::app
