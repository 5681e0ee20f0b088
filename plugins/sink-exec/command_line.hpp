// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace wherry::exec {

// A command line's words, without any shell. Blanks part words; 'text' is taken as it is; in "text" a backslash before
// '"' or '\' makes it an ordinary character; elsewhere it does so with any character. Nothing else means anything: no
// variables, patterns, pipes or redirections. Throws error(errc::bad_input) for a quote that is not closed.
std::vector<std::string> split_words(std::string_view line);

// The file that a command's first word names: a path as seen from here, or found in `search_path` (folders with colons
// between them; relative ones are passed over). Absolute. Throws error(errc::bad_input) if there is none that can be
// run.
std::string find_program(const std::string& word, std::string_view search_path);

// `word` with `file` in place of each {}.
std::string with_file(std::string word, std::string_view file);

}  // namespace wherry::exec
