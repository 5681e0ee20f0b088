// SPDX-License-Identifier: BSD-2-Clause
#include "chat_line.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "error_of.hpp"
#include "temporary_folder.hpp"
#include "wherry/error.hpp"

namespace wherry::app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using kind = chat_line::kind;

TEST(chat_line, what_begins_with_no_slash_is_a_message) {
    for (const std::string text : {"", " ", "hello", " /file x", "\\/x", "a /quit"}) {
        EXPECT_EQ(read_chat_line(text).asks_for, kind::message) << text;
        EXPECT_EQ(read_chat_line(text).text, text);
    }
    EXPECT_EQ(read_chat_line("//file x").text, "/file x");
    EXPECT_EQ(read_chat_line("///").text, "//");
}

TEST(chat_line, commands) {
    EXPECT_EQ(read_chat_line("/help").asks_for, kind::help);
    EXPECT_EQ(read_chat_line("/quit  ").asks_for, kind::quit);
    EXPECT_THROW(read_chat_line("/quit now"), error);
    EXPECT_THROW(read_chat_line("/"), error);
    EXPECT_THROW(read_chat_line("/File x"), error);
}

TEST(chat_line, paths_are_quoted_as_in_a_shell) {
    const auto paths = [](std::string_view line) { return read_chat_line(line).paths; };
    EXPECT_THAT(paths("/file a b\tc"), ElementsAre("a", "b", "c"));
    EXPECT_THAT(paths(R"(/file a\ b 'c d' "e f" g'h 'i"\"j")"), ElementsAre("a b", "c d", "e f", "gh i\"j"));
    EXPECT_THAT(paths(R"(/file 'a\b' a\\b a\'b)"), ElementsAre("a\\b", "a\\b", "a'b"));
    EXPECT_THAT(paths(R"(/file "a\b" "a\\b" "a\ b" 'a"b' "a'b")"), ElementsAre("a\\b", "a\\b", "a\\ b", "a\"b", "a'b"));
    EXPECT_THAT(paths("/file '~/x' \\~/x"), ElementsAre("~/x", "~/x"));
    ::setenv("HOME", "/home/somebody", 1);
    EXPECT_THAT(paths("/file ~/x"), ElementsAre("/home/somebody/x"));
    for (const auto* const wrong : {"/file", "/file  ", "/file 'a", "/file \"a", "/file a\\", "/file ''"})
        EXPECT_THROW(read_chat_line(wrong), error) << wrong;
}

class chat_completion : public testing::Test {
protected:
    void make(const std::string& name) { std::ofstream(folder_.path() / name) << "x"; }
    line_completion complete(const std::string& begun) {
        return complete_chat_line("/file " + begun_in(folder_.path().native()) + begun);
    }
    virtual std::string begun_in(const std::string& path) { return path + "/"; }
    test::temporary_folder folder_;
};

TEST_F(chat_completion, of_commands) {
    EXPECT_EQ(complete_chat_line("/f").insert, "ile ");
    EXPECT_THAT(complete_chat_line("/").candidates, ElementsAre("/file", "/help", "/quit"));
    EXPECT_EQ(complete_chat_line("//f").insert, "");
    EXPECT_EQ(complete_chat_line("f").insert, "");
    EXPECT_EQ(complete_chat_line("/x").insert, "");
    EXPECT_EQ(complete_chat_line("/help ").insert, "");
}

TEST_F(chat_completion, of_names_that_want_quotes) {
    make("it's \"a\" name");
    EXPECT_EQ(complete("it").insert, R"(\'s\ \"a\"\ name )");
    EXPECT_EQ(complete_chat_line("/file '" + folder_.path().native() + "/i").insert, R"(t'\''s "a" name' )");
    EXPECT_EQ(complete_chat_line("/file \"" + folder_.path().native() + "/i").insert, R"(t's \"a\" name" )");
    // What was inserted is read as the name again.
    const auto begun = "/file " + folder_.path().native() + "/i";
    EXPECT_THAT(read_chat_line(begun + complete("i").insert).paths,
                ElementsAre(folder_.path().native() + "/it's \"a\" name"));
}

TEST_F(chat_completion, of_several) {
    make("upper jaw");
    make("upper skull");
    make("notes");
    make(".hidden");
    std::filesystem::create_directory(folder_.path() / "more");
    EXPECT_EQ(complete("up").insert, "per\\ ");
    EXPECT_THAT(complete("upper\\ ").candidates, ElementsAre("upper jaw", "upper skull"));
    EXPECT_THAT(complete("").candidates, ElementsAre("more/", "notes", "upper jaw", "upper skull"));
    EXPECT_EQ(complete("mo").insert, "re/");
    EXPECT_EQ(complete(".h").insert, "idden ");
    EXPECT_EQ(complete("absent/x").insert, "");
    EXPECT_EQ(complete("no\\").insert, "");
    EXPECT_EQ(complete("\"no\\").insert, "");
}

TEST_F(chat_completion, never_splits_a_character_and_never_shows_control_characters) {
    make(
        "gr\xC3\xB6\xC3\x9F"
        "e");
    make(
        "gr\xC3\xBC\xC3\x9F"
        "e");
    make("grim\x1b[2J");
    EXPECT_EQ(complete("g").insert, "r");
    EXPECT_THAT(complete("gr").candidates.size(), 2u);
}

}  // namespace
}  // namespace wherry::app
