// SPDX-License-Identifier: BSD-2-Clause
#include "options.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>

#include "last_resort.hpp"
#include "wherry/error.hpp"
#include "wherry/home.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace po = boost::program_options;
namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const std::string& text) { throw error(errc::bad_input, text); }

// Renews the exit guard for a new plugin, which may call exit() from now on.
template <class Made>
Made guarded(Made made) {
    renew_exit_guard();
    return made;
}

std::string option_name(plugin_kind kind) { return std::string(to_string(kind)); }

// "rfcomm.channel" taken apart; no plugin for a general option.
struct split_name {
    std::string plugin, option;
};

split_name split(std::string_view name) {
    const auto dot = name.find('.');
    if (dot == name.npos) return {{}, std::string(name)};
    return {std::string(name.substr(0, dot)), std::string(name.substr(dot + 1))};
}

constexpr std::string_view prefix = "WHERRY_";

const plugin_option* find_row(const plugin& from, std::string_view name) {
    for (const auto& row : from.options())
        if (row.name == name) return &row;
    return nullptr;
}

std::string checked(const plugin_option& row, const given_value& given) {
    try {
        return canonical_value(row, given.value);
    } catch (const error& e) {
        if (row.is_secret)
            fail(fmt::format("{}: the value is wrong; it is to be a {}", given.written, to_string(row.type)));
        throw e.within(given.written);
    }
}

// ---- The command line, by Boost.Program_options ----

struct token {
    std::string name;  // "" for an argument
    std::string value;
    std::string written;
    bool is_known = true;
};

// A boolean needs no value, but may have one after '=': nothing that Program_options has means just that, so this turns
// "--quiet" and "-q" into their long form with a value; anything else is left to it.
class boolean_style {
public:
    void add(const std::string& name, char letter) {
        names_.insert(name);
        if (letter != 0) letters_[letter] = name;
    }

    std::vector<po::option> operator()(std::vector<std::string>& arguments) const {
        const std::string first = arguments.front();
        std::vector<po::option> found;
        if (first.starts_with("--")) {
            if (const auto name = names_.find(first.substr(2)); name != names_.end())
                found.push_back(yes(*name, first));
        } else if (first.size() > 1 && first[0] == '-') {
            for (const char c : first.substr(1)) {
                const auto name = letters_.find(c);
                if (name == letters_.end()) return {};
                found.push_back(yes(name->second, std::string("-") + c));
            }
        }
        if (!found.empty()) arguments.erase(arguments.begin());
        return found;
    }

private:
    static po::option yes(const std::string& name, const std::string& as_written) {
        po::option option(name, {"true"});
        option.original_tokens = {as_written};
        return option;
    }

    std::set<std::string> names_;
    std::map<char, std::string> letters_;
};

class line_parser {
public:
    void add(const std::string& name, const plugin_option& row, char letter = 0) {
        if (!added_.insert(name).second) return;
        const auto names = letter != 0 ? name + "," + letter : name;
        described_.add_options()(names.c_str(), po::value<std::string>());
        if (row.type == option_type::boolean) booleans_.add(name, letter);
    }

    std::vector<token> parse(const std::vector<std::string>& arguments) const {
        using namespace po::command_line_style;
        std::vector<token> tokens;
        try {
            const auto parsed = po::command_line_parser(arguments)
                                    .options(described_)
                                    .style(unix_style & ~allow_guessing)
                                    .extra_style_parser(booleans_)
                                    .allow_unregistered()
                                    .run();
            for (const auto& option : parsed.options) tokens.push_back(as_token(option));
        } catch (const po::invalid_command_line_syntax& e) {
            const auto name = e.get_option_name();
            if (e.kind() == po::invalid_syntax::empty_adjacent_parameter)
                fail(fmt::format("{0}= is not followed by a value; write {0} '' for an empty one", name));
            fail(name + " needs a value behind it");
        } catch (const po::error& e) {
            fail(std::string("the command line cannot be understood: ") + e.what());
        }
        return tokens;
    }

private:
    static token as_token(const po::option& option) {
        token one;
        if (option.string_key.empty() || option.position_key >= 0) {
            one.value = option.value.empty() ? std::string() : option.value.front();
            return one;
        }
        one.name = option.string_key;
        if (!option.value.empty()) one.value = option.value.front();
        one.is_known = !option.unregistered;
        one.written = one.name.starts_with('-') ? one.name : "--" + one.name;
        return one;
    }

