// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace wherry {

// The words most like `word` that are near enough to be meant; empty if there is none. Best first.
std::string nearest(std::string_view word, std::span<const std::string> known);

// Says that the plugin has no such option, and which of those that it has may be meant, or where they are listed.
std::string no_such_option(std::string_view kind, std::string_view plugin, std::string_view option,
                           std::span<const std::string> known);

// Says how to install a plugin that the package `wherry` comes without; empty for every other plugin.
std::string how_to_install(std::string_view kind, std::string_view plugin);

// The number of characters to insert, delete, change or swap with a neighbour to make `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace wherry
