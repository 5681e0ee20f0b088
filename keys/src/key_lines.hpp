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

// ASCII, U+007F included.
bool is_control(char c) noexcept;

// Takes the text up to the next blank or tab off `rest`, and all of those that follow it.
std::string_view take_word(std::string_view& rest) noexcept;

// Without blanks and line ends at both ends.
std::string_view trimmed(std::string_view text) noexcept;

// True for a line that holds nothing: blank, or with '#' first.
bool is_remark(std::string_view trimmed_line) noexcept;

// What to throw for a file that holds a character which no text has at this place.
error no_text(errc code, std::string_view text, std::size_t place);

// Calls visit(number from 1, line without its line end) for each line. A byte order mark at the beginning is no part of
// the first.
void each_line(std::string_view text, const std::function<void(std::size_t number, std::string_view line)>& visit);

// Appends a line; one that lacks its line end before it gets it.
std::string with_line(std::string_view text, std::string_view line);

// The text without the lines of which drop(line) is true.
std::string without_lines(std::string_view text, const std::function<bool(std::string_view line)>& drop);

}  // namespace wherry::keys