    po::options_description described_;
    boolean_style booleans_;
    std::set<std::string> added_;
};

std::string title(const plugin& of) {
    return fmt::format("{} ({}): {}", of.name(), option_name(of.kind()), of.summary());
}

// One option with its help, wrapped.
void print_option(std::ostream& to, const std::string& name, char letter, const std::string& placeholder,
                  const plugin_option& row, std::size_t columns) {
    constexpr std::size_t indent = 6;
    std::string head = "  ";
    if (letter != 0) head += std::string("-") + letter + ", ";
    head += "--" + name;
    if (row.type != option_type::boolean) head += " " + placeholder;
    to << head << '\n';

    const auto help = explained(row);
    std::istringstream words(help);
    std::string word, line;
    const auto width = std::max<std::size_t>(columns, 40) - indent;
    while (words >> word) {
        if (!line.empty() && line.size() + 1 + word.size() > width) {
            to << std::string(indent, ' ') << line << '\n';
            line.clear();
        }
        line += (line.empty() ? "" : " ") + word;
    }
    if (!line.empty()) to << std::string(indent, ' ') << line << '\n';
}

}  // namespace

// ---- What commands take ----

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

// ---- What options say of themselves ----

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
        more += "default: " + (row.default_value->empty() ? std::string("none") : *row.default_value);
    if (more.ends_with("; ")) more.resize(more.size() - 2);
    if (!more.empty()) help += " (" + more + ")";
    return help;
}

// ---- Words ----

std::string variable_name(std::string_view option) {
    std::string name(prefix);
    for (const char c : option)
        name += c == '.' || c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    return name;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    // Three rows of the usual table; the oldest is for swapped neighbours.
    std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
    std::iota(above.begin(), above.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, above);
        std::swap(above, row);
    }
    return above[b.size()];
}

std::string nearest(std::string_view word, std::span<const std::string> known) {
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, std::min<std::size_t>(3, word.size() / 3)) + 1;
    for (const auto& candidate : known) {
        const auto distance = edit_distance(word, candidate);
        if (distance < best_distance) best_distance = distance, best = candidate;
    }
    if (!best.empty() || word.size() < 3) return best;
    // Not a slip, but perhaps an abbreviation, or the plugin left out.
    for (const auto& candidate : known)
        if (candidate.starts_with(word) || candidate.ends_with("." + std::string(word))) return candidate;
    return best;
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
    for (const auto& option : common_options()) parser.add(option.row.name, option.row, option.letter);
    for (const auto& option : command_.options) parser.add(option.row.name, option.row, option.letter);
    for (const auto& one : parser.parse(arguments_)) {
        if (one.name.empty())
            early_arguments_.push_back(one.value);
        else if (one.is_known)
            command_line_[one.name].push_back({one.value, origin::command_line, one.written + " on the command line"});
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
    for (const auto& option : common_options())
        if (option.row.name == name) return &option;
    for (const auto& option : command_.options)
        if (option.row.name == name) return &option;
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
    struct stat found {};
    const auto fail_reading = [&] {
        fail(fmt::format("the configuration file '{}' cannot be read: {}", shown,
                         std::generic_category().message(errno)));
    };
    if (::stat(file.c_str(), &found) != 0) fail_reading();
    if (!S_ISREG(found.st_mode)) fail(fmt::format("the configuration file '{}' is not a regular file", shown));
    // Whoever writes it chooses what code is loaded.
    if (found.st_uid != 0 && found.st_uid != ::geteuid())
        fail(fmt::format("the configuration file '{}' belongs to another user, so it is not used; make it your own",
                         shown));
    if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        fail(
            fmt::format("the configuration file '{0}' can be written by other users, so it is not used; run: chmod "
                        "go-w '{0}'",
                        shown));
    std::ifstream stream(file);
    if (!stream) fail_reading();
    try {
        constexpr bool allow_unregistered = true;
        const auto parsed = po::parse_config_file(stream, po::options_description(), allow_unregistered);
        for (const auto& option : parsed.options) {
            const auto value = option.value.empty() ? std::string() : option.value.front();
            const auto written = fmt::format("{} in {}", option.string_key, shown);
            auto& values = config_[option.string_key];
            values.push_back({value, origin::config_file, written});
            const auto* known = find_anywhere(option.string_key);
            if (values.size() > 1 && (known == nullptr || !known->may_repeat))
                fail(written + " is given more than once");
        }
    } catch (const po::error& e) {
        fail(
            fmt::format("the configuration file '{}' cannot be understood: {}; lines are 'name = value', '[plugin]' or "
                        "'# comment'",
                        shown, e.what()));
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
        if (variable.starts_with(prefix) && !for_others.contains(variable) && value != nullptr)
            variables_.emplace_back(variable, value);
        return std::string();
    });
    for (const auto& option : parsed.options)
        environment_[option.string_key].push_back({option.value.empty() ? std::string() : option.value.front(),
                                                   origin::environment,
                                                   variable_name(option.string_key) + " in the environment"});
}

