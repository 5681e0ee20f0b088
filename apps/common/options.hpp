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

#include "command_option.hpp"
#include "wherry/plugin_host.hpp"

// What was given.
namespace wherry::app {

enum class origin { command_line, environment, config_file, built_in };

struct given_value {
    std::string value;  // as given; canonical in effective_options
    origin source = origin::built_in;
    std::string written;  // how the user named it, and where: "--tcp.port on the command line"
};

// The given value in the form of canonical_value. Throws error(errc::bad_input) that says where it was given, and does
// not show a secret.
std::string checked(const plugin_option& row, const given_value& given);

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

// Reads a command's options: the command line, before the environment, before the configuration file, before defaults.
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

    // The plugins of that kind that the options choose, for all of the work or a part of it, each once.
    std::vector<std::string> chosen_names(plugin_kind kind) const;

    // Uses this plugin for the kind, whatever the options say: an address named it.
    void choose(plugin_kind kind, std::string name) { chosen_names_[kind] = std::move(name); }

    // The second pass, with plugins of these kinds.
    effective_options read(std::span<const plugin_kind> kinds, const plugin_finder& plugins) const;

private:
    class second_pass;  // in second_pass.cpp
    using layer = std::map<std::string, std::vector<given_value>, std::less<>>;

    const command_option* find(std::string_view name) const;
    const command_option* find_anywhere(std::string_view name) const;
    const std::vector<given_value>* first_layer_with(std::string_view name) const;
    std::vector<std::string> parts_of(plugin_kind kind) const;
    // The option that chooses the plugin for a part: its own if it is given, else that of the kind.
    std::string option_for(plugin_kind kind, const std::string& part) const;
    void read_config(const std::filesystem::path& file);
    void read_environment();

    const command_syntax& command_;
    const std::vector<const command_syntax*> commands_;
    const std::vector<std::string> arguments_;
    std::vector<std::string> early_arguments_;
    std::filesystem::path home_;
    std::map<plugin_kind, std::string> chosen_names_;
    layer command_line_, config_, environment_;
    std::vector<std::pair<std::string, std::string>> variables_;  // WHERRY_..., that name no option of the program
};

}  // namespace wherry::app
