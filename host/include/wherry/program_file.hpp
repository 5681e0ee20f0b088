// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <string>

namespace wherry {

// The file that this process runs: from /proc, or, where that is not mounted, the path that it was started by, which is
// true until the working folder changes. Empty if neither leads to a file.
std::filesystem::path program_file();

// Goes behind the folders that were searched for plugins. Says that the one beside the program was not, and why; empty
// if it was.
std::string note_unknown_program();

}  // namespace wherry
