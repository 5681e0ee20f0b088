// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "command_option.hpp"

namespace wherry::app {

// The help of a command, with the options of these plugins, and how to see those of others.
std::string help_text(const command_syntax& command, std::span<const plugin_listing> plugins, std::size_t columns);

}  // namespace wherry::app
