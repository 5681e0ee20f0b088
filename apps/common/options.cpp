// SPDX-License-Identifier: BSD-2-Clause
#include "options.hpp"

#include <fmt/format.h>

#include <boost/program_options.hpp>
#include <cstdlib>
#include <set>

#include "bad_input.hpp"
#include "config_file.hpp"
#include "last_resort.hpp"
#include "line_parser.hpp"
#include "wherry/home.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace {

// Renews the exit guard for a new plugin, which may call exit() from now on.
template <class Made>
Made guarded(Made made) {
    renew_exit_guard();
    return made;
}

}  // namespace

std::string checked(const plugin_option& row, const given_value& given) {
    try {
        return canonical_value(row, given.value);
    } catch (const error& e) {
        if (row.is_secret)
            fail(fmt::format("{}: the value is wrong; it is to be a {}", given.written, to_string(row.type)));
        throw e.within(given.written);
    }
}

// ---- effective_options ----

const std::string& effective_options::text(std::string_view name) const { return given(name).value; }

const given_value& effective_options::given(std::string_view name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) throw error(errc::internal, fmt::format("option '{}' has no value", name));
    return found->second;
}

const plugin& effective_options::chosen_for(std::string_view part) const {
    const auto found = chosen_.find(part);
    if (found == chosen_.end()) throw error(errc::internal, fmt::format("no {} was asked for", part));
    return *found->second;
}

const option_values& effective_options::values_of(const plugin& used) const {
    static const option_values none;
    const auto found = plugin_values_.find({used.kind(), used.name()});
    return found == plugin_values_.end() ? none : found->second;
}

std::optional<std::string> effective_options::plugin_value(plugin_kind kind, std::string_view option) const {
    const auto* row = find_row(chosen(kind), option);
    if (row == nullptr) return std::nullopt;
    const auto& values = values_of(kind);
    if (const auto found = values.find(option); found != values.end()) return canonical_value(*row, found->second);
    if (row->default_value) return canonical_value(*row, *row->default_value);
    return std::nullopt;
}

std::unique_ptr<transport> effective_options::make_transport() const {
    return guarded(chosen(plugin_kind::transport).make_transport(values_of(plugin_kind::transport)));
}
std::unique_ptr<cipher> effective_options::make_cipher() const {
    return guarded(chosen(plugin_kind::cipher).make_cipher(values_of(plugin_kind::cipher)));
}
std::unique_ptr<sink> effective_options::make_sink(std::string_view part) const {
    return guarded(chosen_for(part).make_sink(values_of(chosen_for(part))));
}

// ---- The first pass ----

option_reader::option_reader(const command_syntax& command, std::span<const command_syntax* const> commands,
                             std::vector<std::string> arguments)
    : command_(command), commands_(commands.begin(), commands.end()), arguments_(std::move(arguments)) {
    line_parser parser;
    for (const auto* option : options_of(command_)) parser.add(option->row.name, option->row, option->letter);
    for (const auto& one : parser.parse(arguments_)) {
        if (one.name.empty())
            early_arguments_.push_back(one.value);
        else if (one.is_known)
            command_line_[one.name].push_back(
                {one.value, origin::command_line, fmt::format("{} on the command line", one.written)});
    }
    for (const auto& [name, values] : command_line_)
        if (values.size() > 1 && !find(name)->may_repeat && find(name)->row.type != option_type::boolean)
            fail(fmt::format("--{} is given {} on the command line; give it once", name,
                             values.size() == 2 ? "twice" : "several times"));

    const auto home = command_line_.find("home");
    home_ = find_home(home == command_line_.end() ? std::nullopt : std::optional(home->second.back().value));

    // The environment first: it may name the configuration.
    read_environment();
    const auto* config = first_layer_with("config");
    std::error_code none;
    if (config != nullptr)
        read_config(config->back().value);
    else if (fs::exists(home_ / "config", none))
        read_config(home_ / "config");
}

