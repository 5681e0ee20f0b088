// SPDX-License-Identifier: BSD-2-Clause
#include "internal.hpp"

#include "completion.hpp"
#include "syntax.hpp"
#include "wherry/home.hpp"
#include "wherry/keys/known_hosts.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

// What is wrong with the machine or the files is for the command itself to say, not in the middle of somebody's typing.
std::vector<plugin_listing> plugins_of(std::span<const std::string> plugin_dirs) {
    try {
        return plugin_host(default_search_path(plugin_dirs), {}).list();
    } catch (const std::exception&) {
        return {};
    }
}

std::vector<std::string> receivers_of(const std::optional<std::string>& home) {
    std::vector<std::string> addresses;
    try {
        for (const auto& entry : keys::known_hosts(keys::known_hosts_path(find_home(home))).read().entries)
            if (entry.address == printable(entry.address)) addresses.push_back(entry.address);
    } catch (const std::exception&) {
        addresses.clear();
    }
    return addresses;
}

}  // namespace

std::optional<exit_code> run_internal(const std::vector<std::string>& words, console& terminal) {
    if (words.empty()) return std::nullopt;
    const auto arguments = std::span(words).subspan(1);
    if (words[0] == "internal-complete") {
        terminal.result(to_lines(complete(all_syntax(), arguments, {plugins_of, receivers_of})));
        return exit_code::delivered;
    }
    return std::nullopt;
}

}  // namespace wherry::app
