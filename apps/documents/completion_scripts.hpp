// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string_view>

namespace wherry::app {

// The scripts by which shells complete wherry's command line: they ask `wherry internal-complete` (completion.hpp) what
// fits.
extern const std::string_view bash_completion, zsh_completion, fish_completion;

}  // namespace wherry::app
