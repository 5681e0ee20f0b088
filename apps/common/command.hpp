// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <spdlog/logger.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "console.hpp"
#include "events.hpp"
#include "exit_code.hpp"
#include "options.hpp"
#include "signals.hpp"
#include "syntax.hpp"
#include "wherry/plugin_host.hpp"

namespace wherry::app {

// How much goes to standard output.
enum class output { lines, json, nothing };

// What program (program.hpp) makes for one command, and the command uses.
struct application {
    console& terminal;
    event_writer& events;
    signal_watcher& signals;
    std::shared_ptr<spdlog::logger> log;
    output style;
    option_reader& options;
    const plugin_host& plugins;

    const std::filesystem::path& home() const noexcept { return options.home(); }
    plugin_finder finder() const;
    // The second pass over the options; says what is doubtful about them.
    effective_options read_options(std::span<const plugin_kind> kinds) const;
    // Something for the person at the terminal, unless it is to be quiet.
    void note(const std::string& text) const;
};

// A command: what it takes and what it does. run() may throw error.
struct command {
    const command_syntax& syntax;
    exit_code (*run)(application& app);
    bool runs_for_long = false;  // its log has the time of day
};

// The arguments proper: those that belong to no option.
std::vector<std::string> plain_arguments(const effective_options& options);

// Text with its lines kept, each fit for a terminal, with `margin` before it.
std::string presentable(std::string_view text, std::string_view margin = {});

// The same, set in.
std::string indented(std::string_view text);

}  // namespace wherry::app
