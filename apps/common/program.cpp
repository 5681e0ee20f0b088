// SPDX-License-Identifier: BSD-2-Clause
#include "program.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "help.hpp"
#include "last_resort.hpp"
#include "log.hpp"
#include "standard_streams.hpp"
#include "wherry/error.hpp"
#include "wherry/failure_of.hpp"
#include "wherry/plugin_calls.hpp"
#include "wherry/suggestions.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

std::string overview(std::span<const command* const> commands) {
    std::string text =
        "wherry ferries messages and files over whatever link there is, encrypted and authenticated by keys.\n\n"
        "usage: wherry COMMAND [ARGUMENT | OPTION]...\n\n";
    for (const auto* one : commands) {
        auto name = "  " + one->syntax.name;
        name.resize(16, ' ');
        text += name + one->syntax.summary + "\n";
    }
    return text +
           "\nwherry help COMMAND shows a command's options. The first steps, on two computers:\n"
           "  both: wherry keygen    receiver: wherry authorize 'LINE of the sender', then wherry receive\n"
           "  sender: wherry send FILE --to tcp://RECEIVER";
}

const command& find_command(std::span<const command* const> commands, const std::string& name) {
    std::vector<std::string> names;
    for (const auto* one : commands) {
        if (one->syntax.name == name) return *one;
        names.push_back(one->syntax.name);
    }
    const auto meant = nearest(name, names);
    throw error(errc::bad_input,
                fmt::format("there is no command '{}'; {}", printable(name),
                            meant.empty() ? "wherry --help lists them" : fmt::format("did you mean {}?", meant)));
}

// The command line taken apart: the command is the first word that is no option, and options may stand before it.
struct invocation {
    std::string name;  // "" if there is none
    std::vector<std::string> arguments;
    bool wants_version = false, wants_help = false;
};

invocation take_apart(const std::vector<std::string>& words) {
    invocation taken;
    std::size_t index = 0;
    for (; index < words.size() && words[index].starts_with('-') && words[index].size() > 1; ++index) {
        taken.wants_version = taken.wants_version || words[index] == "--version" || words[index] == "-V";
        taken.wants_help = taken.wants_help || words[index] == "--help" || words[index] == "-h";
        taken.arguments.push_back(words[index]);
        const auto takes_word = [&](const command_option& option) {
            return option.row.type != option_type::boolean && words[index] == "--" + option.row.name;
        };
        if (std::any_of(common_options().begin(), common_options().end(), takes_word) && index + 1 < words.size())
            taken.arguments.push_back(words[++index]);
    }
    if (index < words.size()) taken.name = words[index++];
    taken.arguments.insert(taken.arguments.end(),
                           words.begin() + static_cast<std::ptrdiff_t>(std::min(index, words.size())), words.end());
    return taken;
}

std::size_t help_columns() {
    return ::isatty(STDOUT_FILENO) != 0 ? std::min<std::size_t>(100, console().columns()) : 100;
}

// What a plugin may ask of the program.
host_environment make_environment(const option_reader& options, std::shared_ptr<spdlog::logger> log,
                                  std::function<bool(const std::string&)> show) {
    host_environment environment;
    environment.home = options.home().native();
    environment.log = log_for_plugins(std::move(log));
    environment.ask_secret = [](const std::string& prompt, std::span<char> answer) {
        return ask_secret(printable(prompt), answer);
    };
    environment.show = [show = std::move(show)](const std::string& lines) {
        if (!show(lines)) throw error(errc::io, "the receiver's output is not read any more; start it anew");
    };
    return environment;
}

class program {
public:
    explicit program(const program_parts& parts)
        : parts_(parts), events_(terminal_), signals_([](unsigned) {
              restore_terminal();
              // Behind a question that got no answer.
              [[maybe_unused]] const auto ignored = can_ask() ? ::write(STDERR_FILENO, "\n", 1) : 0;
              ::_exit(to_status(exit_code::interrupted));
          }) {}

    exit_code run(const std::vector<std::string>& words) {
        wants_json_ = std::find(words.begin(), words.end(), "--json") != words.end();
        log_ = make_log(terminal_, log_style::plain, "warning");
        try {
            if (parts_.run_internal != nullptr)
                if (const auto code = parts_.run_internal(words, terminal_)) return *code;
            return dispatch(take_apart(words));
        } catch (const std::exception& e) {
            return fail(failure_of(e));
        }
    }

private:
    exit_code fail(const error& e) {
        // As at the beginning, whatever the command's log looks like.
        if (log_->should_log(spdlog::level::err)) terminal_.note(fmt::format("wherry: error: {}", printable(e.what())));
        if (wants_json_) {
            json fields;
            fields["status"] = to_string(e.code());
            fields["error"] = as_utf8(e.what());
            events_.write("error", fields);
        }
        return exit_code_for(e.code(), side::here);
    }

