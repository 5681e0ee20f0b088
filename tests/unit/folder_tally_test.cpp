// SPDX-License-Identifier: BSD-2-Clause
#include "folder_tally.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "wherry/bytes.hpp"

namespace wherry::app {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

offer item(const std::string& name, std::uint64_t size, item_kind kind = item_kind::file) {
    offer what;
    what.kind = kind;
    what.name = name;
    what.size = size;
    return what;
}

delivery_result stored_as(const std::string& name) {
    delivery_result result;
    const std::string response = "stored as " + name;
    const auto bytes = as_bytes(response);
    result.response.assign(bytes.begin(), bytes.end());
    return result;
}

TEST(folder_tally, what_lies_in_a_folder_is_told_with_the_folder) {
    folder_tally tally;
    for (const std::string name : {"top/a", "top/in/b", "top/c"})
        EXPECT_TRUE(tally.add(item(name, 1024), stored_as(name)));
    EXPECT_TRUE(tally.add(item("top/in", 0, item_kind::folder), stored_as("top/in")));
    EXPECT_FALSE(tally.add(item("top", 0, item_kind::folder), stored_as("top")));
    EXPECT_EQ(tally.take("top/in"), "");
    EXPECT_EQ(tally.take("top"), " (3 files, 3.00 KiB)");
    EXPECT_EQ(tally.take("top"), "");
    EXPECT_THAT(tally.take_rest(), IsEmpty());
}

TEST(folder_tally, what_has_no_folder_has_its_own_line) {
    folder_tally tally;
    EXPECT_FALSE(tally.add(item("a", 1), stored_as("a")));
    EXPECT_FALSE(tally.add(item("", 1, item_kind::message), stored_as("message-1")));
}

TEST(folder_tally, failures_and_other_names_have_lines_of_their_own) {
    folder_tally tally;
    EXPECT_FALSE(tally.add(item("top/a", 1), failed(error(errc::io, "no"))));
    EXPECT_FALSE(tally.add(item("top/b", 1), stored_as("top/b (2)")));
    EXPECT_FALSE(tally.add(item("top/in", 0, item_kind::folder), stored_as("top/in (2)")));
    EXPECT_EQ(tally.take("top"), " (1 file, 1 B)");
}

TEST(folder_tally, counts_what_was_there_and_what_has_another_answer) {
    folder_tally tally;
    auto known = stored_as("top/a");
    known.outcome = already_there;
    EXPECT_TRUE(tally.add(item("top/a", 1), known));
    auto counted = stored_as("");
    const auto bytes = as_bytes(std::string_view("12 lines"));
    counted.response.assign(bytes.begin(), bytes.end());
    EXPECT_TRUE(tally.add(item("top/b", 1), counted));
    EXPECT_EQ(tally.take("top"), " (2 files, 2 B, 1 already there, 1 with answers that --verbose shows)");
}

TEST(folder_tally, tells_of_folders_that_never_came) {
    folder_tally tally;
    tally.add(item("one\n/a", 1), stored_as("one\n/a"));
    tally.add(item("two/a", 2), stored_as("two/a"));
    EXPECT_THAT(tally.take_rest(),
                ElementsAre("1 file, 1 B, of the folder one\\x0A", "1 file, 2 B, of the folder two"));
    EXPECT_THAT(tally.take_rest(), IsEmpty());
}

TEST(folder_tally, is_bounded) {
    folder_tally tally;
    for (int i = 0; i < 1000; ++i) {
        const auto name = std::to_string(i) + "/a";
        EXPECT_TRUE(tally.add(item(name, 1), stored_as(name)));
    }
    EXPECT_FALSE(tally.add(item("more/a", 1), stored_as("more/a")));
    EXPECT_TRUE(tally.add(item("7/b", 1), stored_as("7/b")));
}

}  // namespace
}  // namespace wherry::app
