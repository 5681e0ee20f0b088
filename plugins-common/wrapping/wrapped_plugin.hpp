// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "wherry/plugin_host.hpp"
#include "wherry/sdk.hpp"

namespace wherry::wrapping {

// "name=value name=value", with blanks between them; a backslash keeps a blank or a backslash behind it in the value.
// Throws error(errc::bad_input) for what is not of that form; its text holds no value, which may be secret.
option_values parse_options(std::string_view text);

// The plugin that another one, its host, wraps. Found in `plugin_dir` (unless empty), then where the program finds its
// plugins, then beside the wrapping plugin's own file. What it is given is what the wrapping one is given.
// Throws error: as plugin_host::load, and bad_input where the name is `own_name`.
std::shared_ptr<const plugin> load(plugin_kind kind, const std::string& name, std::string_view own_name,
                                   const std::string& plugin_dir, const host_services& host);

}  // namespace wherry::wrapping
