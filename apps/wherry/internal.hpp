// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "console.hpp"
#include "exit_code.hpp"

namespace wherry::app {

// The command for shells, which no help shows:
//   internal-complete WORD...             what could stand for the last word (completion.hpp)
// Nothing for any other command. May throw error.
std::optional<exit_code> run_internal(const std::vector<std::string>& words, console& terminal);

}  // namespace wherry::app
