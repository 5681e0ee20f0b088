// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/plugin.h"

// What a plugin is called, and the options that it has.
namespace wherry {

// True for what may name a plugin, or an option of one: 1 to 32 lower-case letters, digits and '-', which is not first.
bool is_plugin_name(std::string_view name) noexcept;

enum class plugin_kind : std::uint32_t {
    transport = WHERRY_KIND_TRANSPORT,
    cipher = WHERRY_KIND_CIPHER,
    sink = WHERRY_KIND_SINK,
};

// "transport", "cipher", "sink".
std::string_view to_string(plugin_kind kind) noexcept;

enum class option_type : std::uint32_t {
    string = WHERRY_OPTION_STRING,
    integer = WHERRY_OPTION_INTEGER,
    boolean = WHERRY_OPTION_BOOLEAN,
    duration = WHERRY_OPTION_DURATION,
    size = WHERRY_OPTION_SIZE,
    path = WHERRY_OPTION_PATH,
    choice = WHERRY_OPTION_CHOICE,
};

// "string", "integer", ...
std::string_view to_string(option_type type) noexcept;

// One row of a plugin's option table, copied out of it.
struct plugin_option {
    std::string name;
    option_type type = option_type::string;
    bool is_required = false;
    bool is_secret = false;
    std::optional<std::string> default_value;
    std::string help;
    std::vector<std::string> choices;
    std::int64_t minimum = 0, maximum = 0;  // both 0: not limited
};

// Checks `given` against the option's type and limits, and returns the form that configure() gets (see plugin.h).
// Throws error(errc::bad_input) that says what is wrong and what would be right; it does not repeat the option's name.
std::string canonical_value(const plugin_option& option, std::string_view given);

// Values of one plugin's options by name, as the user gave them.
using option_values = std::map<std::string, std::string, std::less<>>;

}  // namespace wherry
