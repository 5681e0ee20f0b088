// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "command.hpp"

namespace wherry::app {

// What distinguishes one program of this tree from another.
struct program_parts {
    std::span<const command* const> commands;  // in the order of the help
    // Runs a command that is meant for shells and stands in no help; returns nothing for other words. May be null; may
    // throw error.
    std::optional<exit_code> (*run_internal)(const std::vector<std::string>& words, console& terminal) = nullptr;
};

// The command that the words of a command line name, in front of which options may stand; "" if there is none.
std::string named_command(const std::vector<std::string>& words);

// Does all of main(): takes the command line apart, runs the command that it names, prints what failed, and returns
// the exit status. Only for main(), once.
int run_program(const program_parts& parts, int argc, char** argv);

}  // namespace wherry::app
