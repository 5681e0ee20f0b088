// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/text.hpp"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdio>
#include <string>
#include <utility>

#include "wherry/quoted_text.hpp"

namespace wherry {
namespace {

std::string utf8(char32_t c) {
    utf8proc_uint8_t bytes[4];
    const auto length = ::utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
    return {reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length)};
}

TEST(read_quoted, reads_as_a_shell_does) {
    const auto inner = [](std::string_view text) {
        const auto read = read_quoted(text);
        EXPECT_TRUE(read.is_closed) << text;
        EXPECT_EQ(text.substr(read.length), " rest") << text;
        return read.inner;
    };
    EXPECT_EQ(inner(R"('' rest)"), "");
    EXPECT_EQ(inner(R"("" rest)"), "");
    EXPECT_EQ(inner(R"('a "b\" c\' rest)"), R"(a "b\" c\)");
    EXPECT_EQ(inner(R"("a 'b' \"c\" \\ \d \'" rest)"), R"(a 'b' "c" \ \d \')");
}

TEST(read_quoted, tells_what_is_not_closed) {
    for (const std::string_view text : {"'", "\"", "'a\"", "\"a\\\"", "'a\\", "\"a\\\\"}) {
        EXPECT_FALSE(read_quoted(text).is_closed) << text;
        EXPECT_FALSE(read_quoted(text).ends_in_escape) << text;
        EXPECT_EQ(read_quoted(text).length, text.size()) << text;
    }
    EXPECT_TRUE(read_quoted("\"a\\").ends_in_escape);
    EXPECT_FALSE(read_quoted("\"a\\").is_closed);
}

TEST(printable, keeps_ordinary_text) {
    EXPECT_EQ(printable("skull (2).stl"), "skull (2).stl");
    EXPECT_EQ(printable("Knochen-Größe ✓"), "Knochen-Größe ✓");
}

TEST(printable, escapes_what_a_terminal_would_act_on) {
    EXPECT_EQ(printable("a\x1b[2Jb\n\r\x7f"), "a\\x1B[2Jb\\x0A\\x0D\\x7F");
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
    EXPECT_EQ(printable("\xC2\x9B"), "\\u{9B}");  // the one-character form of ESC [
}

TEST(printable, stands_in_quotes_where_a_name_is_told) {
    EXPECT_EQ(in_quotes("skull (2).stl"), "'skull (2).stl'");
    EXPECT_EQ(in_quotes("a\nb"), "'a\\x0Ab'");
    EXPECT_EQ(in_quotes(""), "''");
}

TEST(printable, escapes_what_reorders_or_hides_text) {
    EXPECT_EQ(printable("invoice\u202Efdp.exe"), "invoice\\u{202E}fdp.exe");
    EXPECT_EQ(printable("a\u200Bb\uFEFF"), "a\\u{200B}b\\u{FEFF}");
}

TEST(printable, escapes_characters_by_their_unicode_properties) {
    for (const char32_t c : {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x2065, 0x2800, 0x3164, 0xFE00, 0xFE0F,
                             0xFFA0, 0xE0001, 0xE0100, 0xE01EF, 0xE0FFF}) {
        char escaped[16];
        std::snprintf(escaped, sizeof escaped, "\\u{%X}", static_cast<unsigned>(c));
        EXPECT_EQ(printable(utf8(c)), escaped);
    }
    for (char32_t c = 0; c <= 0x10FFFF; ++c) {
        if (c >= 0xD800 && c <= 0xDFFF) continue;
        const auto& known = *::utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
        const bool is_control = known.category == UTF8PROC_CATEGORY_CC || known.category == UTF8PROC_CATEGORY_ZL ||
                                known.category == UTF8PROC_CATEGORY_ZP;
        const bool is_format =
            known.category == UTF8PROC_CATEGORY_CF && known.boundclass != UTF8PROC_BOUNDCLASS_PREPEND;
        const bool is_blank = c == 0x2800;
        const bool is_escaped = printable(utf8(c)) != utf8(c);
        // Those that are not assigned are reserved as ignorable, which utf8proc does not tell.
        if (known.category == UTF8PROC_CATEGORY_CN)
            EXPECT_TRUE(!is_escaped || c == 0x2065 || (c >= 0xFFF0 && c <= 0xFFF8) || (c >= 0xE0000 && c <= 0xE0FFF))
                << std::hex << static_cast<unsigned>(c);
        else
            EXPECT_EQ(is_escaped, is_control || is_format || known.ignorable || is_blank)
                << std::hex << static_cast<unsigned>(c) << ", of Unicode " << ::utf8proc_unicode_version();
    }
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
