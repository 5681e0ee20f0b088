// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/cipher.hpp"
#include "wherry/plugin_option.hpp"
#include "wherry/sink.hpp"
#include "wherry/transport.hpp"

// Only installed headers have it beside them.
#if __has_include("installed_plugins.hpp")
#include "installed_plugins.hpp"
#endif

namespace wherry {

// What the program does for its plugins. Its functions are called from any thread.
struct host_environment {
    enum class level { debug, info, warning, error };

    std::string home;  // absolute
    std::function<void(level, const std::string&)> log;
    // Fills `room` with the answer and returns its length; throws errc::unsupported where nobody can be asked.
    std::function<std::size_t(const std::string& prompt, std::span<char> room)> ask_secret;
    // Shows lines, in which a peer may have had its say, to the person who runs the program; throws errc::io if nobody
    // reads them. Null: nothing is shown.
    std::function<void(const std::string& lines)> show;
};

// A loaded plugin. The shared object stays loaded for as long as this, or anything made by it, lives.
// Thread-safety: all functions from any thread.
class plugin {
public:
    virtual ~plugin() = default;

    virtual plugin_kind kind() const noexcept = 0;
    virtual const std::string& name() const noexcept = 0;
    virtual const std::string& version() const noexcept = 0;
    virtual const std::string& summary() const noexcept = 0;
    virtual const std::filesystem::path& path() const noexcept = 0;
    virtual std::span<const plugin_option> options() const noexcept = 0;

    // Make an instance of the plugin's kind, configured with `values` and, for the rest, the defaults. Throw
    // error(errc::bad_input) for an unknown option, a bad or a missing value, naming it as the user would write it;
    // else what the plugin throws, begun with its name. REQUIRES: the function is that of kind().
    virtual std::unique_ptr<transport> make_transport(const option_values& values) const = 0;
    virtual std::unique_ptr<cipher> make_cipher(const option_values& values) const = 0;
    virtual std::unique_ptr<sink> make_sink(const option_values& values) const = 0;
};

// A file of the search path that is named like a plugin.
struct plugin_listing {
    plugin_kind kind;
    std::string name;
    std::filesystem::path path;
    std::shared_ptr<const plugin> loaded;  // null if it was refused
    std::string problem;                   // then why
};

// Finds and loads plugins: KIND-NAME.so in the folders of the search path, the first folder that has it wins.
// Refuses, with an error that names the file and before any code of it runs: files and folders that others can write,
// files that are no plugin, and those of another ABI major.
// Thread-safety: all functions from any thread.
class plugin_host {
public:
    plugin_host(std::vector<std::filesystem::path> search_path, host_environment environment);
    ~plugin_host();
    plugin_host(const plugin_host&) = delete;
    plugin_host& operator=(const plugin_host&) = delete;

    // Throws error: bad_input for a name that is none (a path, say) or is not found, saying where it was looked for and
    // what there is; unsupported for a file that is refused.
    std::shared_ptr<const plugin> load(plugin_kind kind, std::string_view name) const;

    // Everything that is found, in the order of kinds and names; those that cannot be loaded with the reason.
    std::vector<plugin_listing> list() const;

    std::span<const std::filesystem::path> search_path() const noexcept;

private:
    struct implementation;
    std::shared_ptr<implementation> implementation_;
};

// The folders of --plugin-dir, then those of WHERRY_PLUGIN_PATH (colons between them), then those that a configuration
// file names, then ../lib/wherry beside the running program, then the folder that plugins are installed to (first below
// the program's own prefix, then below that of the headers that a program was built with, then where it was at build
// time), then /usr/local/lib/wherry. Each once.
std::vector<std::filesystem::path> default_search_path(std::span<const std::string> plugin_dirs,
                                                       std::span<const std::string> configured = {});

}  // namespace wherry
