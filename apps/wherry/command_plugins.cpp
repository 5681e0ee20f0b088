// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "application.hpp"
#include "wherry/program_file.hpp"
#include "wherry/suggestions.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

json describe(const plugin_option& row) {
    json fields;
    fields["name"] = row.name;
    fields["type"] = to_string(row.type);
    fields["help"] = row.help;
    if (row.default_value && !row.is_secret) fields["default"] = *row.default_value;
    if (row.is_required) fields["required"] = true;
    if (row.is_secret) fields["secret"] = true;
    if (!row.choices.empty()) fields["choices"] = row.choices;
    if (row.minimum != 0 || row.maximum != 0) fields["minimum"] = row.minimum, fields["maximum"] = row.maximum;
    return fields;
}

json describe(const plugin_listing& listing) {
    json fields;
    fields["kind"] = to_string(listing.kind);
    fields["name"] = listing.name;
    fields["path"] = as_utf8(listing.path.native());
    fields["loaded"] = listing.loaded != nullptr;
    if (listing.loaded) {
        fields["version"] = listing.loaded->version();
        fields["summary"] = listing.loaded->summary();
        auto options = json::array();
        for (const auto& row : listing.loaded->options()) options.push_back(describe(row));
        fields["options"] = std::move(options);
    } else {
        fields["problem"] = as_utf8(listing.problem);
    }
    return fields;
}

std::string limits_of(const plugin_option& row) {
    std::string text(to_string(row.type));
    if (row.type == option_type::choice) {
        text.clear();
        for (const auto& choice : row.choices) text += (text.empty() ? "" : "|") + choice;
    }
    if (row.minimum != 0 || row.maximum != 0) {
        text += fmt::format(" {}..{}", row.minimum, row.maximum);
        if (row.type == option_type::duration) text += " ms";
    }
    return text;
}

// Made for tests and measurements, so that nobody who looks for a plugin has to read of it first.
bool is_instrument(const plugin_listing& listing) {
    constexpr std::array<std::pair<plugin_kind, std::string_view>, 4> instruments = {{
        {plugin_kind::transport, "faulty"},
        {plugin_kind::cipher, "none"},
        {plugin_kind::sink, "faulty"},
        {plugin_kind::sink, "null"},
    }};
    return std::find(instruments.begin(), instruments.end(), std::pair(listing.kind, std::string_view(listing.name))) !=
           instruments.end();
}

void tell_table(application& app, std::vector<plugin_listing> rows) {
    std::stable_partition(rows.begin(), rows.end(), [](const auto& row) { return !is_instrument(row); });
    std::size_t name_width = 4, version_width = 7;
    for (const auto& row : rows) {
        name_width = std::max(name_width, row.name.size());
        if (row.loaded) version_width = std::max(version_width, printable(row.loaded->version()).size());
    }
    std::string folders;
    std::vector<std::filesystem::path> seen;
    const auto tell = [&](std::string_view kind, std::string_view name, std::string_view version,
                          std::string_view what) {
        app.terminal.result(
            fmt::format("{:<9}  {:<{}}  {:<{}}  {}", kind, name, name_width, version, version_width, what));
    };
    tell("KIND", "NAME", "VERSION", "WHAT IT DOES");
    for (const auto& row : rows) {
        if (row.loaded)
            tell(to_string(row.kind), row.name, printable(row.loaded->version()), printable(row.loaded->summary()));
        else
            tell(to_string(row.kind), row.name, "-", "refused: " + printable(row.problem));
        const auto folder = row.path.parent_path();
        if (std::find(seen.begin(), seen.end(), folder) != seen.end()) continue;
        seen.push_back(folder);
        folders += (folders.empty() ? "" : ", ") + printable(folder.native());
    }
    app.terminal.result(fmt::format("found in {}; wherry plugins NAME shows the options of one", folders));
}

void tell_in_full(application& app, const plugin_listing& listing) {
    const auto kind = std::string(to_string(listing.kind));
    if (!listing.loaded) {
        app.terminal.result(fmt::format("{} {}: refused: {}", kind, listing.name, printable(listing.problem)));
        return;
    }
    const auto& loaded = *listing.loaded;
    app.terminal.result(fmt::format("{} {} {}: {}\n  {}", kind, listing.name, printable(loaded.version()),
                                    printable(loaded.summary()), printable(listing.path.native())));
    if (loaded.options().empty()) app.terminal.result("  no options");
    for (const auto& row : loaded.options()) {
        auto line = fmt::format("  --{}.{}  {}\n      {}", listing.name, row.name, printable(row.help), limits_of(row));
        if (row.is_required) line += ", required";
        if (row.is_secret) line += ", never shown";
        if (row.default_value && !row.is_secret)
            line += fmt::format(", default: {}", row.default_value->empty() ? "none" : printable(*row.default_value));
        app.terminal.result(line);
    }
}

exit_code run(application& app) {
    const auto options = app.read_options({});
    std::vector<std::string> names;
    for (const auto& one : options.arguments())
        if (one.option.empty()) names.push_back(one.value);
    const auto all = app.plugins.list();
    std::vector<std::string> found;
    auto shown = json::array();
    for (const auto& listing : all) {
        found.push_back(listing.name);
        const bool is_wanted = names.empty() || std::find(names.begin(), names.end(), listing.name) != names.end();
        if (!is_wanted) continue;
        if (app.style == output::json)
            shown.push_back(describe(listing));
        else if (app.style == output::lines && !names.empty())
            tell_in_full(app, listing);
    }
    if (app.style == output::lines && names.empty() && !all.empty()) tell_table(app, all);
    std::string places;
    for (const auto& folder : app.plugins.search_path())
        places += (places.empty() ? "" : ", ") + printable(folder.native());
    places += note_unknown_program();
    for (const auto& name : names) {
        if (std::find(found.begin(), found.end(), name) != found.end()) continue;
        const auto meant = nearest(name, found);
        throw error(errc::bad_input, fmt::format("there is no plugin '{}' (looked in {}); {}", printable(name), places,
                                                 meant.empty() ? "wherry plugins lists what there is"
                                                               : fmt::format("did you mean {}?", meant)));
    }
    if (app.style == output::json) app.events.write("plugins", {{"plugins", std::move(shown)}});
    if (all.empty()) app.log->warn("no plugin was found (looked in {}); --plugin-dir names another folder", places);
    return exit_code::delivered;
}

}  // namespace

const command& plugins_command() {
    static const command described = {plugins_syntax(), run};
    return described;
}

}  // namespace wherry::app
