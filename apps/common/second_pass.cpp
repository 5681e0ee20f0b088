// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "bad_input.hpp"
#include "line_parser.hpp"
#include "options.hpp"
#include "wherry/error.hpp"
#include "wherry/suggestions.hpp"

namespace wherry::app {

namespace {

// "rfcomm.channel" taken apart; no plugin for a general option.
struct split_name {
    std::string plugin, option;
};

split_name split(std::string_view name) {
    const auto dot = name.find('.');
    if (dot == name.npos) return {{}, std::string(name)};
    return {std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))};
}

// Adds the names of the options of all plugins that can be loaded.
void add_names(std::vector<std::string>& known, std::span<const plugin_listing> plugins) {
    for (const auto& listing : plugins) {
        if (!listing.loaded) continue;
        auto names = option_names(*listing.loaded);
        known.insert(known.end(), std::make_move_iterator(names.begin()), std::make_move_iterator(names.end()));
    }
}

}  // namespace

// One call of option_reader::read().
class option_reader::second_pass {
public:
    // Both outlive it.
    second_pass(const option_reader& reader, const plugin_finder& plugins) noexcept
        : reader_(reader), plugins_(plugins) {}

    effective_options read(std::span<const plugin_kind> kinds) {
        for (const auto kind : kinds)
            for (const auto& part : reader_.parts_of(kind)) load(kind, part);
        read_command_line();
        // What the other layers say of plugins. Those that are not used may be configured, but rightly.
        const bool uses_plugins = !kinds.empty() && !reader_.command_.plugins_from_command_line_only;
        for (const auto& [name, values] : reader_.environment_)
            checked(reader_.find_anywhere(name)->row, values.back());
        if (uses_plugins)
            for (const auto& [variable, value] : reader_.variables_) read_variable(variable, value);
        read_config(uses_plugins);
        for (const auto* option : options_of(reader_.command_)) take(*option);
        return std::move(result_);
    }

private:
    void load(plugin_kind kind, const std::string& part) {
        const auto option = reader_.option_for(kind, part);
        const auto& chosen = reader_.chosen_names_;
        const auto named = option == to_string(kind) ? chosen.find(kind) : chosen.end();
        try {
            result_.chosen_[part] =
                plugins_.load(kind, named != chosen.end() ? named->second : reader_.early(option).value_or(""));
        } catch (const error& e) {
            const auto* values = reader_.first_layer_with(option);
            if (named != chosen.end() || values == nullptr) throw;
            throw e.within(values->back().written);
        }
    }

    // Strictly.
    void read_command_line() {
        line_parser parser;
        for (const auto* option : options_of(reader_.command_))
            parser.add(option->row.name, option->row, option->letter);
        for (const auto& [part, chosen] : result_.chosen_)
            for (const auto& row : chosen->options()) parser.add(chosen->name() + "." + row.name, row);
        std::set<std::string> seen;
        for (const auto& one : parser.parse(reader_.arguments_)) {
            if (one.name.empty()) {
                result_.arguments_.push_back({{}, one.value});
                continue;
            }
            if (!one.is_known) fail_unknown(one.name, one.written);
            const given_value given{one.value, origin::command_line,
                                    fmt::format("{} on the command line", one.written)};
            if (one.name.find('.') != one.name.npos) {
                if (!seen.insert(one.name).second)
                    fail(fmt::format("{} is given more than once; give it once", one.written));
                set_plugin_value(one.name, given);
            } else if (const auto* option = reader_.find(one.name); option->may_repeat) {
                result_.arguments_.push_back({one.name, checked(option->row, given)});
            }
        }
    }

    void read_config(bool uses_plugins) {
        for (const auto& [name, values] : reader_.config_) {
            const auto& given = values.back();
            const auto [plugin_name, option] = split(name);
            if (plugin_name.empty()) {
                const auto* known = reader_.find_anywhere(name);
                if (known == nullptr) fail_unknown(name, given.written);
                if (known->only_on_command_line)
                    fail(fmt::format("{}: this can be given on the command line only", given.written));
                checked(known->row, given);
            } else if (uses_plugins && !set_plugin_value(name, given)) {
                bool is_found = false;
                for (const auto& listing : all_plugins()) {
                    if (listing.name != plugin_name) continue;
                    const auto* row = listing.loaded ? find_row(*listing.loaded, option) : nullptr;
                    if (row != nullptr) checked(*row, given);
                    is_found = is_found || row != nullptr || !listing.loaded;
                }
                if (!is_found) fail_unknown(name, given.written);
            }
        }
    }

    // A variable that names no option of the program.
    void read_variable(const std::string& variable, const std::string& value) {
        const given_value given{value, origin::environment, fmt::format("{} in the environment", variable)};
        bool is_option = false;
        for (const auto& [part, chosen] : result_.chosen_)
            for (const auto& name : option_names(*chosen))
                if (variable_name(name) == variable) is_option = set_plugin_value(name, given) || is_option;
        if (is_option) return;
        for (const auto& listing : all_plugins()) {
            if (!listing.loaded) continue;
            for (const auto& row : listing.loaded->options()) {
                if (variable_name(listing.name + "." + row.name) != variable) continue;
                is_option = true;
                checked(row, given);
            }
        }
        if (!is_option) doubt(variable);
    }

    // Of the program's own options, the first layer that has it counts.
    void take(const command_option& option) {
        const auto& name = option.row.name;
        if (const auto* values = reader_.first_layer_with(name)) {
            auto given = values->back();
            given.value = checked(option.row, given);
            if (option.may_repeat && given.source != origin::command_line)
                for (const auto& one : *values) result_.arguments_.push_back({name, one.value});
            result_.values_.insert_or_assign(name, std::move(given));
        } else if (option.row.default_value) {
            result_.values_.insert_or_assign(
                name, given_value{canonical_value(option.row, *option.row.default_value), origin::built_in, {}});
        }
    }

