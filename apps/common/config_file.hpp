// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
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

// Parses the text of a configuration file. Throws error(errc::bad_input) with the number of a line that is wrong.
std::vector<config_line> parse_config(std::string_view text);

}  // namespace wherry::app
