// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <vector>

namespace wherry::app {

// The commands for authors of plugins, new-plugin and check-plugin, are in a program of their own, wherry-dev, which
// need not be installed. It is sought in libexec beside the folder of this program, and nowhere else: neither PATH nor
// another variable can name a different one.

// Replaces this process by wherry-dev where `words`, the arguments of main(), name one of its commands. Returns where
// they do not, or where wherry-dev cannot be run; the command then throws the error that says why. Call it before the
// process has another thread, so that no signal gets lost between the two programs.
void run_developer_program_for(const std::vector<std::string>& words);

}  // namespace wherry::app
