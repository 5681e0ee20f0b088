// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "developer_commands.hpp"
#include "wherry/conformance.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/keys/private_key.hpp"
#include "wherry/suggestions.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

namespace fs = std::filesystem;
using conformance::verdict;

// The kind and the name that a file's name tells.
void read_file_name(conformance::subject& what) {
    const auto file = what.file.filename().string();
    for (const auto kind : {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink}) {
        const auto prefix = std::string(to_string(kind)) + "-";
        if (!file.starts_with(prefix) || !file.ends_with(".so") || file.size() < prefix.size() + 4) continue;
        what.kind = kind;
        what.name = file.substr(prefix.size(), file.size() - prefix.size() - 3);
        return;
    }
    throw error(errc::bad_input,
                fmt::format("'{}' is not named like a plugin; it has to be KIND-NAME.so, such as sink-mine.so",
                            printable(what.file.string())));
}

class scratch_folder {
public:
    scratch_folder() {
        auto pattern = (fs::temp_directory_path() / "wherry-check-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr)
            throw error(errc::io,
                        fmt::format("cannot make a folder for the check, {}: {}", pattern, std::strerror(errno)),
                        errno);
        path_ = pattern;
    }
    ~scratch_folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    scratch_folder(const scratch_folder&) = delete;
    scratch_folder& operator=(const scratch_folder&) = delete;

    const fs::path& path() const noexcept { return path_; }

private:
    fs::path path_;
};

// A home with keys of its own, as both sides of a connection have.
fs::path make_home(const fs::path& home, keys::key_type type) {
    fs::create_directory(home);
    const auto key = keys::private_key::generate(type);
    key.save(keys::identity_path(home));
    keys::write_public_key_file(keys::identity_public_path(home), key.public_part(), home.filename().string());
    return home;
}

struct tally {
    std::size_t passed = 0, failed = 0, unchecked = 0, skipped = 0;

    std::size_t& of(verdict how) {
        switch (how) {
            case verdict::passed: return passed;
            case verdict::failed: return failed;
            case verdict::unchecked: return unchecked;
            case verdict::skipped: break;
        }
        return skipped;
    }
};

class check {
public:
    check(application& app, conformance::subject& what) : app_(app), what_(what) {}

    verdict run(std::string_view name, const std::function<bool()>& is_cancelled) {
        const auto folder = scratch_.path() / "case";
        fs::create_directory(folder);
        const auto made = conformance::run_case(what_, name, folder, is_cancelled);
        std::error_code ignored;
        fs::remove_all(folder, ignored);
        if (!is_cancelled()) tell(name, made);
        return made.how;
    }

    void tell(std::string_view name, const conformance::outcome& made) {
        ++count_.of(made.how);
        if (app_.style == output::json) {
            json fields;
            fields["case"] = name;
            fields["status"] = to_string(made.how);
            if (!made.reason.empty()) fields["reason"] = as_utf8(made.reason);
            if (!made.notes.empty()) {
                fields["notes"] = json::array();
                for (const auto& note : made.notes) fields["notes"].push_back(as_utf8(note));
            }
            fields["seconds"] = static_cast<double>(made.took.count()) / 1000;
            app_.events.write("case", fields);
            return;
        }
        const bool is_wrong = made.how == verdict::failed || (made.how == verdict::unchecked && !allows_unchecked_);
        if (app_.style == output::nothing && !is_wrong) return;
        std::string word(to_string(made.how));
        word.resize(10, ' ');
        auto line = word + std::string(name) + (made.reason.empty() ? "" : ": " + made.reason);
        for (const auto& note : made.notes) line += fmt::format("\n          note: {}", note);
        app_.terminal.result(line);
    }

    void allow_unchecked() noexcept { allows_unchecked_ = true; }

    exit_code result() const noexcept {
        if (count_.failed > 0) return exit_code::nonconforming;
        return count_.unchecked > 0 && !allows_unchecked_ ? exit_code::unchecked : exit_code::delivered;
    }

