// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/plugin_host.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/dll/runtime_symbol_info.hpp>
#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "elf_exports.hpp"
#include "plugin_adapters.hpp"
#include "wherry/abi_guard.hpp"
#include "wherry/text.hpp"

namespace wherry {

namespace fs = std::filesystem;

bool is_plugin_name(std::string_view name) noexcept {
    const auto is_allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
    return !name.empty() && name.size() <= 32 && name.front() != '-' &&
           std::all_of(name.begin(), name.end(), is_allowed);
}

namespace {

constexpr std::array all_kinds = {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink};

std::string file_name(plugin_kind kind, std::string_view name) {
    return fmt::format("{}-{}.so", to_string(kind), name);
}

[[noreturn]] void refuse(const fs::path& file, const std::string& why) {
    throw error(errc::unsupported, file.string() + " " + why);
}

// ---- Who could have put something else there ----

// Refuses what another user could change or swap: the code in it would run with our keys. For the folders above, it is
// enough that nobody else can rename what is in them, which the sticky bit sees to.
void require_ours(const fs::path& path, bool is_ancestor) {
    struct stat status;
    if (::stat(path.c_str(), &status) != 0)
        throw error(errc::io, fmt::format("cannot look at {}: {}", path.string(), std::strerror(errno)), errno);
    if (status.st_uid != 0 && status.st_uid != ::geteuid())
        refuse(path,
               "belongs to another user, who could change what is loaded; install the plugin as root or as yourself");
    const bool others_write = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    const bool is_sticky_ancestor = is_ancestor && (status.st_mode & S_ISVTX) != 0;
    if (others_write && !is_sticky_ancestor)
        refuse(path, fmt::format("can be written by other users, so nothing is loaded from there; run: chmod go-w '{}'",
                                 path.string()));
}

void require_our_folder(const fs::path& real) {
    require_ours(real, false);
    for (fs::path folder = real; folder != folder.root_path(); folder = folder.parent_path())
        require_ours(folder.parent_path(), true);
}

fs::path real_path(const fs::path& path) {
    std::error_code problem;
    auto real = fs::canonical(path, problem);
    if (problem)
        throw error(errc::io, fmt::format("cannot look at {}: {}", path.string(), problem.message()), problem.value());
    return real;
}

// Returns the file behind the links, which nobody else can swap: that is the one to look at and to load. Who can write
// the folder that was searched could lead a link elsewhere in between.
fs::path require_safe(const fs::path& file) {
    require_our_folder(real_path(file.parent_path()));
    auto real = real_path(file);
    // Others, such as a pipe, would keep us waiting.
    if (!fs::is_regular_file(real)) refuse(file, "is no regular file");
    require_ours(real, false);
    require_our_folder(real.parent_path());
    return real;
}

// ---- What a descriptor must be ----

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
            refuse(file, fmt::format("lacks the {} function '{}', which every such plugin must have", table, name));
}

#define HAS(function) \
    { #function, table.function != nullptr }

wherry_instance_functions lifecycle_of(const fs::path& file, const wherry_plugin& descriptor) {
    if (!descriptor.instance) refuse(file, "lacks the table of instance functions");
    const auto table = copy_table<wherry_instance_functions>(descriptor.instance);
    require_functions(file, "instance", {HAS(create), HAS(configure), HAS(configure_done), HAS(destroy)});
    return table;
}

plugin_instance::function_table functions_of(const fs::path& file, const wherry_plugin& descriptor) {
    if (!descriptor.functions) refuse(file, "lacks the table of its kind's functions");
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
    refuse(file, fmt::format("says that it is of kind {}, which this wherry does not know", descriptor.kind));
}

#undef HAS

plugin_option copy_option(const fs::path& file, const wherry_option& c) {
    if (!c.name || !is_plugin_name(c.name)) refuse(file, "has an option without a proper name");
    const std::string name = c.name;
    if (c.type > WHERRY_OPTION_CHOICE)
        refuse(file, fmt::format("has an option '{}' of a type that this wherry does not know", name));
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
        if (option.choices.empty()) refuse(file, fmt::format("has an option '{}' without choices", name));
        if (std::find(option.choices.begin(), option.choices.end(), "") != option.choices.end())
            refuse(file, fmt::format("has an option '{}' with an empty choice", name));
    }
    if (option.minimum > option.maximum)
        refuse(file, fmt::format("has an option '{}' whose limits leave nothing between them", name));
    if (option.is_required && option.default_value)
        refuse(file, fmt::format("has an option '{}' that is required and yet has a default", name));
    try {
        if (option.default_value) canonical_value(option, *option.default_value);
    } catch (const error& e) {
        refuse(file, fmt::format("has an option '{}' whose own default is wrong: {}", name, e.what()));
    }
    return option;
}

std::vector<plugin_option> options_of(const fs::path& file, const wherry_plugin& descriptor) {
    constexpr std::uint32_t plenty = 1000;
    if (descriptor.option_count > plenty || (descriptor.option_count > 0 && !descriptor.options))
        refuse(file, "has a damaged option table");
    if (descriptor.option_count > 0 && descriptor.option_size < sizeof(wherry_option))
        refuse(file, "has an option table of an older, shorter form; rebuild it against this wherry's plugin.h");
    std::vector<plugin_option> options;
    const auto* row = reinterpret_cast<const std::byte*>(descriptor.options);
    for (std::uint32_t i = 0; i < descriptor.option_count; ++i, row += descriptor.option_size) {
        wherry_option c;
        std::memcpy(&c, row, sizeof c);
        auto option = copy_option(file, c);
        const auto has_its_name = [&](const plugin_option& other) { return other.name == option.name; };
        if (std::any_of(options.begin(), options.end(), has_its_name))
            refuse(file, fmt::format("has an option '{}' twice", option.name));
        options.push_back(std::move(option));
    }
    return options;
}

// The part of the descriptor that says what the rest is. Before it is checked nothing else is believed.
void require_known_descriptor(const fs::path& file, const wherry_plugin& descriptor, plugin_kind kind,
                              std::string_view name) {
    if (descriptor.magic != WHERRY_PLUGIN_MAGIC) refuse(file, "exports a descriptor that is not wherry's");
    if (descriptor.abi_major != WHERRY_ABI_MAJOR)
        refuse(file, fmt::format("says plugin ABI {} inside, this wherry speaks {}; rebuild it against this wherry's "
                                 "plugin.h",
                                 descriptor.abi_major, WHERRY_ABI_MAJOR));
    if (descriptor.struct_size < sizeof(wherry_plugin))
        refuse(file, fmt::format("has a descriptor of {} bytes, too short for ABI {}; rebuild it against this wherry's "
                                 "plugin.h",
                                 descriptor.struct_size, WHERRY_ABI_MAJOR));
    if (!descriptor.name || !descriptor.version || !descriptor.summary)
        refuse(file, "lacks its name, version or summary");
    if (static_cast<plugin_kind>(descriptor.kind) != kind || descriptor.name != name) {
        const auto real_kind = std::find(all_kinds.begin(), all_kinds.end(), static_cast<plugin_kind>(descriptor.kind));
        refuse(file, fmt::format("holds the {} '{}'; its name must be that of the file",
                                 real_kind == all_kinds.end() ? "plugin" : to_string(*real_kind),
                                 printable(descriptor.name)));
    }
    if (descriptor.thread_model > WHERRY_THREADS_SERIAL ||
        (descriptor.thread_model == WHERRY_THREADS_SERIAL && kind != plugin_kind::sink))
        refuse(file, "asks for a thread model that its kind cannot have");
}

// Looks at the file, which is at `real`, without loading it, for loading runs code.
void require_exported_descriptor(const fs::path& file, const fs::path& real) {
    const auto exports = elf_exports(real, WHERRY_PLUGIN_SYMBOL_PREFIX);
    if (!exports) refuse(file, "is no shared object for this machine");
    if (exports->contains(WHERRY_PLUGIN_SYMBOL)) return;
    if (exports->empty()) refuse(file, "is no wherry plugin: it does not export " WHERRY_PLUGIN_SYMBOL);
    refuse(file, fmt::format("was built for another plugin ABI (it exports {}, this wherry wants {}); get or build the "
                             "plugin for this version",
                             *exports->begin(), WHERRY_PLUGIN_SYMBOL));
}

// ---- Loaded ----

// What instances are given. Shared by all of them, and kept by each for as long as it lives.
struct services {
    explicit services(host_environment given) : environment(std::move(given)) {
        table.struct_size = sizeof table;
        table.context = this;
        table.home = environment.home.c_str();
        table.log = [](void* context, std::int32_t level, const char* text) {
            auto& self = *static_cast<services*>(context);
            wherry_error ignored;
            abi::guard(&ignored, [&] {
                const auto known = std::clamp<std::int32_t>(level, WHERRY_LOG_DEBUG, WHERRY_LOG_ERROR);
                if (self.environment.log) self.environment.log(static_cast<host_environment::level>(known), text);
            });
        };
        table.ask_secret = [](void* context, const char* prompt, char* buffer, std::size_t capacity,
                              std::size_t* length, wherry_error* e) {
            auto& self = *static_cast<services*>(context);
            return abi::guard(e, [&] {
                if (!self.environment.ask_secret) throw error(errc::unsupported, "there is no terminal to ask at");
                *length = self.environment.ask_secret(prompt, {buffer, capacity});
            });
        };
        table.show = [](void* context, const char* text, wherry_error* e) {
            auto& self = *static_cast<services*>(context);
            return abi::guard(e, [&] {
                if (!self.environment.show) throw error(errc::unsupported, "this program shows nothing");
                self.environment.show(text);
            });
        };
    }
    services(const services&) = delete;

