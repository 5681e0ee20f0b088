#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "wherry/keys/public_key.hpp"

namespace wherry::keys {

// Throws error(errc::bad_input) unless the comment may stand at the end of a line: at most max_comment_bytes, no
// control characters, no blank at either end.
void check_comment(std::string_view comment);

// Takes the text up to the next blank off `rest`, and the blank.
std::string_view take_word(std::string_view& rest) noexcept;

// Without blanks and line ends at both ends.
std::string_view trimmed(std::string_view text) noexcept;

// True for a line that holds nothing: blank, or with '#' first.
bool is_remark(std::string_view trimmed_line) noexcept;

// Calls visit(number from 1, line without its line end) for each line.
void each_line(std::string_view text, const std::function<void(std::size_t number, std::string_view line)>& visit);

// Appends a line; one that lacks its line end before it gets it.
std::string with_line(std::string_view text, std::string_view line);

// The text without the lines of which drop(line) is true.
std::string without_lines(std::string_view text, const std::function<bool(std::string_view line)>& drop);

}  // namespace wherry::keys
