// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "command.hpp"

namespace wherry::app {

// The commands of this program. apps/wherry has two of the same names, which run it.
const command& new_plugin_command();
const command& check_plugin_command();

}  // namespace wherry::app