const std::vector<given_value>* option_reader::first_layer_with(std::string_view name) const {
    for (const auto* values : {&command_line_, &config_, &environment_})
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
    return values == nullptr ? origin::built_in : values->back().from;
}

std::vector<std::string> option_reader::parts_of(plugin_kind kind) const {
    const auto found = command_.parts.find(kind);
    return found == command_.parts.end() ? std::vector{option_name(kind)} : found->second;
}

std::string option_reader::option_for(plugin_kind kind, const std::string& part) const {
    return first_layer_with(part) != nullptr ? part : option_name(kind);
}

std::vector<std::string> option_reader::named_on_command_line(plugin_kind kind) const {
    bool is_named = false;
    std::vector<std::string> names;
    for (const auto& part : parts_of(kind)) {
        const auto option = option_for(kind, part);
        is_named = is_named || early_origin(option) == origin::command_line;
        names.push_back(early(option).value_or(""));
    }
    return is_named ? names : std::vector<std::string>();
}

// ---- The second pass ----

effective_options option_reader::read(std::span<const plugin_kind> kinds, const plugin_finder& plugins) const {
    effective_options result;
    for (const auto kind : kinds) {
        for (const auto& part : parts_of(kind)) {
            const auto option = option_for(kind, part);
            const auto named = option == option_name(kind) ? chosen_names_.find(kind) : chosen_names_.end();
            const auto name = named != chosen_names_.end() ? named->second : early(option).value_or("");
            try {
                result.chosen_[part] = plugins.load(kind, name);
            } catch (const error& e) {
                const auto* values = first_layer_with(option);
                if (named != chosen_names_.end() || values == nullptr) throw;
                throw e.within(values->back().written);
            }
        }
    }

    // The command line, strictly.
    line_parser parser;
    for (const auto& option : common_options()) parser.add(option.row.name, option.row, option.letter);
    for (const auto& option : command_.options) parser.add(option.row.name, option.row, option.letter);
    for (const auto& [part, chosen] : result.chosen_)
        for (const auto& row : chosen->options()) parser.add(chosen->name() + "." + row.name, row);

    std::set<std::string> seen;
    const auto set_plugin_value = [&](const std::string& name, const given_value& given) {
        const auto [plugin_name, option] = split(name);
        bool is_known = false;
        for (const auto& [part, chosen] : result.chosen_) {
            const auto* row = chosen->name() == plugin_name ? find_row(*chosen, option) : nullptr;
            if (row == nullptr) continue;
            is_known = true;
            checked(*row, given);
            result.plugin_values_[{chosen->kind(), plugin_name}].try_emplace(option,
                                                                             given.value);  // an earlier layer wins
        }
        return is_known;
    };
    for (const auto& one : parser.parse(arguments_)) {
        if (one.name.empty()) {
            result.arguments_.push_back({{}, one.value});
            continue;
        }
        if (!one.is_known) fail_unknown(one.name, one.written, plugins, result);
        const given_value given{one.value, origin::command_line, one.written + " on the command line"};
        if (one.name.find('.') != one.name.npos) {
            if (!seen.insert(one.name).second) fail(one.written + " is given more than once; give it once");
            set_plugin_value(one.name, given);
        } else if (find(one.name)->may_repeat) {
            result.arguments_.push_back({one.name, checked(find(one.name)->row, given)});
        }
    }

    // What other layers say of plugins. Those that are not used may be configured, but rightly.
    std::optional<std::vector<plugin_listing>> all;
    const auto listed = [&]() -> const std::vector<plugin_listing>& {
        if (!all) all = plugins.list();
        return *all;
    };
    const bool uses_plugins = !kinds.empty() && !command_.plugins_from_command_line_only;
    for (const auto& [name, values] : config_) {
        const auto& given = values.back();
        const auto [plugin_name, option] = split(name);
        if (plugin_name.empty()) {
            const auto* known = find_anywhere(name);
            if (known == nullptr) fail_unknown(name, given.written, plugins, result);
            if (known->only_on_command_line) fail(given.written + ": this can be given on the command line only");
            checked(known->row, given);
        } else if (uses_plugins && !set_plugin_value(name, given)) {
            bool is_found = false;
            for (const auto& listing : listed()) {
                if (listing.name != plugin_name) continue;
                const auto* row = listing.loaded ? find_row(*listing.loaded, option) : nullptr;
                if (row != nullptr) checked(*row, given);
                is_found = is_found || row != nullptr || !listing.loaded;
            }
            if (!is_found) fail_unknown(name, given.written, plugins, result);
        }
    }
    for (const auto& [name, values] : environment_) checked(find_anywhere(name)->row, values.back());
    if (uses_plugins) {
        for (const auto& [variable, value] : variables_) {
            const given_value given{value, origin::environment, variable + " in the environment"};
            bool is_of_chosen = false;
            for (const auto& [part, chosen] : result.chosen_)
                for (const auto& row : chosen->options())
                    if (const auto name = chosen->name() + "." + row.name; variable_name(name) == variable)
                        is_of_chosen = set_plugin_value(name, given) || is_of_chosen;
            if (is_of_chosen) continue;
            bool is_option = false;
            for (const auto& listing : listed()) {
                if (!listing.loaded) continue;
                for (const auto& row : listing.loaded->options()) {
                    if (variable_name(listing.name + "." + row.name) != variable) continue;
                    is_option = true;
                    checked(row, given);
                }
            }
            if (is_option) continue;
            if (auto sentence = doubt(variable, listed())) result.doubts_.push_back(std::move(*sentence));
        }
    }

    // The program's own.
    const auto take = [&](const command_option& option) {
        const auto& name = option.row.name;
        if (const auto* values = first_layer_with(name)) {
            auto given = values->back();
            given.value = checked(option.row, given);
            if (option.may_repeat && given.from != origin::command_line)
                for (const auto& one : *values) result.arguments_.push_back({name, one.value});
            result.values_.insert_or_assign(name, std::move(given));
        } else if (option.row.default_value) {
            result.values_.insert_or_assign(
                name, given_value{canonical_value(option.row, *option.row.default_value), origin::built_in, {}});
        }
    };
    for (const auto& option : common_options()) take(option);
    for (const auto& option : command_.options) take(option);
    return result;
}

