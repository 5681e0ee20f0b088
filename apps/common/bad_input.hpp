// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "wherry/error.hpp"

namespace wherry::app {

// Ends a command that was called with words that cannot be right.
[[noreturn]] inline void fail(const std::string& text) { throw error(errc::bad_input, text); }

}  // namespace wherry::app
