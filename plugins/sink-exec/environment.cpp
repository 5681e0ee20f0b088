// SPDX-License-Identifier: BSD-2-Clause
#include "environment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "command_line.hpp"
#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::exec {

namespace {

// What programs need to run as their user would run them. docs/sinks.md lists the same.
constexpr std::array<std::string_view, 10> usual = {"HOME", "LANG",  "LANGUAGE", "LC_*", "LOGNAME",
                                                    "PATH", "SHELL", "TMPDIR",   "TZ",   "USER"};
// This sink's own for the facts, and meant for wherry itself in the receiver's environment: passwords, too.
constexpr std::string_view reserved = "WHERRY_";

bool matches(std::string_view name, std::string_view pattern) {
    if (!pattern.ends_with('*')) return name == pattern;
    pattern.remove_suffix(1);
    return name.starts_with(pattern);
}

void require_name(std::string_view name, std::string_view word) {
    const auto is_allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    };
    if (name.starts_with(reserved))
        throw error(errc::bad_input, fmt::format("'{}' cannot be given to commands: variables that begin with {} are "
                                                 "the sink's own; choose another name",
                                                 printable(word), reserved));
    if (!std::all_of(name.begin(), name.end(), is_allowed))
        throw error(errc::bad_input,
                    fmt::format("'{}' is neither NAME, nor PREFIX*, nor NAME=VALUE of a variable", printable(word)));
}

}  // namespace

std::vector<std::string> environment_of_commands(std::span<const std::string> own, std::string_view wanted) {
    std::vector<std::string> patterns(usual.begin(), usual.end());
    std::map<std::string, std::string, std::less<>> chosen;
    std::map<std::string, std::string, std::less<>> set;
    for (const auto& word : split_words(wanted)) {
        const auto equals = word.find('=');
        if (equals != word.npos && equals > 0) {
            require_name(std::string_view(word).substr(0, equals), word);
            set[word.substr(0, equals)] = word.substr(equals + 1);
            continue;
        }
        require_name(word.ends_with('*') ? std::string_view(word).substr(0, word.size() - 1) : word, word);
        if (word.empty()) throw error(errc::bad_input, "a variable without a name was given; leave the quotes out");
        patterns.push_back(word);
    }
    for (const auto& variable : own) {
        const auto name = std::string_view(variable).substr(0, variable.find('='));
        const bool is_wanted = std::any_of(patterns.begin(), patterns.end(),
                                           [&](const std::string& pattern) { return matches(name, pattern); });
        if (is_wanted && !name.starts_with(reserved) && name.size() < variable.size())
            chosen.try_emplace(std::string(name), variable.substr(name.size() + 1));
    }
    for (auto& [name, value] : set) chosen.insert_or_assign(name, std::move(value));
    std::vector<std::string> environment;
    for (const auto& [name, value] : chosen) environment.push_back(name + "=" + value);
    return environment;
}

}  // namespace wherry::exec