    // Returns whether a plugin that is used has this option. An earlier layer wins.
    bool set_plugin_value(const std::string& name, const given_value& given) {
        const auto [plugin_name, option] = split(name);
        bool is_known = false;
        for (const auto& [part, chosen] : result_.chosen_) {
            const auto* row = chosen->name() == plugin_name ? find_row(*chosen, option) : nullptr;
            if (row == nullptr) continue;
            is_known = true;
            checked(*row, given);
            result_.plugin_values_[{chosen->kind(), plugin_name}].try_emplace(option, given.value);
        }
        return is_known;
    }

    const std::vector<plugin_listing>& all_plugins() {
        if (!all_plugins_) all_plugins_ = plugins_.list();
        return *all_plugins_;
    }

    // ---- What is no option ----

    [[noreturn]] void fail_unknown(const std::string& name, const std::string& written) {
        const bool on_command_line = written.starts_with('-');
        const auto [plugin_name, option] = split(name);

        for (const auto& [part, chosen] : result_.chosen_) {
            if (plugin_name.empty() || chosen->name() != plugin_name) continue;
            const auto meant = nearest(name, option_names(*chosen));
            fail(fmt::format(
                "{}: the {} {} has no option '{}'; {}", written, to_string(chosen->kind()), plugin_name, option,
                meant.empty() ? fmt::format("see: wherry plugins {}", plugin_name)
                              : fmt::format("did you mean {}?", on_command_line ? "--" + meant : split(meant).option)));
        }

        const auto all = reader_.command_.kinds.empty() ? std::vector<plugin_listing>() : all_plugins();
        if (!plugin_name.empty()) {
            for (const auto& listing : all) {
                if (listing.name != plugin_name) continue;
                const auto kind = to_string(listing.kind);
                const bool is_used = std::find(reader_.command_.kinds.begin(), reader_.command_.kinds.end(),
                                               listing.kind) != reader_.command_.kinds.end();
                if (!listing.loaded)
                    fail(fmt::format("{} is for the {} {}, which cannot be loaded: {}", written, kind, plugin_name,
                                     listing.problem));
                if (find_row(*listing.loaded, option) == nullptr) {
                    std::vector<std::string> known;
                    for (const auto& row : listing.loaded->options()) known.push_back(row.name);
                    fail(fmt::format("{}: {}", written, no_such_option(kind, plugin_name, option, known)));
                }
                if (!is_used)
                    fail(fmt::format("{0} belongs to the {1} {2}, and wherry {3} uses no {1}", written, kind,
                                     plugin_name, reader_.command_.name));
                fail(fmt::format("{0} belongs to the {1} {2}, which is not used here; add --{1} {2}", written, kind,
                                 plugin_name));
            }
        }

        std::vector<std::string> known;
        const auto add = [&](const command_option& option) {
            if (on_command_line || !option.only_on_command_line) known.push_back(option.row.name);
        };
        for (const auto* option : options_of(reader_.command_)) add(*option);
        add_names(known, all);
        for (const auto* other : reader_.commands_)
            for (const auto& option : other->options) {
                if (on_command_line && option.row.name == name)
                    fail(fmt::format("{} is an option of wherry {}, not of wherry {}", written, other->name,
                                     reader_.command_.name));
                if (!on_command_line) add(option);
            }

        if (!reader_.command_.kinds.empty())
            for (const auto kind : {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink})
                if (const auto advice = how_to_install(to_string(kind), plugin_name); !advice.empty())
                    fail(fmt::format("{}: no plugin '{}' is found, so there is no such option; {}", written,
                                     plugin_name, advice));
        const auto meant = nearest(name, known);
        const std::string what =
            plugin_name.empty()
                ? "there is no such option"
                : fmt::format("no plugin '{}' is found, so there is no such option (wherry plugins lists them)",
                              plugin_name);
        std::string advice;
        if (meant.empty())
            advice = fmt::format("see: wherry {} --help", reader_.command_.name);
        else if (on_command_line)
            advice = fmt::format("did you mean --{}?", meant);
        else if (const auto [section, key] = split(meant); !section.empty())
            advice = fmt::format("did you mean '{}' under [{}]?", key, section);
        else
            advice = fmt::format("did you mean '{}'?", meant);
        fail(fmt::format("{}: {}; {}", written, what, advice));
    }

    // Says what a variable that is no option may be meant to be.
    void doubt(const std::string& variable) {
        std::vector<std::string> known;
        const auto add = [&](const command_option& option) {
            if (!option.only_on_command_line) known.push_back(option.row.name);
        };
        for (const auto& option : common_options()) add(option);
        for (const auto* command : reader_.commands_)
            for (const auto& option : command->options) add(option);
        add_names(known, all_plugins());
        for (auto& name : known) name = variable_name(name).substr(variable_prefix.size());
        const auto meant = nearest(std::string_view(variable).substr(variable_prefix.size()), known);
        if (!meant.empty())
            result_.doubts_.push_back(
                fmt::format("{} in the environment is no option and is ignored; did you mean {}{}?", variable,
                            variable_prefix, meant));
    }

    const option_reader& reader_;
    const plugin_finder& plugins_;
    effective_options result_;
    std::optional<std::vector<plugin_listing>> all_plugins_;
};

effective_options option_reader::read(std::span<const plugin_kind> kinds, const plugin_finder& plugins) const {
    return second_pass(*this, plugins).read(kinds);
}

}  // namespace wherry::app