    host_environment environment;
    wherry_host table{};
};

// The shared object and what it needs to outlive.
struct library {
    explicit library(const noted_plugin& calls) noexcept : calls(calls) {}
    ~library() {
        const call_note note(calls, plugin_function::unload);
        object.unload();
    }
    library(const library&) = delete;
    library& operator=(const library&) = delete;

    const noted_plugin& calls;
    std::shared_ptr<services> given;
    boost::dll::shared_library object;
};

constexpr auto loading = boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local;
#ifdef WHERRY_SANITIZED
// A sanitizer names leaks by the code that is loaded at the end. Boost hands on what it does not know.
constexpr auto load_mode = loading | static_cast<boost::dll::load_mode::type>(RTLD_NODELETE);
#else
constexpr auto load_mode = loading;
#endif

class loaded_plugin final : public plugin {
public:
    loaded_plugin(fs::path path, plugin_kind kind, std::string_view name, std::shared_ptr<services> given)
        : path_(std::move(path)),
          kind_(kind),
          calls_(noted_plugin::find(to_string(kind), name)),
          library_(std::make_shared<library>(calls_)) {
        const auto real = require_safe(path_);
        require_exported_descriptor(path_, real);
        library_->given = std::move(given);
        boost::dll::fs::error_code problem;
        {
            const call_note note(calls_, plugin_function::load);
            library_->object.load(boost::dll::fs::path(real.string()), problem, load_mode);
        }
        if (problem) {
            // Boost has a number for it, the loader knows which library or symbol it is about.
            const char* const reason = ::dlerror();
            refuse(path_, "cannot be loaded: " + (reason ? printable(reason) : problem.message()));
        }
        const auto& descriptor = library_->object.get<const wherry_plugin>(WHERRY_PLUGIN_SYMBOL);
        require_known_descriptor(path_, descriptor, kind, name);
        name_ = descriptor.name;
        version_ = descriptor.version;
        summary_ = descriptor.summary;
        is_serial_ = descriptor.thread_model == WHERRY_THREADS_SERIAL;
        lifecycle_ = lifecycle_of(path_, descriptor);
        functions_ = functions_of(path_, descriptor);
        options_ = options_of(path_, descriptor);
    }

