// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace wherry::app {

// What a line of a chat asks for.
struct chat_line {
    enum class kind { message, files, help, quit };
    kind asks_for = kind::message;
    std::string text;                // of a message
    std::vector<std::string> paths;  // of files, without their quotes; "~/" is the home directory's already
};

// A line that begins with a slash is a command, unless with two: then it is a message that begins with one. Words
// behind a command are separated by blanks and quoted as in a shell: '...', "...", or a backslash before a character.
// Throws error(errc::bad_input) saying what would be right.
chat_line read_chat_line(std::string_view line);

// What a line's end may become.
struct line_completion {
    std::string insert;                   // behind the line: all that the candidates agree on, quoted as it must be
    std::vector<std::string> candidates;  // where there are several; bytes as they are on the disk
};

// Completes the command, or behind /file the path, that `before_cursor` ends with.
line_completion complete_chat_line(std::string_view before_cursor);

}  // namespace wherry::app
