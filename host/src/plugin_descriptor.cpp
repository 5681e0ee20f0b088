// SPDX-License-Identifier: BSD-2-Clause
#include "plugin_descriptor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>

#include "elf_exports.hpp"
#include "plugin_file.hpp"
#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry {

namespace fs = std::filesystem;

namespace {

// Both keep their size for ever: a shorter one is refused, so that one more member would refuse every plugin there is.
static_assert(sizeof(wherry_plugin) == offsetof(wherry_plugin, functions) + sizeof(wherry_plugin::functions));
static_assert(sizeof(wherry_option) == offsetof(wherry_option, maximum) + sizeof(wherry_option::maximum));
// It keeps its name, for plugins' sources, and its 0: nothing reads it.
static_assert(offsetof(wherry_plugin, reserved) == 7 * sizeof(std::uint32_t));

// Copies as much of a table as both sides know; the rest is zero, which means: not there.
template <class Table>
Table copy_table(const void* source) {
    std::uint32_t size = 0;
    std::memcpy(&size, source, sizeof size);
    Table table{};
    std::memcpy(&table, source, std::min<std::size_t>(size, sizeof table));
    return table;
}

struct required_function {
    const char* name;
    bool is_there;
};

void require_functions(const fs::path& file, std::string_view table,
                       std::initializer_list<required_function> functions) {
    for (const auto& [name, is_there] : functions)
        if (!is_there)
            refuse_plugin(file,
                          fmt::format("lacks the {} function '{}', which every such plugin must have", table, name));
}

plugin_option copy_option(const fs::path& file, const wherry_option& c) {
    if (!c.name || !is_plugin_name(c.name)) refuse_plugin(file, "has an option without a proper name");
    const std::string name = c.name;
    if (c.type > WHERRY_OPTION_CHOICE)
        refuse_plugin(file, fmt::format("has an option '{}' of a type that this wherry does not know", name));
    plugin_option option;
    option.name = name;
    option.type = static_cast<option_type>(c.type);
    option.is_required = (c.flags & WHERRY_OPTION_REQUIRED) != 0;
    option.is_secret = (c.flags & WHERRY_OPTION_SECRET) != 0;
    if (c.default_value) option.default_value = c.default_value;
    option.help = c.help ? c.help : "";
    option.minimum = c.minimum;
    option.maximum = c.maximum;
    if (option.type == option_type::choice) {
        std::string_view rest = c.choices ? c.choices : "";
        while (!rest.empty()) {
            const auto bar = std::min(rest.find('|'), rest.size());
            option.choices.emplace_back(rest.substr(0, bar));
            rest.remove_prefix(std::min(bar + 1, rest.size()));
        }
        if (option.choices.empty()) refuse_plugin(file, fmt::format("has an option '{}' without choices", name));
        if (std::find(option.choices.begin(), option.choices.end(), "") != option.choices.end())
            refuse_plugin(file, fmt::format("has an option '{}' with an empty choice", name));
    }
    if (option.minimum > option.maximum)
        refuse_plugin(file,
                      fmt::format("has an option '{}' whose limits leave nothing between them: from {} to {}; where "
                                  "there is no upper limit, its maximum is INT64_MAX",
                                  name, option.minimum, option.maximum));
    if (option.is_required && option.default_value)
        refuse_plugin(file, fmt::format("has an option '{}' that is required and yet has a default", name));
    try {
        if (option.default_value) canonical_value(option, *option.default_value);
    } catch (const error& e) {
        refuse_plugin(file, fmt::format("has an option '{}' whose own default is wrong: {}", name, e.what()));
    }
    return option;
}

}  // namespace

