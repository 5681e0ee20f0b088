// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace wherry {

// Untrusted bytes made fit for a terminal or a log: control and escape characters, bytes that are not UTF-8 and
// characters that change the direction of text are written as \xNN or \u{NNNN}; everything else stays as it is. A
// backslash stays a backslash: this is for reading, not for parsing back.
std::string printable(std::string_view untrusted);

// The same between quotes, for messages to people: 'skull.stl'.
std::string in_quotes(std::string_view untrusted);

// True for well-formed UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates).
bool is_utf8(std::string_view bytes) noexcept;

// A character of UTF-8.
struct character {
    char32_t value;
    std::size_t length;  // in bytes; 0: the text does not begin with a well-formed character, and `value` is 0
};

// Decodes the character that the text begins with, as strictly as is_utf8(). REQUIRES: !text.empty().
character first_character(std::string_view text) noexcept;

// "1.5 MiB", "312 B": three significant digits, powers of 1024.
std::string human_bytes(std::uint64_t bytes);

}  // namespace wherry