void option_reader::fail_unknown(const std::string& name, const std::string& written, const plugin_finder& plugins,
                                 const effective_options& so_far) const {
    const bool on_command_line = written.starts_with('-');
    const auto [plugin_name, option] = split(name);

    for (const auto& [part, chosen] : so_far.chosen_) {
        if (plugin_name.empty() || chosen->name() != plugin_name) continue;
        std::vector<std::string> known;
        for (const auto& row : chosen->options()) known.push_back(plugin_name + "." + row.name);
        const auto meant = nearest(name, known);
        fail(fmt::format(
            "{}: the {} {} has no option '{}'; {}", written, option_name(chosen->kind()), plugin_name, option,
            meant.empty() ? fmt::format("see: wherry plugins {}", plugin_name)
                          : fmt::format("did you mean {}?", on_command_line ? "--" + meant : split(meant).option)));
    }

    const bool uses_plugins = !command_.kinds.empty();
    const auto all = uses_plugins ? plugins.list() : std::vector<plugin_listing>();
    if (!plugin_name.empty()) {
        for (const auto& listing : all) {
            if (listing.name != plugin_name) continue;
            const auto kind = option_name(listing.kind);
            const bool is_used =
                std::find(command_.kinds.begin(), command_.kinds.end(), listing.kind) != command_.kinds.end();
            if (!listing.loaded)
                fail(fmt::format("{} is for the {} {}, which cannot be loaded: {}", written, kind, plugin_name,
                                 listing.problem));
            if (find_row(*listing.loaded, option) == nullptr) {
                std::vector<std::string> known;
                for (const auto& row : listing.loaded->options()) known.push_back(row.name);
                const auto meant = nearest(option, known);
                fail(fmt::format("{}: the {} {} has no option '{}'; {}", written, kind, plugin_name, option,
                                 meant.empty() ? fmt::format("see: wherry plugins {}", plugin_name)
                                               : fmt::format("did you mean '{}'?", meant)));
            }
            if (!is_used)
                fail(fmt::format("{0} belongs to the {1} {2}, and wherry {3} uses no {1}", written, kind, plugin_name,
                                 command_.name));
            fail(fmt::format("{0} belongs to the {1} {2}, which is not used here; add --{1} {2}", written, kind,
                             plugin_name));
        }
    }

    std::vector<std::string> known;
    const auto is_offered = [&](const command_option& row) { return on_command_line || !row.only_on_command_line; };
    for (const auto& row : common_options())
        if (is_offered(row)) known.push_back(row.row.name);
    for (const auto& row : command_.options)
        if (is_offered(row)) known.push_back(row.row.name);
    for (const auto& listing : all)
        if (listing.loaded)
            for (const auto& row : listing.loaded->options()) known.push_back(listing.name + "." + row.name);
    if (on_command_line) {
        for (const auto* other : commands_)
            for (const auto& row : other->options)
                if (row.row.name == name)
                    fail(fmt::format("{} is an option of wherry {}, not of wherry {}", written, other->name,
                                     command_.name));
    } else {
        for (const auto* other : commands_)
            for (const auto& row : other->options)
                if (!row.only_on_command_line) known.push_back(row.row.name);
    }

    const auto meant = nearest(name, known);
    const std::string what =
        plugin_name.empty()
            ? "there is no such option"
            : fmt::format("no plugin '{}' is found, so there is no such option (wherry plugins lists them)",
                          plugin_name);
    std::string advice;
    if (meant.empty())
        advice = fmt::format("see: wherry {} --help", command_.name);
    else if (on_command_line)
        advice = fmt::format("did you mean --{}?", meant);
    else if (const auto [section, key] = split(meant); !section.empty())
        advice = fmt::format("did you mean '{}' under [{}]?", key, section);
    else
        advice = fmt::format("did you mean '{}'?", meant);
    fail(fmt::format("{}: {}; {}", written, what, advice));
}

