// SPDX-License-Identifier: BSD-2-Clause
#include "config_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "error_of.hpp"

namespace wherry::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

std::vector<std::pair<std::string, std::string>> parsed(std::string_view text) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (auto& line : parse_config(text)) pairs.emplace_back(std::move(line.name), std::move(line.value));
    return pairs;
}

std::string failure(std::string_view text) {
    const auto e = test::error_of([&] { parse_config(text); });
    EXPECT_EQ(e.code(), errc::bad_input);
    return e.what();
}

TEST(config_file, names_stand_below_their_plugin) {
    EXPECT_THAT(parsed("limit = 3\n\n# tcp\n[tcp]\nport=1\n\t[ exec ] # next\r\n  command = cat \r\n"),
                ElementsAre(Pair("limit", "3"), Pair("tcp.port", "1"), Pair("exec.command", "cat")));
    EXPECT_EQ(parse_config("\n# one\nlimit = 3").front().number, 3u);
}

TEST(config_file, a_comment_begins_a_line_or_follows_a_blank) {
    EXPECT_THAT(parsed("a = C#\nb = C #\nc = C\t# x\nd = #\ne =#f\n  # g = 1\nh = grep -c '#'"),
                ElementsAre(Pair("a", "C#"), Pair("b", "C"), Pair("c", "C"), Pair("d", ""), Pair("e", "#f"),
                            Pair("h", "grep -c '#'")));
}

TEST(config_file, values_in_quotes) {
    EXPECT_THAT(parsed(R"(a = 'C # 1' # 2
b = "it's \"here\" \\ \n"
c = ' \'
d = ""
e = it's
f = a "b" # c)"),
                ElementsAre(Pair("a", "C # 1"), Pair("b", R"(it's "here" \ \n)"), Pair("c", R"( \)"), Pair("d", ""),
                            Pair("e", "it's"), Pair("f", R"(a "b")")));
}

TEST(config_file, lines_that_are_wrong_are_told_by_number) {
    EXPECT_THAT(failure("a = 1\nwhat is this\n"), HasSubstr("line 2 is not understood; lines are 'name = value'"));
    EXPECT_THAT(failure("= 1"), HasSubstr("line 1"));
    for (const auto* heading : {"[tcp", "[]", "[ ]", "[", "[tcp]x"})
        EXPECT_THAT(failure(heading), HasSubstr("line 1 does not name a plugin")) << heading;
    for (const auto* open : {"a = 'b", R"(a = "b\")", "a = \"", "a = \"b\nc = \""})
        EXPECT_THAT(failure(open), HasSubstr("line 1 has a quote that is not closed")) << open;
    for (const auto* more : {"a = 'b' c", "a = 'b'#c", "a = \"b\"'c'"})
        EXPECT_THAT(failure(more), HasSubstr("line 1 has text behind the closing quote")) << more;
    EXPECT_THAT(failure("a = grep -c ' #'"), HasSubstr("line 1 has a '#' between quotes"));
    EXPECT_THAT(failure({"a = 1\nb = \0", 11}), HasSubstr("line 2 holds a NUL"));
}

// The table in docs/command-line.md has rows such as: | `limit = 3 # at most` | `3` |
TEST(config_file, the_documented_lines_have_the_documented_values) {
    std::ifstream document(WHERRY_TEST_DATA_DIRECTORY "/../../docs/command-line.md");
    ASSERT_TRUE(document);
    std::size_t rows = 0;
    bool is_here = false;
    for (std::string row; std::getline(document, row);) {
        if (row.starts_with("##")) is_here = row == "### Configuration file";
        const std::string_view begin = "| `", middle = "` | `", end = "` |";
        const auto divide = row.find(middle);
        if (!is_here || !row.starts_with(begin) || divide == row.npos) continue;
        const auto line = row.substr(begin.size(), divide - begin.size());
        const auto value = row.substr(divide + middle.size(), row.rfind(end) - divide - middle.size());
        const auto lines = parse_config(line);
        ASSERT_EQ(lines.size(), 1u) << line;
        EXPECT_EQ(lines.front().value, value) << line;
        ++rows;
    }
    EXPECT_EQ(rows, 7u);
}

}  // namespace
}  // namespace wherry::app