    plugin_kind kind() const noexcept override { return kind_; }
    const std::string& name() const noexcept override { return name_; }
    const std::string& version() const noexcept override { return version_; }
    const std::string& summary() const noexcept override { return summary_; }
    const fs::path& path() const noexcept override { return path_; }
    std::span<const plugin_option> options() const noexcept override { return options_; }

    std::unique_ptr<transport> make_transport(const option_values& values) const override {
        return adapt_transport(configured(plugin_kind::transport, values));
    }
    std::unique_ptr<cipher> make_cipher(const option_values& values) const override {
        return adapt_cipher(configured(plugin_kind::cipher, values));
    }
    std::unique_ptr<sink> make_sink(const option_values& values) const override {
        return adapt_sink(configured(plugin_kind::sink, values));
    }

private:
    std::shared_ptr<plugin_instance> configured(plugin_kind wanted, const option_values& values) const {
        if (wanted != kind_) throw error(errc::internal, fmt::format("{} is no {}", path_.string(), to_string(wanted)));
        for (const auto& [key, value] : values) {
            const auto is_it = [&, &key = key](const plugin_option& option) { return option.name == key; };
            if (std::none_of(options_.begin(), options_.end(), is_it))
                throw error(errc::bad_input,
                            fmt::format("--{0}.{1}: {2} '{0}' has no such option; see: wherry plugins {0}", name_, key,
                                        to_string(kind_)));
        }
        void* handle = nullptr;
        checked(plugin_function::create,
                [&](wherry_error* e) { return lifecycle_.create(&library_->given->table, &handle, e); });
        auto instance = std::make_shared<plugin_instance>(library_, lifecycle_, functions_, handle, name_, calls_);
        if (is_serial_) instance->serial = std::make_unique<mutex>();
        for (const auto& option : options_) configure(*instance, option, values);
        checked(plugin_function::configure_done,
                [&](wherry_error* e) { return lifecycle_.configure_done(instance->handle, e); });
        return instance;
    }

