// SPDX-License-Identifier: BSD-2-Clause
#include "help.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

namespace wherry::app {

namespace {

std::string title(const plugin& chosen) {
    return fmt::format("{} ({}): {}", chosen.name(), to_string(chosen.kind()), chosen.summary());
}

// One option with its help, wrapped.
void print_option(std::ostream& out, const std::string& name, char letter, const std::string& placeholder,
                  const plugin_option& row, std::size_t columns) {
    constexpr std::size_t indent = 6;
    std::string head = "  ";
    if (letter != 0) head += std::string("-") + letter + ", ";
    head += "--" + name;
    if (row.type != option_type::boolean) head += " " + placeholder;
    out << head << '\n';

    const auto help = explained(row);
    std::istringstream words(help);
    std::string word, line;
    const auto width = std::max<std::size_t>(columns, 40) - indent;
    while (words >> word) {
        if (!line.empty() && line.size() + 1 + word.size() > width) {
            out << std::string(indent, ' ') << line << '\n';
            line.clear();
        }
        line += (line.empty() ? "" : " ") + word;
    }
    if (!line.empty()) out << std::string(indent, ' ') << line << '\n';
}

}  // namespace

std::string help_text(const command_syntax& command, std::span<const plugin_listing> plugins, std::size_t columns) {
    std::ostringstream text;
    text << fmt::format("usage: wherry {}{}{}\n\n{}\n", command.name, command.arguments.empty() ? "" : " ",
                        command.arguments, command.summary);
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
        text << fmt::format("\nOptions of {}\n", title(*listing.loaded));
        for (const auto& row : listing.loaded->options())
            print_option(text, listing.name + "." + row.name, 0, placeholder_of(row), row, columns);
    }
    if (!command.kinds.empty())
        text << "\nThe options of another plugin are shown once it is chosen, or by: wherry plugins NAME\n"
                "wherry plugins lists what there is.\n"
                "\nAny option can be set in the configuration file ([plugin] sections; others on top), or in the\n"
                "environment: WHERRY_TCP_PORT for --tcp.port. The command line counts first, then the environment.\n";
    return std::move(text).str();
}

}  // namespace wherry::app
