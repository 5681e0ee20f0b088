// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wherry::exec {

// The environment of commands, "NAME=value" each: of `own`, this process's, the usual few variables, and what `wanted`
// adds. That is words as split_words() reads them: NAME and PREFIX* hand variables of `own` on, NAME=VALUE sets one.
// Variables that begin with WHERRY_ are never handed on. Throws error(errc::bad_input) for a word that is none of
// these.
std::vector<std::string> environment_of_commands(std::span<const std::string> own, std::string_view wanted);

}  // namespace wherry::exec
