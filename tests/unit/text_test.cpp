// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/text.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace wherry {
namespace {

TEST(printable, keeps_ordinary_text) {
    EXPECT_EQ(printable("skull (2).stl"), "skull (2).stl");
    EXPECT_EQ(printable("Knochen-Größe ✓"), "Knochen-Größe ✓");
}

TEST(printable, escapes_what_a_terminal_would_act_on) {
    EXPECT_EQ(printable("a\x1b[2Jb\n\r\x7f"), "a\\x1B[2Jb\\x0A\\x0D\\x7F");
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
    EXPECT_EQ(printable("\xC2\x9B"), "\\u{9B}");  // the one-character form of ESC [
}

TEST(printable, escapes_what_reorders_or_hides_text) {
    EXPECT_EQ(printable("invoice\u202Efdp.exe"), "invoice\\u{202E}fdp.exe");
    EXPECT_EQ(printable("a\u200Bb\uFEFF"), "a\\u{200B}b\\u{FEFF}");
}

TEST(printable, escapes_bytes_that_are_not_utf8) {
    EXPECT_EQ(printable("\xFF\xC0\xAF"), "\\xFF\\xC0\\xAF");
    EXPECT_EQ(printable("ab\xE2\x82"), "ab\\xE2\\x82");
    EXPECT_EQ(printable("\xED\xA0\x80"), "\\xED\\xA0\\x80");  // a surrogate
}

TEST(utf8, accepts_exactly_the_well_formed) {
    EXPECT_TRUE(is_utf8(""));
    EXPECT_TRUE(is_utf8("a\u00e9\u20ac\U0010FFFF"));
    EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));  // beyond U+10FFFF
    EXPECT_FALSE(is_utf8("\xE0\x80\x80"));      // overlong
    EXPECT_FALSE(is_utf8("\x80"));
}

TEST(utf8, decodes_the_first_character) {
    const auto decoded = [](std::string_view text) {
        const auto [value, length] = first_character(text);
        return std::pair(value, length);
    };
    EXPECT_EQ(decoded("ab"), std::pair(U'a', std::size_t{1}));
    EXPECT_EQ(decoded(std::string_view("\0", 1)), std::pair(U'\0', std::size_t{1}));
    EXPECT_EQ(decoded("\u20ac."), std::pair(U'\u20ac', std::size_t{3}));
    EXPECT_EQ(decoded("\U0010FFFF"), std::pair(U'\U0010FFFF', std::size_t{4}));
    EXPECT_EQ(decoded("\xE2\x82"), std::pair(U'\0', std::size_t{0}));
}

TEST(human_bytes, has_three_significant_digits) {
    EXPECT_EQ(human_bytes(0), "0 B");
    EXPECT_EQ(human_bytes(1023), "1023 B");
    EXPECT_EQ(human_bytes(1024), "1.00 KiB");
    EXPECT_EQ(human_bytes(10 * 1024 + 512), "10.5 KiB");
    EXPECT_EQ(human_bytes(1023 * 1024), "1.00 MiB");
    EXPECT_EQ(human_bytes(std::uint64_t{45} << 20), "45.0 MiB");
    EXPECT_EQ(human_bytes(~std::uint64_t{0}), "16.0 EiB");
}

}  // namespace
}  // namespace wherry
