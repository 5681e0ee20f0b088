// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/plugin_host.hpp"

// What commands take.
namespace wherry::app {

// One option of the program itself: a row as plugins have it, and what only the command line has.
struct command_option {
    plugin_option row;
    std::string placeholder;  // "FILE" in the help; unused for booleans, which need no value
    char letter = 0;          // -q; 0: none
    bool may_repeat = false;
    bool only_on_command_line = false;  // else the environment and the configuration may give it, too
};

command_option flag(std::string name, std::string help);
command_option text_option(std::string name, std::string placeholder, std::string help,
                           std::optional<std::string> default_value = std::nullopt);
command_option choice_option(std::string name, std::vector<std::string> choices, std::string default_value,
                             std::string help);
command_option integer_option(std::string name, std::string placeholder, std::string help,
                              std::optional<std::string> default_value, std::int64_t minimum, std::int64_t maximum);
command_option duration_option(std::string name, std::string default_value, std::string help, std::int64_t minimum_ms,
                               std::int64_t maximum_ms);
command_option size_option(std::string name, std::optional<std::string> default_value, std::string help);
// A switch that is on unless it is set to false.
command_option on_by_default(command_option flag);
command_option letter(char letter, command_option option);
command_option repeatable(command_option option);
command_option command_line_only(command_option option);

// What is read of one command: see command.hpp for what it does.
struct command_syntax {
    std::string name;
    std::string arguments;  // "FILE... --to ADDRESS"
    std::string summary;
    std::string details;                  // shown by its help, below the summary
    std::vector<command_option> options;  // without the common ones
    std::vector<plugin_kind> kinds;       // of the plugins it uses
    // For a kind of which it may use several at once: the options that choose one for a part of the work; where one is
    // not given, the option that is named like the kind counts. Else there is one part, named like the kind.
    std::map<plugin_kind, std::vector<std::string>> parts = {};
    // Plugins get what the command line says; what the configuration and the environment say of them is for real use.
    bool plugins_from_command_line_only = false;
};

// Options that every command has.
std::span<const command_option> common_options();
// Those, then the command's own. Valid as long as the command.
std::vector<const command_option*> options_of(const command_syntax& command);

// What each option of a plugin is called on the command line: "tcp.port".
std::vector<std::string> option_names(const plugin& chosen);
// The option of the plugin, by its name there: "port". Null if there is none.
const plugin_option* find_row(const plugin& chosen, std::string_view name);

// An option's help with its choices and its default: "compress what shrinks (auto|zstd|none; default: auto)".
std::string explained(const plugin_option& row);
// What stands for a value of a plugin's option in the help: "SIZE"; "" for a boolean.
std::string placeholder_of(const plugin_option& row);

inline constexpr std::string_view variable_prefix = "WHERRY_";
// The variable of the environment that gives an option: "WHERRY_TCP_PORT" for "tcp.port".
std::string variable_name(std::string_view option);

}  // namespace wherry::app
