// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <filesystem>
#include <string_view>
#include <vector>

#include "plugin_adapters.hpp"
#include "wherry/plugin.h"
#include "wherry/plugin_option.hpp"

// What a plugin's descriptor must be. All refuse with error(errc::unsupported), whose text begins with `file`.
// require_exported_descriptor() throws error(errc::io), too, if the file cannot be read.
namespace wherry {

constexpr std::array all_kinds = {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink};

// Looks at the exports of the file, which is at `real`, without loading it, for loading runs code.
void require_exported_descriptor(const std::filesystem::path& file, const std::filesystem::path& real);

// Checks the part of the descriptor that says what the rest is. Before that nothing else is believed.
void require_known_descriptor(const std::filesystem::path& file, const wherry_plugin& descriptor, plugin_kind kind,
                              std::string_view name);

// Copy a table of the descriptor. What a plugin of an earlier version does not have is zero. REQUIRES: the descriptor
// is known.
wherry_instance_functions lifecycle_of(const std::filesystem::path& file, const wherry_plugin& descriptor);
plugin_instance::function_table functions_of(const std::filesystem::path& file, const wherry_plugin& descriptor);
std::vector<plugin_option> options_of(const std::filesystem::path& file, const wherry_plugin& descriptor);

}  // namespace wherry
