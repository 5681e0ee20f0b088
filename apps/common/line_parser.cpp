// SPDX-License-Identifier: BSD-2-Clause
#include "line_parser.hpp"

#include <fmt/format.h>

#include "bad_input.hpp"

namespace wherry::app {

namespace po = boost::program_options;

namespace {

po::option yes(const std::string& name, const std::string& as_written) {
    po::option option(name, {"true"});
    option.original_tokens = {as_written};
    return option;
}

token as_token(const po::option& option) {
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

}  // namespace

void line_parser::add(const std::string& name, const plugin_option& row, char letter) {
    if (!added_.insert(name).second) return;
    const auto names = letter != 0 ? name + "," + letter : name;
    described_.add_options()(names.c_str(), po::value<std::string>());
    if (row.type != option_type::boolean) return;
    booleans_.names.insert(name);
    if (letter != 0) booleans_.letters[letter] = name;
}

std::vector<po::option> line_parser::boolean_style::operator()(std::vector<std::string>& arguments) const {
    const std::string first = arguments.front();
    std::vector<po::option> found;
    if (first.starts_with("--")) {
        if (const auto name = names.find(first.substr(2)); name != names.end()) found.push_back(yes(*name, first));
    } else if (first.size() > 1 && first[0] == '-') {
        for (const char c : first.substr(1)) {
            const auto name = letters.find(c);
            if (name == letters.end()) return {};
            found.push_back(yes(name->second, std::string("-") + c));
        }
    }
    if (!found.empty()) arguments.erase(arguments.begin());
    return found;
}

std::vector<token> line_parser::parse(const std::vector<std::string>& arguments) const {
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
        fail(fmt::format("{} needs a value behind it", name));
    } catch (const po::error& e) {
        fail(fmt::format("the command line cannot be understood: {}", e.what()));
    }
    return tokens;
}

}  // namespace wherry::app
