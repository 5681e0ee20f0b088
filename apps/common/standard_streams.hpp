// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

namespace wherry::app {

// Opens /dev/null at each of the descriptors 0, 1 and 2 that is closed, so that no other file gets its number. Standard
// input is opened for writing only, the outputs for reading only, so using them still fails. Call it first in main().
// Returns false if one could not be opened.
bool open_closed_standard_streams() noexcept;

// Throws error(errc::io) if standard input cannot be read: it was closed, or is open only for writing. `purpose`
// completes the message: "for '-'".
void require_readable_input(const std::string& purpose);

}  // namespace wherry::app
