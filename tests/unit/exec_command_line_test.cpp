// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <fstream>

#include "command_line.hpp"
#include "error_of.hpp"
#include "spool_area.hpp"
#include "temporary_folder.hpp"

namespace wherry::exec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(split_words, blanks_part_words) {
    EXPECT_THAT(split_words(""), ElementsAre());
    EXPECT_THAT(split_words(" \t\r\n"), ElementsAre());
    EXPECT_THAT(split_words("wc"), ElementsAre("wc"));
    EXPECT_THAT(split_words("  wc\t-c \n file "), ElementsAre("wc", "-c", "file"));
}

TEST(split_words, quotes_keep_blanks_and_may_be_empty) {
    EXPECT_THAT(split_words("a 'b c' \"d e\""), ElementsAre("a", "b c", "d e"));
    EXPECT_THAT(split_words("a'b 'c\" d\"e"), ElementsAre("ab c de"));
    EXPECT_THAT(split_words("'' \"\" a"), ElementsAre("", "", "a"));
    EXPECT_THAT(split_words("\"it's\" '\"'"), ElementsAre("it's", "\""));
}

TEST(split_words, backslashes) {
    EXPECT_THAT(split_words(R"(a\ b \' \" \\)"), ElementsAre("a b", "'", "\"", "\\"));
    EXPECT_THAT(split_words(R"('a\' "b\"c\\d\e")"), ElementsAre("a\\", R"(b"c\d\e)"));
    EXPECT_THAT(split_words(R"(end\)"), ElementsAre("end\\"));
}

TEST(split_words, nothing_means_anything_to_a_shell) {
    EXPECT_THAT(split_words("echo $HOME *.c;ls|cat >x &"), ElementsAre("echo", "$HOME", "*.c;ls|cat", ">x", "&"));
}

TEST(split_words, quotes_that_are_not_closed_are_told) {
    for (const auto* line : {"a 'b", "\"a", "a\"b\\\""}) {
        const auto thrown = test::error_of([&] { split_words(line); });
        EXPECT_EQ(thrown.code(), errc::bad_input);
        EXPECT_THAT(thrown.what(), HasSubstr("not closed"));
    }
}

TEST(with_file, takes_the_place_of_each_pair_of_braces) {
    EXPECT_EQ(with_file("a", "/f"), "a");
    EXPECT_EQ(with_file("{}", "/f"), "/f");
    EXPECT_EQ(with_file("x{}y{}", "/{}"), "x/{}y/{}");
}

TEST(find_program, by_path_and_in_the_search_path) {
    const test::temporary_folder made;
    const auto file = made.path() / "tool", plain = made.path() / "plain";
    std::ofstream(file) << "#!/bin/sh\n";
    std::ofstream(plain) << "text\n";
    ::chmod(file.c_str(), 0755);
    EXPECT_EQ(find_program(file.native(), ""), file.native());
    EXPECT_EQ(find_program("tool", "/nonexistent::relative:" + made.path().native()), file.native());
    for (const auto& word : {plain.native(), made.path().native(), std::string("plain"), std::string("nothing"),
                             std::string(""), std::string("./nothing")})
        EXPECT_EQ(test::error_of([&] { find_program(word, made.path().native()); }).code(), errc::bad_input) << word;
}

TEST(safe_ending, only_what_means_nothing_to_anybody) {
    EXPECT_EQ(safe_ending("models/skull.stl"), ".stl");
    EXPECT_EQ(safe_ending("a.tar.gz"), ".gz");
    EXPECT_EQ(safe_ending("v1.2/readme"), "");
    for (const auto* name :
         {"", "a", "a.", "a.b c", "a.;rm", "a.$(x)", "a.\n", "a.12345678901234567", "a./", "a.\xC3\xA4"})
        EXPECT_EQ(safe_ending(name), "") << name;
}

}  // namespace
}  // namespace wherry::exec
