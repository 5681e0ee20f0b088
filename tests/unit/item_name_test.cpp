// SPDX-License-Identifier: BSD-2-Clause
#include "item_name.hpp"

#include <gmock/gmock.h>

#include <numeric>

#include "error_of.hpp"
#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {
namespace {

using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class hostile_names : public testing::TestWithParam<std::string> {};

TEST_P(hostile_names, are_refused) {
    const auto failure = test::error_of([] { split_name(GetParam()); });
    EXPECT_EQ(failure.code(), errc::refused);
    // The text goes to a terminal and to a log.
    EXPECT_EQ(printable(failure.what()), failure.what());
}

INSTANTIATE_TEST_SUITE_P(filesystem, hostile_names,
                         testing::Values(""s, "/"s, "//"s, "."s, ".."s, "../x"s, "/etc/passwd"s, "a/../../x"s, "a/.."s,
                                         "a/../b"s, "a//b"s, "./a"s, "a/./b"s, "a/."s, "a/"s, "\0"s, "a\0b"s, "a/b\0"s,
                                         std::string(256, 'x'), "a/" + std::string(256, 'x') + "/b",
                                         std::string(4097, 'x'), "\x1b[2J/../x"s, ".wherry-partial"s,
                                         ".wherry-partial/keep-1"s, ".WHERRY-Partial/x"s, ".wherry-partial./x"s,
                                         ".wherry-partial . /x"s, ".wherry-partial2"s, ".Wherry-Partial-1000/x"s));

TEST(item_name, a_path_of_4097_bytes_is_too_long_and_one_of_4096_is_not) {
    std::string name;
    while (name.size() < 4096) name += std::string(127, 'd') + "/";
    name.back() = 'd';
    EXPECT_EQ(joined(split_name(name)), name);
    name.back() = '/';
    EXPECT_EQ(test::error_of([&] { split_name(name + "x"); }).code(), errc::refused);
}

TEST(item_name, takes_any_other_bytes) {
    EXPECT_THAT(split_name("a/b c/d.stl"), ElementsAre("a", "b c", "d.stl"));
    EXPECT_THAT(split_name("\x1b[2J\n\r\t\x7f"), ElementsAre("\x1b[2J\n\r\t\x7f"));
    EXPECT_THAT(split_name("\xff\xfe/\xc0\xaf"), ElementsAre("\xff\xfe", "\xc0\xaf"));
    EXPECT_THAT(split_name(".../..a/a../.b"), ElementsAre("...", "..a", "a..", ".b"));
    EXPECT_THAT(split_name("a/.wherry-partial"), ElementsAre("a", ".wherry-partial"));
    EXPECT_THAT(split_name(".wherry-partia"), ElementsAre(".wherry-partia"));
    EXPECT_THAT(split_name("C:\\x"), ElementsAre("C:\\x"));
    EXPECT_EQ(split_name(std::string(255, 'x')).front().size(), 255u);
}

TEST(item_name, numbers_stand_before_the_extension) {
    EXPECT_EQ(numbered("skull.stl", 1), "skull (1).stl");
    EXPECT_EQ(numbered("skull", 12), "skull (12)");
    EXPECT_EQ(numbered(".profile", 1), ".profile (1)");
    EXPECT_EQ(numbered("a.", 1), "a. (1)");
    EXPECT_EQ(numbered("scan.tar.gz", 1), "scan (1).tar.gz");
    EXPECT_EQ(numbered(".tar.gz", 1), ".tar (1).gz");
    EXPECT_EQ(numbered("a.b.c", 3), "a.b (3).c");
}

TEST(item_name, numbers_fit_where_the_name_fills_all_the_room) {
    for (const auto& name : {std::string(255, 'x'), std::string(250, 'x') + ".stl", "x." + std::string(253, 'y'),
                             "." + std::string(254, 'y')}) {
        for (const unsigned number : {1u, 99u, 1048576u}) {
            const auto with = numbered(name, number);
            EXPECT_LE(with.size(), 255u);
            EXPECT_THAT(with, HasSubstr(" (" + std::to_string(number) + ")"));
        }
    }
    EXPECT_EQ(numbered(std::string(251, 'x') + ".stl", 1), std::string(247, 'x') + " (1).stl");
}

TEST(item_name, numbers_do_not_split_a_character) {
    std::string euros;
    while (euros.size() < 255) euros += "\u20ac";
    for (unsigned number = 1; number <= 1000; number *= 10) {
        EXPECT_TRUE(is_utf8(numbered(euros, number)));
        EXPECT_LE(numbered(euros, number).size(), 255u);
    }
}

TEST(item_name, messages_are_named_by_their_time) {
    EXPECT_EQ(message_name(0), "message-19700101T000000Z.txt");
    EXPECT_EQ(message_name(1709251199), "message-20240229T235959Z.txt");
}

}  // namespace
}  // namespace wherry::filesystem
