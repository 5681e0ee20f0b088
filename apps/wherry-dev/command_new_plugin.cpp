// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "developer_commands.hpp"
#include "embedded.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/text.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::app {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const std::string& what, const fs::path& path) {
    const int why = errno;
    throw error(errc::io, fmt::format("cannot {} {}: {}", what, path.string(), std::strerror(why)), why);
}

std::optional<plugin_kind> to_plugin_kind(std::string_view word) {
    for (const auto kind : {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink})
        if (word == to_string(kind)) return kind;
    return std::nullopt;
}

// ---- What is written ----

struct new_file {
    std::string name;
    std::string text;
    mode_t mode = 0644;
};

std::string replaced(std::string text, std::string_view what, std::string_view replacement) {
    for (auto position = text.find(what); position != text.npos;
         position = text.find(what, position + replacement.size()))
        text.replace(position, what.size(), replacement);
    return text;
}

std::span<const embedded_file> templates_of(plugin_kind kind) {
    switch (kind) {
        case plugin_kind::transport: return transport_templates();
        case plugin_kind::cipher: return cipher_templates();
        case plugin_kind::sink: return sink_templates();
    }
    return {};
}

std::vector<new_file> files_for(plugin_kind kind, const std::string& name, const std::string& language) {
    const bool is_c = language == "c";
    const std::string extension = is_c ? ".c" : ".cpp";
    const auto source = std::string(to_string(kind)) + extension;
    const auto templates = templates_of(kind);
    if (std::none_of(templates.begin(), templates.end(), [&](const auto& one) { return one.name == source; }))
        throw error(
            errc::bad_input,
            fmt::format("there is no template of a {} in C; leave --language out for one in C++", to_string(kind)));
    std::vector<new_file> files;
    for (const auto& [file, text] : templates) {
        const bool is_source = file.starts_with(std::string(to_string(kind)) + ".");
        if (is_source && file != source) continue;
        auto filled = replaced(std::string(text), "@NAME@", name);
        filled = replaced(std::move(filled), "@SOURCE@", name + extension);
        filled = replaced(std::move(filled), "@LANGUAGE@", is_c ? "C" : "CXX");
        files.push_back({is_source ? name + extension : std::string(file), std::move(filled),
                         text.starts_with("#!") ? mode_t{0755} : mode_t{0644}});
    }
    return files;
}

// ---- Writing it: all or nothing, and over nothing ----

class new_folder {
public:
    explicit new_folder(fs::path path) : path_(std::move(path)) {
        // Whatever the umask: nothing is loaded from beneath a folder that others can write.
        is_made_ = ::mkdir(path_.c_str(), 0755) == 0;
        if (!is_made_ && errno != EEXIST) fail("make the folder", path_);
        if (is_made_ && ::chmod(path_.c_str(), 0755) != 0) fail("set the mode of", path_);
    }
    ~new_folder() {
        if (is_whole_) return;
        for (const auto& file : written_) ::unlink(file.c_str());
        if (is_made_) ::rmdir(path_.c_str());
    }
    new_folder(const new_folder&) = delete;
    new_folder& operator=(const new_folder&) = delete;

    void write(const new_file& file) {
        const auto target = path_ / file.name;
        const unique_fd out(::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, file.mode));
        if (!out.is_open() && errno == EEXIST)
            throw error(
                errc::bad_input,
                fmt::format(
                    "{} exists, and nothing is overwritten; choose another name, or another folder by --directory",
                    target.string()));
        if (!out.is_open()) fail("make", target);
        written_.push_back(target);
        for (std::string_view rest = file.text; !rest.empty();) {
            const auto count = uninterrupted([&] { return ::write(out.get(), rest.data(), rest.size()); });
            if (count < 0) fail("write", target);
            rest.remove_prefix(static_cast<std::size_t>(count));
        }
    }

    void keep() noexcept { is_whole_ = true; }

private:
    const fs::path path_;
    bool is_made_ = false, is_whole_ = false;
    std::vector<fs::path> written_;
};

// ---- What to type next ----

// A path as a shell takes it.
std::string quoted(const fs::path& path) {
    const auto& text = path.native();
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("/._-+,:@%").find(c) != std::string_view::npos;
    };
    if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return text;
    return "'" + replaced(text, "'", "'\\''") + "'";
}

