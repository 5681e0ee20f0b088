// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <map>
#include <span>
#include <string>

#include "command_option.hpp"

namespace wherry::app {

// The manual pages by the names of their files, in the language of man(7): wherry.1, wherry-COMMAND.1 of each command,
// and wherry-plugins.7 with the options of these plugins. What a command takes is written from what the program reads
// it by. `release` ("wherry 0.1.0") and `date` ("2026-11-21") stand at the foot of each page.
std::map<std::string, std::string> manual_pages(std::span<const command_syntax* const> commands,
                                                std::span<const plugin_listing> plugins, const std::string& release,
                                                const std::string& date);

}  // namespace wherry::app
