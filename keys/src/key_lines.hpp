// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "wherry/error.hpp"
#include "wherry/keys/public_key.hpp"

namespace wherry::keys {

// Throws error(errc::bad_input) unless the comment may stand at the end of a line: at most max_comment_bytes, no
// control characters, no blank at either end.
void check_comment(std::string_view comment);

// Whether it is an ASCII control character, U+007F included.
bool is_control(char c) noexcept;

// Takes the first word off `rest`, and all blanks and tabs after it.
std::string_view take_word(std::string_view& rest) noexcept;

// Without blanks and line ends at both ends.
std::string_view trimmed(std::string_view text) noexcept;

// True for a line that holds nothing: blank, or with '#' first.
bool is_remark(std::string_view trimmed_line) noexcept;

// Makes the error for a control character at `place`, which shows that the file is not a text file.
error no_text(errc code, std::string_view text, std::size_t place);

// Calls visit(number from 1, line without its line end) for each line. A byte order mark at the beginning is skipped.
void each_line(std::string_view text, const std::function<void(std::size_t number, std::string_view line)>& visit);

// Throws error(errc::unsupported) if a remark names a format of a newer version; a key may have been put before it.
void require_known_format(std::string_view text);

// Appends a line; one that lacks its line end before it gets it. A text without a line begins with a remark that names
// its format, which versions that know no formats skip.
std::string with_line(std::string_view text, std::string_view line);

// The text without the lines of which drop(line) is true.
std::string without_lines(std::string_view text, const std::function<bool(std::string_view line)>& drop);

}  // namespace wherry::keys