    void configure(const plugin_instance& instance, const plugin_option& option, const option_values& values) const {
        const auto given = values.find(option.name);
        if (given == values.end() && !option.default_value) {
            if (option.is_required)
                throw error(errc::bad_input, fmt::format("--{}.{} is required: {}", name_, option.name, option.help));
            return;
        }
        std::string value;
        try {
            value = canonical_value(option, given == values.end() ? *option.default_value : given->second);
        } catch (const error& e) {
            if (option.is_secret) throw error(errc::bad_input, fmt::format("--{}.{}: bad value", name_, option.name));
            throw e.within(fmt::format("--{}.{}", name_, option.name));
        }
        checked(plugin_function::configure, [&](wherry_error* e) {
            return lifecycle_.configure(instance.handle, option.name.c_str(), value.c_str(), e);
        });
    }

    template <class Call>
    void checked(plugin_function which, Call&& call) const {
        const call_note note(calls_, which);
        abi::checked(name_, std::forward<Call>(call));
    }

    const fs::path path_;
    const plugin_kind kind_;
    const noted_plugin& calls_;
    const std::shared_ptr<library> library_;
    std::string name_, version_, summary_;
    bool is_serial_ = false;
    wherry_instance_functions lifecycle_{};
    plugin_instance::function_table functions_;
    std::vector<plugin_option> options_;
};

}  // namespace

std::string_view to_string(plugin_kind kind) noexcept {
    switch (kind) {
        case plugin_kind::transport: return "transport";
        case plugin_kind::cipher: return "cipher";
        case plugin_kind::sink: return "sink";
    }
    return "unknown";
}

struct plugin_host::implementation {
    std::vector<fs::path> search_path;
    std::shared_ptr<services> given;

