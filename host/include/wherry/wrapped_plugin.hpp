// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string_view>

#include "wherry/sdk.hpp"
#include "wherry/sink.hpp"
#include "wherry/transport.hpp"

// For a plugin that wraps another of its kind: what finds, loads and configures the inner one, as the program does with
// the outer. The outer one links wherry::host, and has three rows in its table, which are called like the kind:
//
//     wherry::string_option("sink", "filesystem", "the sink that gets what is left"),
//     wherry::wrapping::values_option("sink-options"),
//     wherry::wrapping::folder_option("plugin-dir"),
namespace wherry::wrapping {

// The values of the inner plugin's options: "name=value name=value", with blanks between them; a backslash keeps a
// blank or a backslash behind it in the value. A secret, since they may hold one.
constexpr wherry_option values_option(const char* name) {
    return string_option(name, "", "its options, as \"name=value name=value\"; \"\\ \" is a blank in a value",
                         WHERRY_OPTION_SECRET);
}
constexpr wherry_option folder_option(const char* name) {
    return path_option(name, nullptr, "a folder to look for it first");
}

// Make the inner plugin of the plugin `own_name` from those options. It is looked for in plugin-dir, if that is given,
// then where the program finds its plugins, then beside the outer plugin's own file; and the host gives it what it
// gives the outer one. Throw error, naming the option: bad_input where there is no such plugin, it is `own_name`, or it
// has no such option or value; unsupported for a file that is refused; else what the inner plugin throws.
std::unique_ptr<sink> make_sink(std::string_view own_name, const settings& given, const host_services& host);
std::unique_ptr<transport> make_transport(std::string_view own_name, const settings& given, const host_services& host);

}  // namespace wherry::wrapping
