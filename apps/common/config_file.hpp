// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

// The configuration file. docs/command-line.md describes its lines.
namespace wherry::app {

struct config_line {
    std::size_t number;  // from 1
    std::string name;    // "tcp.port" for 'port' under [tcp]
    std::string value;   // without quotes
};

// Parses the text of a configuration file, with a byte order mark or without. Throws error(errc::bad_input) with the
// number of a line that is wrong.
std::vector<config_line> parse_config(std::string_view text);

// Reads a configuration file, a pipe (to its end), or /dev/null, which is empty. Throws error(errc::bad_input) if it is
// something else, cannot be read, is larger than 1 MiB, belongs to another user, or can be written by others.
std::vector<config_line> read_config_file(const std::filesystem::path& file);

}  // namespace wherry::app