    // Every KIND-NAME.so, each once, from the first folder that has it.
    std::map<std::pair<plugin_kind, std::string>, fs::path> candidates() const {
        std::map<std::pair<plugin_kind, std::string>, fs::path> found;
        for (const auto& folder : search_path) {
            std::error_code none;
            for (fs::directory_iterator entry(folder, none), end; !none && entry != end; entry.increment(none)) {
                const std::string file = entry->path().filename().string();
                for (const auto kind : all_kinds) {
                    const std::string prefix = std::string(to_string(kind)) + "-";
                    if (!file.starts_with(prefix) || !file.ends_with(".so")) continue;
                    const auto name = file.substr(prefix.size(), file.size() - prefix.size() - 3);
                    if (is_plugin_name(name)) found.try_emplace({kind, name}, entry->path());
                }
            }
        }
        return found;
    }
};

plugin_host::plugin_host(std::vector<fs::path> search_path, host_environment environment)
    : implementation_(std::make_shared<implementation>()) {
    for (auto& folder : search_path) {
        if (folder.empty()) throw error(errc::bad_input, "a folder of plugins must have a name");
        folder = fs::absolute(folder).lexically_normal();
    }
    implementation_->search_path = std::move(search_path);
    implementation_->given = std::make_shared<services>(std::move(environment));
}

plugin_host::~plugin_host() = default;

std::shared_ptr<const plugin> plugin_host::load(plugin_kind kind, std::string_view name) const {
    if (!is_plugin_name(name))
        throw error(errc::bad_input,
                    fmt::format("'{}' is no name of a {}; names are lower-case letters, digits and '-', and "
                                "--plugin-dir names the folder",
                                printable(name), to_string(kind)));
    for (const auto& folder : implementation_->search_path) {
        const auto file = folder / file_name(kind, name);
        std::error_code none;
        if (fs::exists(file, none)) return std::make_shared<loaded_plugin>(file, kind, name, implementation_->given);
    }
    std::string known, places;
    for (const auto& [key, path] : implementation_->candidates())
        if (key.first == kind) known += (known.empty() ? "" : ", ") + key.second;
    for (const auto& folder : implementation_->search_path) places += (places.empty() ? "" : ", ") + folder.string();
    throw error(errc::bad_input, fmt::format("there is no {} '{}'; {} (looked in {})", to_string(kind), name,
                                             known.empty() ? "none was found" : "there is: " + known, places));
}

std::vector<plugin_listing> plugin_host::list() const {
    std::vector<plugin_listing> rows;
    for (const auto& [key, path] : implementation_->candidates()) {
        plugin_listing row{key.first, key.second, path, nullptr, ""};
        try {
            row.loaded = std::make_shared<loaded_plugin>(path, key.first, key.second, implementation_->given);
        } catch (const std::exception& e) {
            row.problem = e.what();
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

std::span<const fs::path> plugin_host::search_path() const noexcept { return implementation_->search_path; }

std::vector<fs::path> default_search_path(std::span<const std::string> plugin_dirs) {
    std::vector<fs::path> folders(plugin_dirs.begin(), plugin_dirs.end());
    if (const char* const listed = std::getenv("WHERRY_PLUGIN_PATH")) {
        std::string_view rest = listed;
        while (!rest.empty()) {
            const auto colon = std::min(rest.find(':'), rest.size());
            if (colon > 0) folders.emplace_back(rest.substr(0, colon));
            rest.remove_prefix(std::min(colon + 1, rest.size()));
        }
    }
    boost::dll::fs::error_code problem;
    const fs::path program = boost::dll::program_location(problem).string();
    if (!problem) {
        const auto prefix = program.parent_path().parent_path();
        folders.push_back(prefix / "lib" / "wherry");
        // Where libraries live in lib64 or lib/x86_64-linux-gnu.
        folders.push_back(prefix / WHERRY_PLUGINS_BELOW_PREFIX);
    }
    folders.emplace_back(WHERRY_INSTALLED_PLUGIN_DIRECTORY);
    // What was built on this machine goes there, also for a program that came as a package.
    folders.emplace_back("/usr/local/lib/wherry");
    // A folder that is named twice is searched once.
    std::vector<fs::path> unique;
    for (const auto& folder : folders)
        if (std::find(unique.begin(), unique.end(), folder) == unique.end()) unique.push_back(folder);
    return unique;
}

}  // namespace wherry