// What a receiver and a sender are given, so that they use the new plugin.
struct trial {
    std::string receiver, sender, destination;
};

trial trial_of(plugin_kind kind, const std::string& name, const std::string& build) {
    switch (kind) {
        case plugin_kind::transport: {
            const auto address = fmt::format("\"{0}://$PWD/{0}.socket\"", name);
            return {fmt::format("--plugin-dir {} {}", build, address), fmt::format("--plugin-dir {} ", build), address};
        }
        case plugin_kind::cipher: {
            const auto options = fmt::format("--plugin-dir {} --cipher {} --insecure", build, name);
            return {options, options + " ", "tcp://localhost"};
        }
        case plugin_kind::sink: break;
    }
    return {fmt::format("--plugin-dir {} --sink {}", build, name), "", "tcp://localhost"};
}

std::vector<std::string> next_commands(const application& app, plugin_kind kind, const fs::path& folder,
                                       const std::string& name) {
    const auto source = quoted(folder), build = quoted(folder / "build");
    std::vector<std::string> lines = {
        fmt::format("cmake -S {0} -B {1} && cmake --build {1}", source, build),
        fmt::format("wherry check-plugin {}{}",
                    quoted(folder / "build" / fmt::format("{}-{}.so", to_string(kind), name)),
                    kind == plugin_kind::sink ? " --promise stores --promise syncs" : ""),
    };
    // A cipher from the template knows no keys.
    std::error_code none;
    if (kind != plugin_kind::cipher && !fs::exists(keys::identity_path(app.home()), none))
        lines.emplace_back("wherry keygen");
    if (kind != plugin_kind::cipher && !fs::exists(keys::authorized_keys_path(app.home()), none))
        lines.push_back(fmt::format("wherry authorize {}", quoted(keys::identity_public_path(app.home()))));
    const auto [receiver, sender, destination] = trial_of(kind, name, build);
    lines.push_back(fmt::format("wherry receive {}", receiver));
    lines.push_back(
        fmt::format("wherry send {}--message hello --to {}     # in another terminal", sender, destination));
    return lines;
}

exit_code run(application& app) {
    const auto options = app.read_options({});
    const auto given = plain_arguments(options);
    if (given.size() != 2)
        throw error(errc::bad_input, "new-plugin takes a kind and a name, such as: wherry new-plugin sink tally");
    const auto& name = given[1];
    const auto kind = to_plugin_kind(given[0]);
    if (!kind)
        throw error(errc::bad_input, fmt::format("'{}' is no kind of plugin; the kinds are transport, cipher and sink",
                                                 printable(given[0])));
    if (!is_plugin_name(name))
        throw error(
            errc::bad_input,
            fmt::format(
                "'{}' is no name of a {}; names are 1 to 32 lower-case letters, digits and '-', which is not first",
                printable(name), to_string(*kind)));

    const auto files = files_for(*kind, name, options.text("language"));
    const fs::path folder = options.has("directory") ? options.text("directory") : given[0] + "-" + name;
    new_folder target(folder);
    auto written = json::array();
    for (const auto& file : files) {
        target.write(file);
        written.push_back(as_utf8(file.name));
        if (app.style == output::lines)
            app.terminal.result(fmt::format("wrote {}", printable((folder / file.name).native())));
    }
    target.keep();

    const auto commands = next_commands(app, *kind, folder, name);
    if (app.style == output::json) {
        app.events.write("new-plugin", {{"kind", to_string(*kind)},
                                        {"name", name},
                                        {"folder", as_utf8(fs::absolute(folder).native())},
                                        {"files", std::move(written)}});
    } else if (app.style == output::lines) {
        std::string text = "\nBuild it, check it and try it:";
        for (const auto& line : commands) text += "\n  " + printable(line);
        app.terminal.note(text);
    }
    for (const auto& listing : app.plugins.list())
        if (listing.kind == *kind && listing.name == name)
            app.log->warn("there is a {} '{}' already, {}; --plugin-dir comes before it", to_string(*kind), name,
                          printable(listing.path.native()));
    return exit_code::delivered;
}

}  // namespace

const command& new_plugin_command() {
    static const command described = {new_plugin_syntax(), run};
    return described;
}

}  // namespace wherry::app
