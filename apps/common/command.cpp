// SPDX-License-Identifier: BSD-2-Clause
#include "command.hpp"

#include <algorithm>
#include <utility>

#include "wherry/text.hpp"

namespace wherry::app {

plugin_finder application::finder() const {
    return {[this](plugin_kind kind, std::string_view name) { return plugins.load(kind, name); },
            [this] { return plugins.list(); }};
}

effective_options application::read_options(std::span<const plugin_kind> kinds) const {
    auto read = options.read(kinds, finder());
    for (const auto& doubt : read.doubts()) log->warn(doubt);
    return read;
}

void application::note(const std::string& text) const {
    if (style != output::nothing) terminal.note(text);
}

std::vector<std::string> plain_arguments(const effective_options& options) {
    std::vector<std::string> all;
    for (const auto& [option, value] : options.arguments())
        if (option.empty()) all.push_back(value);
    return all;
}

std::string presentable(std::string_view text, std::string_view margin) {
    std::string shown;
    bool is_first = true;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        auto line = text.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!std::exchange(is_first, false)) shown += '\n';
        shown.append(margin).append(printable(line));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return shown;
}

std::string indented(std::string_view text) { return presentable(text, "    "); }

}  // namespace wherry::app
