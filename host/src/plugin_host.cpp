// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/plugin_host.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cstdlib>
#include <utility>

#include "plugin_adapters.hpp"
#include "plugin_descriptor.hpp"
#include "plugin_file.hpp"
#include "wherry/abi_guard.hpp"
#include "wherry/program_file.hpp"
#include "wherry/suggestions.hpp"
#include "wherry/text.hpp"

// Defined by the installed headers, see cmake/installed_plugins.hpp.in; by nothing in a program that is built here.
extern "C" [[gnu::weak, gnu::visibility("hidden")]] const char* const wherry_installed_plugins;

namespace wherry {

namespace fs = std::filesystem;

namespace {

std::string file_name(plugin_kind kind, std::string_view name) {
    return fmt::format("{}-{}.so", to_string(kind), name);
}

// What instances are given. Shared by all of them, and kept by each for as long as it lives.
struct services {
    services(host_environment given, const std::vector<fs::path>& search_path) : environment(std::move(given)) {
        for (const auto& folder : search_path) folders.push_back(folder.native());
        for (const auto& folder : folders) folder_list.push_back(folder.c_str());
        folder_list.push_back(nullptr);
        table.struct_size = sizeof table;
        table.context = this;
        table.home = environment.home.c_str();
        table.plugin_folders = folder_list.data();
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
    std::vector<std::string> folders;
    std::vector<const char*> folder_list;  // those, as C has them
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
            refuse_plugin(path_, fmt::format("cannot be loaded: {}", reason ? printable(reason) : problem.message()));
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
                throw error(errc::bad_input, unknown_option(key));
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

    std::string unknown_option(const std::string& key) const {
        std::vector<std::string> known;
        for (const auto& option : options_) known.push_back(option.name);
        return fmt::format("--{}.{}: {}", name_, key, no_such_option(to_string(kind_), name_, key, known));
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
    implementation_->given = std::make_shared<services>(std::move(environment), search_path);
    implementation_->search_path = std::move(search_path);
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
    auto advice = how_to_install(to_string(kind), name);
    if (advice.empty()) advice = known.empty() ? "none was found" : fmt::format("there is: {}", known);
    throw error(errc::bad_input, fmt::format("there is no {} '{}'; {} (looked in {}{})", to_string(kind), name, advice,
                                             places, note_unknown_program()));
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

std::vector<fs::path> default_search_path(std::span<const std::string> plugin_dirs,
                                          std::span<const std::string> configured) {
    std::vector<fs::path> folders(plugin_dirs.begin(), plugin_dirs.end());
    if (const char* const listed = std::getenv("WHERRY_PLUGIN_PATH")) {
        std::string_view rest = listed;
        while (!rest.empty()) {
            const auto colon = std::min(rest.find(':'), rest.size());
            if (colon > 0) folders.emplace_back(rest.substr(0, colon));
            rest.remove_prefix(std::min(colon + 1, rest.size()));
        }
    }
    folders.insert(folders.end(), configured.begin(), configured.end());
    if (const auto program = program_file(); !program.empty()) {
        const auto prefix = program.parent_path().parent_path();
        folders.push_back(prefix / "lib" / "wherry");
        // Where libraries live in lib64 or lib/x86_64-linux-gnu.
        folders.push_back(prefix / WHERRY_PLUGINS_BELOW_PREFIX);
    }
    if (&wherry_installed_plugins != nullptr) {
        // Relative where the compiler was given a relative folder of headers, which says nothing here.
        if (const fs::path folder(wherry_installed_plugins); folder.is_absolute())
            folders.push_back(folder.lexically_normal());
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
