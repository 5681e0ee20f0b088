// SPDX-License-Identifier: BSD-2-Clause
#include "command_option.hpp"

#include <fmt/format.h>

#include <utility>

namespace wherry::app {

command_option flag(std::string name, std::string help) {
    command_option option;
    option.row.name = std::move(name);
    option.row.type = option_type::boolean;
    option.row.default_value = "false";
    option.row.help = std::move(help);
    return option;
}

command_option text_option(std::string name, std::string placeholder, std::string help,
                           std::optional<std::string> default_value) {
    command_option option;
    option.row.name = std::move(name);
    option.row.help = std::move(help);
    option.row.default_value = std::move(default_value);
    option.placeholder = std::move(placeholder);
    return option;
}

command_option choice_option(std::string name, std::vector<std::string> choices, std::string default_value,
                             std::string help) {
    auto option = text_option(std::move(name), "WORD", std::move(help), std::move(default_value));
    option.row.type = option_type::choice;
    option.row.choices = std::move(choices);
    return option;
}

command_option integer_option(std::string name, std::string placeholder, std::string help,
                              std::optional<std::string> default_value, std::int64_t minimum, std::int64_t maximum) {
    auto option = text_option(std::move(name), std::move(placeholder), std::move(help), std::move(default_value));
    option.row.type = option_type::integer;
    option.row.minimum = minimum;
    option.row.maximum = maximum;
    return option;
}

command_option duration_option(std::string name, std::string default_value, std::string help, std::int64_t minimum_ms,
                               std::int64_t maximum_ms) {
    auto option = text_option(std::move(name), "TIME", std::move(help), std::move(default_value));
    option.row.type = option_type::duration;
    option.row.minimum = minimum_ms;
    option.row.maximum = maximum_ms;
    return option;
}

command_option size_option(std::string name, std::optional<std::string> default_value, std::string help) {
    auto option = text_option(std::move(name), "SIZE", std::move(help), std::move(default_value));
    option.row.type = option_type::size;
    return option;
}

command_option on_by_default(command_option flag) {
    flag.row.default_value = "true";
    return flag;
}

command_option letter(char letter, command_option option) {
    option.letter = letter;
    return option;
}

command_option repeatable(command_option option) {
    option.may_repeat = true;
    return option;
}

command_option command_line_only(command_option option) {
    option.only_on_command_line = true;
    return option;
}

std::span<const command_option> common_options() {
    static const std::vector<command_option> options = {
        letter('h', command_line_only(flag("help", "show this"))),
        command_line_only(text_option("home", "DIR",
                                      "the folder with keys and settings; else WHERRY_HOME, else "
                                      "$XDG_CONFIG_HOME/wherry, else ~/.config/wherry")),
        text_option("config", "FILE", "the configuration file; else 'config' in that folder, if it is there"),
        repeatable(text_option("plugin-dir", "DIR", "look for plugins here first; may be repeated")),
        choice_option("log-level", {"debug", "info", "warning", "error", "off"}, "warning",
                      "how much to say on standard error"),
        letter('q', flag("quiet", "say nothing but errors")),
        flag("json", "one JSON object a line on standard output, for programs"),
    };
    return options;
}

std::vector<const command_option*> options_of(const command_syntax& command) {
    std::vector<const command_option*> all;
    for (const auto& option : common_options()) all.push_back(&option);
    for (const auto& option : command.options) all.push_back(&option);
    return all;
}

std::vector<std::string> option_names(const plugin& chosen) {
    std::vector<std::string> names;
    for (const auto& row : chosen.options()) names.push_back(chosen.name() + "." + row.name);
    return names;
}

const plugin_option* find_row(const plugin& chosen, std::string_view name) {
    for (const auto& row : chosen.options())
        if (row.name == name) return &row;
    return nullptr;
}

std::string placeholder_of(const plugin_option& row) {
    switch (row.type) {
        case option_type::string: return "TEXT";
        case option_type::integer: return "N";
        case option_type::boolean: return {};
        case option_type::duration: return "TIME";
        case option_type::size: return "SIZE";
        case option_type::path: return "PATH";
        case option_type::choice: return "WORD";
    }
    return "VALUE";
}

std::string explained(const plugin_option& row) {
    std::string help = row.help, more;
    if (row.type == option_type::choice) {
        for (const auto& choice : row.choices) more += (more.empty() ? "" : "|") + choice;
        more += "; ";
    }
    if (row.is_required)
        more += "required";
    else if (row.default_value && !row.is_secret && !(row.type == option_type::boolean && row.default_value == "false"))
        more += fmt::format("default: {}", row.default_value->empty() ? "none" : *row.default_value);
    if (more.ends_with("; ")) more.resize(more.size() - 2);
    if (!more.empty()) help += " (" + more + ")";
    return help;
}

std::string variable_name(std::string_view option) {
    std::string name(variable_prefix);
    for (const char c : option)
        name += c == '.' || c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    return name;
}

}  // namespace wherry::app