std::optional<std::string> option_reader::doubt(const std::string& variable,
                                                std::span<const plugin_listing> plugins) const {
    std::vector<std::string> known;
    const auto add = [&](std::string_view option) { known.push_back(variable_name(option).substr(prefix.size())); };
    for (const auto& option : common_options())
        if (!option.only_on_command_line) add(option.row.name);
    for (const auto* command : commands_)
        for (const auto& option : command->options)
            if (!option.only_on_command_line) add(option.row.name);
    for (const auto& listing : plugins)
        if (listing.loaded)
            for (const auto& row : listing.loaded->options()) add(listing.name + "." + row.name);
    const auto meant = nearest(variable.substr(prefix.size()), known);
    if (meant.empty()) return std::nullopt;
    return fmt::format("{} in the environment is no option and is ignored; did you mean {}{}?", variable, prefix,
                       meant);
}

// ---- Help ----

std::string help_text(const command_syntax& command, std::span<const plugin_listing> plugins, std::size_t columns) {
    std::ostringstream text;
    text << "usage: wherry " << command.name << (command.arguments.empty() ? "" : " ") << command.arguments << "\n\n"
         << command.summary << "\n";
    if (!command.details.empty()) text << '\n' << command.details << '\n';
    const auto print = [&](std::span<const command_option> options) {
        for (const auto& option : options)
            print_option(text, option.row.name, option.letter, option.placeholder, option.row, columns);
    };
    if (!command.options.empty()) {
        text << "\nOptions:\n";
        print(command.options);
    }
    text << "\nCommon options:\n";
    print(common_options());
    for (const auto& listing : plugins) {
        if (std::find(command.kinds.begin(), command.kinds.end(), listing.kind) == command.kinds.end()) continue;
        if (!listing.loaded || listing.loaded->options().empty()) continue;
        text << "\nOptions of " << title(*listing.loaded) << '\n';
        for (const auto& row : listing.loaded->options())
            print_option(text, listing.name + "." + row.name, 0, placeholder_of(row), row, columns);
    }
    if (!command.kinds.empty())
        text << "\nAny option can be set in the configuration file ([plugin] sections; others on top), or in the\n"
                "environment: WHERRY_TCP_PORT for --tcp.port. The command line counts first, then the file.\n";
    return std::move(text).str();
}

}  // namespace wherry::app