#define HAS(function) \
    { #function, table.function != nullptr }

wherry_instance_functions lifecycle_of(const fs::path& file, const wherry_plugin& descriptor) {
    if (!descriptor.instance) refuse_plugin(file, "lacks the table of instance functions");
    const auto table = copy_table<wherry_instance_functions>(descriptor.instance);
    require_functions(file, "instance", {HAS(create), HAS(configure), HAS(configure_done), HAS(destroy)});
    return table;
}

plugin_instance::function_table functions_of(const fs::path& file, const wherry_plugin& descriptor) {
    if (!descriptor.functions) refuse_plugin(file, "lacks the table of its kind's functions");
    switch (static_cast<plugin_kind>(descriptor.kind)) {
        case plugin_kind::transport: {
            const auto table = copy_table<wherry_transport_functions>(descriptor.functions);
            require_functions(
                file, "transport",
                {HAS(connect), HAS(listen), HAS(accept), HAS(listener_address), HAS(listener_abort),
                 HAS(listener_close), HAS(read_some), HAS(write_all), HAS(shutdown_write), HAS(set_read_timeout),
                 HAS(set_write_timeout), HAS(abort), HAS(peer_address), HAS(record_bytes), HAS(connection_close)});
            return table;
        }
        case plugin_kind::cipher: {
            const auto table = copy_table<wherry_cipher_functions>(descriptor.functions);
            require_functions(file, "cipher",
                              {HAS(handshake), HAS(finish_handshake), HAS(overhead), HAS(seal), HAS(open), HAS(peer),
                               HAS(describe), HAS(session_close)});
            return table;
        }
        case plugin_kind::sink: {
            const auto table = copy_table<wherry_sink_functions>(descriptor.functions);
            require_functions(file, "sink", {HAS(begin), HAS(write), HAS(finish), HAS(abort)});
            return table;
        }
    }
    refuse_plugin(file, "is of a kind that has no functions");  // not here: its kind was looked at before
}

#undef HAS

std::vector<plugin_option> options_of(const fs::path& file, const wherry_plugin& descriptor) {
    constexpr std::uint32_t plenty = 1000;
    if (descriptor.option_count > plenty || (descriptor.option_count > 0 && !descriptor.options))
        refuse_plugin(file, "has a damaged option table");
    if (descriptor.option_count > 0 && descriptor.option_size < sizeof(wherry_option))
        refuse_plugin(file, "has an option table of an older, shorter form; rebuild it against this wherry's plugin.h");
    std::vector<plugin_option> options;
    const auto* row = reinterpret_cast<const std::byte*>(descriptor.options);
    for (std::uint32_t i = 0; i < descriptor.option_count; ++i, row += descriptor.option_size) {
        wherry_option c;
        std::memcpy(&c, row, sizeof c);
        auto option = copy_option(file, c);
        const auto has_its_name = [&](const plugin_option& other) { return other.name == option.name; };
        if (std::any_of(options.begin(), options.end(), has_its_name))
            refuse_plugin(file, fmt::format("has an option '{}' twice", option.name));
        options.push_back(std::move(option));
    }
    return options;
}

void require_known_descriptor(const fs::path& file, const wherry_plugin& descriptor, plugin_kind kind,
                              std::string_view name) {
    if (descriptor.magic != WHERRY_PLUGIN_MAGIC) refuse_plugin(file, "exports a descriptor that is not wherry's");
    if (descriptor.abi_major != WHERRY_ABI_MAJOR)
        refuse_plugin(file,
                      fmt::format("says plugin ABI {} inside, this wherry speaks {}; rebuild it against this wherry's "
                                  "plugin.h",
                                  descriptor.abi_major, WHERRY_ABI_MAJOR));
    if (descriptor.struct_size < sizeof(wherry_plugin))
        refuse_plugin(
            file, fmt::format("has a descriptor of {} bytes, too short for ABI {}; rebuild it against this wherry's "
                              "plugin.h",
                              descriptor.struct_size, WHERRY_ABI_MAJOR));
    if (!descriptor.name || !descriptor.version || !descriptor.summary)
        refuse_plugin(file, "lacks its name, version or summary");
    const auto real_kind = static_cast<plugin_kind>(descriptor.kind);
    if (std::find(all_kinds.begin(), all_kinds.end(), real_kind) == all_kinds.end())
        refuse_plugin(file, fmt::format("says that it is of kind {}, which this wherry does not know; a newer one may",
                                        descriptor.kind));
    if (real_kind != kind || descriptor.name != name)
        refuse_plugin(file, fmt::format("holds the {} '{}'; its name must be that of the file", to_string(real_kind),
                                        printable(descriptor.name)));
    if (descriptor.thread_model > WHERRY_THREADS_SERIAL ||
        (descriptor.thread_model == WHERRY_THREADS_SERIAL && kind != plugin_kind::sink))
        refuse_plugin(file, "asks for a thread model that its kind cannot have");
}

void require_exported_descriptor(const fs::path& file, const fs::path& real) {
    const auto exports = elf_exports(real, WHERRY_PLUGIN_SYMBOL_PREFIX);
    if (!exports) refuse_plugin(file, "is no shared object for this machine");
    if (exports->contains(WHERRY_PLUGIN_SYMBOL)) return;
    if (exports->empty()) refuse_plugin(file, "is no wherry plugin: it does not export " WHERRY_PLUGIN_SYMBOL);
    refuse_plugin(
        file, fmt::format("was built for another plugin ABI (it exports {}, this wherry wants {}); get or build the "
                          "plugin for this version",
                          *exports->begin(), WHERRY_PLUGIN_SYMBOL));
}

}  // namespace wherry