    exit_code dispatch(invocation given) {
        if (given.name.empty()) {
            if (given.wants_version) return show_version();
            if (given.wants_help) return show(overview(parts_.commands));
            if (!given.arguments.empty()) throw error(errc::bad_input, "no command is given; wherry --help lists them");
            terminal_.note(overview(parts_.commands));
            return exit_code::usage;
        }
        if (given.wants_version) return show_version();
        if (given.name == "version") return show_version();
        if (given.name == "help") {
            const auto about = std::find_if(given.arguments.begin(), given.arguments.end(),
                                            [](const std::string& word) { return !word.starts_with('-'); });
            if (about == given.arguments.end()) return show(overview(parts_.commands));
            given.name = *about;
            given.arguments.erase(about);
            given.arguments.emplace_back("--help");
        }
        return run_command(find_command(parts_.commands, given.name), given.arguments);
    }

    // The environment counts before the configuration file.
    static std::vector<std::filesystem::path> search_path(const option_reader& options) {
        const auto folders = options.early_all("plugin-dir");
        if (options.early_origin("plugin-dir") == origin::config_file) return default_search_path({}, folders);
        return default_search_path(folders);
    }

    exit_code run_command(const command& one, const std::vector<std::string>& arguments) {
        option_reader options(one.syntax, all_syntax(), arguments);
        wants_json_ = options.early_flag("json");
        const bool is_quiet = options.early_flag("quiet");
        auto level = options.early("log-level").value_or("warning");
        if (is_quiet && options.early_origin("log-level") == origin::built_in) level = "error";
        log_ = make_log(terminal_, one.runs_for_long ? log_style::stamped : log_style::plain, level);

        const auto style = wants_json_ ? output::json : is_quiet ? output::nothing : output::lines;
        const plugin_host plugins(search_path(options),
                                  make_environment(options, log_, [this](const std::string& lines) {
                                      // Even if it is to be quiet: this is what the plugin was chosen for.
                                      return wants_json_ ? events_.write("shown", {{"text", as_utf8(lines)}})
                                                         : terminal_.result(presentable(lines));
                                  }));
        if (options.early_flag("help")) {
            auto listing = one.syntax.kinds.empty() ? std::vector<plugin_listing>() : plugins.list();
            std::erase_if(listing, [&](const plugin_listing& row) {
                const auto chosen = options.chosen_names(row.kind);
                return std::find(chosen.begin(), chosen.end(), row.name) == chosen.end();
            });
            return show(help_text(one.syntax, listing, help_columns()));
        }
        application app{terminal_, events_, signals_, log_, style, options, plugins};
        return one.run(app);
    }

    exit_code show(std::string text) {
        while (text.ends_with('\n')) text.pop_back();
        terminal_.result(text);
        return exit_code::delivered;
    }

    exit_code show_version() { return show("wherry " WHERRY_VERSION); }

    const program_parts& parts_;
    console terminal_;
    event_writer events_;
    signal_watcher signals_;
    std::shared_ptr<spdlog::logger> log_;
    bool wants_json_ = false;
};

}  // namespace

std::string named_command(const std::vector<std::string>& words) { return take_apart(words).name; }

int run_program(const program_parts& parts, int argc, char** argv) {
    if (!open_closed_standard_streams()) {
        constexpr std::string_view text = "wherry: error: a closed standard stream cannot be opened on /dev/null\n";
        [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text.data(), text.size());
        return to_status(exit_code::local_io);
    }
    note_plugin_calls();
    guard_exit();
    auto code = exit_code::internal;
    try {
        program running(parts);
        code = running.run({argv + std::min(argc, 1), argv + argc});
    } catch (const std::exception& e) {
        const auto why = failure_of(e);
        code = exit_code_for(why.code(), side::here);
        const auto text = fmt::format("wherry: error: {}\n", why.what());
        [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text.data(), text.size());
    }
    end_exit_guard();
    return to_status(code);
}

}  // namespace wherry::app