const command_option* option_reader::find(std::string_view name) const {
    for (const auto* option : options_of(command_))
        if (option->row.name == name) return option;
    return nullptr;
}

const command_option* option_reader::find_anywhere(std::string_view name) const {
    if (const auto* own = find(name)) return own;
    for (const auto* command : commands_)
        for (const auto& option : command->options)
            if (option.row.name == name) return &option;
    return nullptr;
}

void option_reader::read_config(const fs::path& file) {
    const std::string shown = printable(file.native());
    for (auto& line : read_config_file(file)) {
        const auto written = fmt::format("{} in {}", printable(line.name), shown);
        auto& values = config_[line.name];
        values.push_back({std::move(line.value), origin::config_file, written});
        const auto* known = find_anywhere(line.name);
        if (values.size() > 1 && (known == nullptr || !known->may_repeat))
            fail(fmt::format("{} is given more than once", written));
    }
}

void option_reader::read_environment() {
    static const std::set<std::string, std::less<>> for_others = {"WHERRY_HOME", "WHERRY_PLUGIN_PATH"};
    std::map<std::string, std::string> names;  // of variables, to those of options
    po::options_description described;
    const auto add = [&](const command_option& option) {
        if (option.only_on_command_line || !names.emplace(variable_name(option.row.name), option.row.name).second)
            return;
        described.add_options()(option.row.name.c_str(), po::value<std::string>());
    };
    for (const auto& option : common_options()) add(option);
    for (const auto* command : commands_)
        for (const auto& option : command->options) add(option);

    const auto parsed = po::parse_environment(described, [&](const std::string& variable) {
        const auto found = names.find(variable);
        if (found != names.end()) return found->second;
        const char* value = std::getenv(variable.c_str());
        if (variable.starts_with(variable_prefix) && !for_others.contains(variable) && value != nullptr)
            variables_.emplace_back(variable, value);
        return std::string();
    });
    for (const auto& option : parsed.options)
        environment_[option.string_key].push_back(
            {option.value.empty() ? std::string() : option.value.front(), origin::environment,
             fmt::format("{} in the environment", variable_name(option.string_key))});
}

const std::vector<given_value>* option_reader::first_layer_with(std::string_view name) const {
    for (const auto* values : {&command_line_, &environment_, &config_})
        if (const auto found = values->find(name); found != values->end()) return &found->second;
    return nullptr;
}

std::optional<std::string> option_reader::early(std::string_view name) const {
    const auto* option = find(name);
    if (option == nullptr) return std::nullopt;
    if (const auto* values = first_layer_with(name)) return checked(option->row, values->back());
    return option->row.default_value ? std::optional(canonical_value(option->row, *option->row.default_value))
                                     : std::nullopt;
}

std::vector<std::string> option_reader::early_all(std::string_view name) const {
    std::vector<std::string> all;
    if (const auto* values = first_layer_with(name))
        for (const auto& one : *values) all.push_back(one.value);
    return all;
}

origin option_reader::early_origin(std::string_view name) const {
    const auto* values = first_layer_with(name);
    return values == nullptr ? origin::built_in : values->back().source;
}

std::vector<std::string> option_reader::parts_of(plugin_kind kind) const {
    const auto found = command_.parts.find(kind);
    return found == command_.parts.end() ? std::vector{std::string(to_string(kind))} : found->second;
}

std::string option_reader::option_for(plugin_kind kind, const std::string& part) const {
    return first_layer_with(part) != nullptr ? part : std::string(to_string(kind));
}

std::vector<std::string> option_reader::chosen_names(plugin_kind kind) const {
    std::vector<std::string> names;
    for (const auto& part : parts_of(kind)) {
        auto name = early(option_for(kind, part));
        if (name && std::find(names.begin(), names.end(), *name) == names.end()) names.push_back(std::move(*name));
    }
    return names;
}

}  // namespace wherry::app
