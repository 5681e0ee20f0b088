// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/plugin_host.hpp"

namespace wherry::app {

// ---- What commands take ----

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

// ---- What was given ----

enum class origin { command_line, config_file, environment, built_in };

struct given_value {
    std::string value;  // as given; canonical in effective_options
    origin from = origin::built_in;
    std::string written;  // how the user named it, and where: "--tcp.port on the command line"
};

// An argument or the occurrence of an option that may be repeated, in the order of the command line.
struct argument {
    std::string option;  // "" for an argument proper
    std::string value;
};

// Finds plugins; a plugin_host, but for tests.
struct plugin_finder {
    std::function<std::shared_ptr<const plugin>(plugin_kind, std::string_view)> load;
    std::function<std::vector<plugin_listing>()> list;
};

// The outcome: each option of the command with a value that was checked.
class effective_options {
public:
    bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
    const std::string& text(std::string_view name) const;
    bool boolean(std::string_view name) const { return text(name) == "true"; }
    std::int64_t integer(std::string_view name) const { return std::stoll(text(name)); }
    std::chrono::milliseconds duration(std::string_view name) const { return std::chrono::milliseconds(integer(name)); }
    std::uint64_t bytes(std::string_view name) const { return static_cast<std::uint64_t>(integer(name)); }
    const given_value& given(std::string_view name) const;

    const std::vector<argument>& arguments() const noexcept { return arguments_; }
    // Variables of the environment that look like options but are none: a sentence each.
    const std::vector<std::string>& doubts() const noexcept { return doubts_; }

    // The plugin chosen for a kind that was asked for, and of which only one is used, and its values as the user gave
    // them.
    const plugin& chosen(plugin_kind kind) const { return chosen_for(to_string(kind)); }
    const option_values& values_of(plugin_kind kind) const { return values_of(chosen(kind)); }
    // The same for a part of the work: see command_syntax::parts.
    const plugin& chosen_for(std::string_view part) const;
    const option_values& values_of(const plugin& used) const;
    // What an option of a chosen plugin will be, in the form of canonical_value; none if it has no value or is unknown.
    std::optional<std::string> plugin_value(plugin_kind kind, std::string_view option) const;

    std::unique_ptr<transport> make_transport() const;
    std::unique_ptr<cipher> make_cipher() const;
    std::unique_ptr<sink> make_sink(std::string_view part) const;

private:
    friend class option_reader;
    std::map<std::string, given_value, std::less<>> values_;
    std::vector<argument> arguments_;
    std::vector<std::string> doubts_;
    std::map<std::string, std::shared_ptr<const plugin>, std::less<>> chosen_;    // by part; one may have several
    std::map<std::pair<plugin_kind, std::string>, option_values> plugin_values_;  // by kind and name
};

// Reads a command's options: the command line, before the configuration file, before the environment, before defaults.
// In two passes, since which plugins there are, and so which options, is itself told by options.
// Every function throws error(errc::bad_input) saying which option, given where, is wrong, why, and what would be
// right.
class option_reader {
public:
    // The first pass. `commands` are all there are: an option of another one is told from one that does not exist, and
    // may stand in the configuration.
    option_reader(const command_syntax& command, std::span<const command_syntax* const> commands,
                  std::vector<std::string> arguments);

    // Absolute.
    const std::filesystem::path& home() const noexcept { return home_; }

    // An option of the program, before plugins are known: its value, in the form of canonical_value.
    std::optional<std::string> early(std::string_view name) const;
    bool early_flag(std::string_view name) const { return early(name) == "true"; }
    std::vector<std::string> early_all(std::string_view name) const;
    // Where its value comes from.
    origin early_origin(std::string_view name) const;
    // Arguments as far as they can be told yet: the value of a plugin's option may be among them.
    const std::vector<std::string>& early_arguments() const noexcept { return early_arguments_; }

    // The plugins of that kind that the command line chooses, for all of the work or a part of it.
    std::vector<std::string> named_on_command_line(plugin_kind kind) const;

    // Uses this plugin for the kind, whatever the options say: an address named it.
    void choose(plugin_kind kind, std::string name) { chosen_names_[kind] = std::move(name); }

    // The second pass, with plugins of these kinds.
    effective_options read(std::span<const plugin_kind> kinds, const plugin_finder& plugins) const;

private:
    using layer = std::map<std::string, std::vector<given_value>, std::less<>>;

    const command_option* find(std::string_view name) const;
    const command_option* find_anywhere(std::string_view name) const;
    const std::vector<given_value>* first_layer_with(std::string_view name) const;
    std::vector<std::string> parts_of(plugin_kind kind) const;
    // The option that chooses the plugin for a part: its own if it is given, else that of the kind.
    std::string option_for(plugin_kind kind, const std::string& part) const;
    void read_config(const std::filesystem::path& file);
    void read_environment();
    std::optional<std::string> doubt(const std::string& variable, std::span<const plugin_listing> plugins) const;
    [[noreturn]] void fail_unknown(const std::string& name, const std::string& written, const plugin_finder& plugins,
                                   const effective_options& so_far) const;

    const command_syntax& command_;
    const std::vector<const command_syntax*> commands_;
    const std::vector<std::string> arguments_;
    std::vector<std::string> early_arguments_;
    std::filesystem::path home_;
    std::map<plugin_kind, std::string> chosen_names_;
    layer command_line_, config_, environment_;
    std::vector<std::pair<std::string, std::string>> variables_;  // WHERRY_..., that name no option of the program
};

// The help of a command, with the options of every plugin that it could use.
std::string help_text(const command_syntax& command, std::span<const plugin_listing> plugins, std::size_t columns);

// An option's help with its choices and its default: "compress what shrinks (auto|zstd|none; default: auto)".
std::string explained(const plugin_option& row);
// What stands for a value of a plugin's option in the help: "SIZE"; "" for a boolean.
std::string placeholder_of(const plugin_option& row);

// The variable of the environment that gives an option: "WHERRY_TCP_PORT" for "tcp.port".
std::string variable_name(std::string_view option);

// The words most like `word` that are near enough to be meant; empty if there is none. Best first.
std::string nearest(std::string_view word, std::span<const std::string> known);

// The number of characters to insert, delete, change or swap with a neighbour to make `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace wherry::app