    const tally& count() const noexcept { return count_; }
    const fs::path& scratch() const noexcept { return scratch_.path(); }

private:
    application& app_;
    conformance::subject& what_;
    const scratch_folder scratch_;
    tally count_;
    bool allows_unchecked_ = false;
};

fs::path absolute(const std::string& path) { return fs::absolute(path).lexically_normal(); }

// The argument that is the plugin's file, before it is known which options take a value.
std::string early_file(const option_reader& options) {
    const auto& arguments = options.early_arguments();
    for (const auto& one : arguments)
        if (one.ends_with(".so")) return one;
    if (!arguments.empty()) return arguments.front();
    throw error(errc::bad_input, "name the plugin's file: wherry check-plugin path/to/sink-mine.so");
}

void list_cases(application& app, const conformance::subject& what) {
    const auto tell = [&](const char* event, const char* key, const conformance::described_word& one) {
        if (app.style == output::json)
            app.events.write(event, {{key, one.name}, {"about", one.about}});
        else
            app.terminal.result(fmt::format("{}: {}", one.name, one.about));
    };
    for (const auto& one : conformance::cases(what.kind)) tell("case", "case", one);
    const auto promises = conformance::promises(what.kind);
    if (app.style != output::json && !promises.empty()) app.terminal.result("\nWhat --promise takes:");
    for (const auto& one : promises) tell("promise", "promise", one);
}

void require_known(const std::string& word, const std::vector<conformance::described_word>& known,
                   const std::string& option) {
    std::vector<std::string> names;
    for (const auto& one : known) {
        if (one.name == word) return;
        names.emplace_back(one.name);
    }
    const auto meant = nearest(word, names);
    throw error(errc::bad_input,
                meant.empty()
                    ? fmt::format("{} does not know '{}'; --list shows what there is", option, printable(word))
                    : fmt::format("{} does not know '{}'; did you mean {}?", option, printable(word), meant));
}

// What the options say of the plugin.
void read_subject(conformance::subject& what, const effective_options& options, std::vector<std::string>& wanted) {
    what.options = options.values_of(what.kind);
    for (const auto& [option, value] : options.arguments()) {
        if (option == "case") {
            require_known(value, conformance::cases(what.kind), "--case");
            wanted.push_back(value);
        } else if (option == "promise") {
            require_known(value, conformance::promises(what.kind), "--promise");
            what.promises.insert(value);
        } else if (option == "bad-address") {
            what.bad_addresses.push_back(value);
        }
    }
    const auto files = plain_arguments(options);
    if (files.size() != 1)
        throw error(
            errc::bad_input,
            fmt::format("one plugin is checked at a time, but {} files are named; run it for each", files.size()));
    if (options.has("offer-kind")) {
        const auto& word = options.text("offer-kind");
        what.offer_kind = word == "message" ? item_kind::message : word == "data" ? item_kind::data : item_kind::file;
    }
    if (options.has("offer-name")) what.offer_name = options.text("offer-name");
    if (options.has("content")) {
        what.content = absolute(options.text("content"));
        if (!fs::is_regular_file(*what.content))
            throw error(errc::bad_input,
                        fmt::format("--content: there is no file {}", printable(what.content->string())));
    }
    if (options.has("read-back")) what.read_back = options.text("read-back");
    if (options.has("address")) what.address = options.text("address");
    what.connections = static_cast<int>(options.integer("connections"));
    what.call_limit = options.duration("time-limit");
}

exit_code run(application& app) {
    conformance::subject what;
    what.file = absolute(early_file(app.options));
    read_file_name(what);
    if (!fs::exists(what.file))
        throw error(errc::bad_input, fmt::format("there is no file {}", printable(what.file.string())));
    if (app.options.early_flag("list")) {
        list_cases(app, what);
        return exit_code::delivered;
    }

    std::atomic<bool> is_interrupted{false};
    const signal_watcher::scope watching(app.signals, [&](unsigned) {
        is_interrupted = true;
        app.signals.end_within(std::chrono::seconds(0));
    });
    const auto is_cancelled = [&] { return is_interrupted.load(); };

    check checking(app, what);
    const auto type = keys::parse_key_type(app.options.early("key-type").value_or("ed25519"));
    // Others have no use for keys.
    const bool wants_keys = what.kind == plugin_kind::cipher;
    for (const auto* side : {"home", "other-home"}) {
        const auto home = checking.scratch() / side;
        if (wants_keys)
            make_home(home, type);
        else
            fs::create_directory(home);
        what.homes.push_back(home);
    }

    // Elsewhere first: it may crash.
    std::vector<std::string> wanted;
    if (checking.run("loads", is_cancelled) == verdict::passed) {
        const auto kind = what.kind;
        app.options.choose(kind, what.name);
        host_environment environment;
        environment.home = what.homes.front().string();
        const plugin_host here({what.file.parent_path()}, environment);
        const plugin_finder finder{[&](plugin_kind kind, std::string_view name) { return here.load(kind, name); },
                                   [&] { return here.list(); }};
        const auto options = app.options.read({&kind, 1}, finder);
        for (const auto& doubt : options.doubts()) app.log->warn(doubt);
        read_subject(what, options, wanted);
        if (options.boolean("allow-unchecked")) checking.allow_unchecked();
        for (const auto& one : conformance::cases(what.kind)) {
            const bool is_wanted = wanted.empty() || std::find(wanted.begin(), wanted.end(), one.name) != wanted.end();
            if (one.name == "loads" || !is_wanted || is_interrupted) continue;
            checking.run(one.name, is_cancelled);
        }
    } else if (!is_interrupted) {
        for (const auto& one : conformance::cases(what.kind))
            if (one.name != "loads") checking.tell(one.name, {verdict::skipped, "it cannot be loaded", {}, {}});
    }
    if (is_interrupted) return exit_code::interrupted;

    const auto& count = checking.count();
    if (app.style == output::json)
        app.events.write("summary", {{"plugin", as_utf8(what.file.native())},
                                     {"passed", count.passed},
                                     {"failed", count.failed},
                                     {"unchecked", count.unchecked},
                                     {"skipped", count.skipped}});
    else if (app.style == output::lines)
        app.terminal.result(fmt::format("{}: {} passed, {} failed, {} unchecked, {} skipped",
                                        printable(what.file.filename().string()), count.passed, count.failed,
                                        count.unchecked, count.skipped));
    if (checking.result() == exit_code::unchecked)
        app.log->warn(
            "not all of {} could be checked, for the reasons above; show the check more, such as by --promise or "
            "--read-back, or accept it by --allow-unchecked",
            printable(what.file.filename().string()));
    return checking.result();
}

}  // namespace

const command& check_plugin_command() {
    static const command described = {check_plugin_syntax(), run};
    return described;
}

}  // namespace wherry::app
