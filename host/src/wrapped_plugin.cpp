// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/wrapped_plugin.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "wherry/error.hpp"
#include "wherry/plugin_host.hpp"
#include "wherry/text.hpp"

namespace wherry::wrapping {

namespace {

// "name=value" each, without the backslashes.
std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words;
    bool is_inside = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == ' ' || text[i] == '\t') {
            is_inside = false;
            continue;
        }
        const bool is_kept = text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == ' ' || text[i + 1] == '\\');
        if (is_kept) ++i;
        if (!is_inside) words.emplace_back();
        is_inside = true;
        words.back() += text[i];
    }
    return words;
}

host_environment environment_from(const host_services& host) {
    host_environment given;
    given.home = host.home();
    given.log = [host](host_environment::level how, const std::string& text) {
        switch (how) {
            case host_environment::level::debug: return host.log(host_services::level::debug, text);
            case host_environment::level::info: return host.log(host_services::level::info, text);
            case host_environment::level::warning: return host.log(host_services::level::warning, text);
            case host_environment::level::error: return host.log(host_services::level::error, text);
        }
    };
    given.ask_secret = [host](const std::string& prompt, std::span<char> room) {
        return host.ask_secret(prompt, room).size();
    };
    given.show = [host](const std::string& lines) { host.show(lines); };
    return given;
}

// The folder of the shared object that this code is in; empty if the loader does not tell.
std::filesystem::path own_folder() {
    static const char anchor = 0;
    Dl_info about{};
    if (::dladdr(&anchor, &about) == 0 || about.dli_fname == nullptr) return {};
    return std::filesystem::path(about.dli_fname).parent_path();
}

// What values_option() describes. The text of what it throws holds no value, which may be secret.
option_values parse_options(std::string_view text) {
    option_values values;
    for (const auto& word : words_of(text)) {
        const auto equals = word.find('=');
        if (equals == word.npos || !is_plugin_name(word.substr(0, equals)))
            throw error(errc::bad_input,
                        "is no list of NAME=VALUE with blanks between them; a blank in a value is "
                        "written with a backslash before it");
        const auto name = word.substr(0, equals);
        if (!values.emplace(name, word.substr(equals + 1)).second)
            throw error(errc::bad_input, fmt::format("gives '{}' twice; give it once", name));
    }
    return values;
}

std::shared_ptr<const plugin> load(plugin_kind kind, std::string_view own_name, const settings& given,
                                   const host_services& host) {
    const auto& name = given.text(to_string(kind));
    if (name == own_name)
        throw error(errc::bad_input,
                    fmt::format("'{}' cannot wrap itself; name the {} beneath it", printable(name), to_string(kind)));
    std::vector<std::filesystem::path> folders;
    const auto add = [&](const std::filesystem::path& folder) {
        if (!folder.empty() && std::find(folders.begin(), folders.end(), folder) == folders.end())
            folders.push_back(folder);
    };
    if (given.has("plugin-dir")) add(given.text("plugin-dir"));
    const auto told = host.plugin_folders();
    for (const auto& folder : told) add(folder);
    if (told.empty())
        for (const auto& folder : default_search_path({})) add(folder);
    add(own_folder());
    return plugin_host(std::move(folders), environment_from(host)).load(kind, name);
}

// Calls make(plugin, values) with the inner plugin and the values of its options; each failure names the option.
template <class Make>
auto made_from(plugin_kind kind, std::string_view own_name, const settings& given, const host_services& host,
               const Make& make) {
    const auto option = fmt::format("--{}.{}", own_name, to_string(kind));
    std::shared_ptr<const plugin> inner;
    try {
        inner = load(kind, own_name, given, host);
    } catch (const error& e) {
        throw e.within(option);
    }
    try {
        return make(*inner, parse_options(given.text(fmt::format("{}-options", to_string(kind)))));
    } catch (const error& e) {
        throw e.within(option + "-options");
    }
}

}  // namespace

std::unique_ptr<sink> make_sink(std::string_view own_name, const settings& given, const host_services& host) {
    return made_from(plugin_kind::sink, own_name, given, host,
                     [](const plugin& inner, const option_values& values) { return inner.make_sink(values); });
}

std::unique_ptr<transport> make_transport(std::string_view own_name, const settings& given, const host_services& host) {
    return made_from(plugin_kind::transport, own_name, given, host,
                     [](const plugin& inner, const option_values& values) { return inner.make_transport(values); });
}

}  // namespace wherry::wrapping
