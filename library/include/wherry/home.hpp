// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace wherry {

// The folder where keys and settings are, absolute: the given one, else $WHERRY_HOME, else $XDG_CONFIG_HOME/wherry,
// else
// ~/.config/wherry. It need not be there. Throws error(errc::bad_input) if one is given and empty, or if none of those
// is known.
std::filesystem::path find_home(const std::optional<std::string>& given = std::nullopt);

}  // namespace wherry
