// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

namespace wherry::app {

inline constexpr std::size_t chat_history_lines = 1000;

// The lines of a history file, the oldest first, chat_history_lines at most; none if there is no such file.
// Throws error: io if it cannot be read, bad_input if others could read or change it, unsupported if a newer version
// wrote it.
std::vector<std::string> read_chat_history(const std::filesystem::path& file);

// Adds lines at the end, drops the oldest beyond chat_history_lines, and replaces the file whole, with mode 0600.
// The file begins with a line that names its format. Throws error as read_chat_history() does.
void add_chat_history(const std::filesystem::path& file, const std::vector<std::string>& lines);

}  // namespace wherry::app
