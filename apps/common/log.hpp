// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <string>

#include "console.hpp"
#include "wherry/plugin_host.hpp"

namespace wherry::app {

enum class log_style {
    plain,   // "wherry: warning: text"
    stamped  // "2026-03-01 02:04:05 warning: text", for what runs for long
};

// Writes to standard error through the console, which outlives it. `level` as --log-level has it.
std::shared_ptr<spdlog::logger> make_log(console& out, log_style style, const std::string& level);

spdlog::level::level_enum log_level_of(host_environment::level level) noexcept;

// What plugins say, with what they may have from a peer made fit for a terminal.
std::function<void(host_environment::level, const std::string&)> log_for_plugins(std::shared_ptr<spdlog::logger> log);

}  // namespace wherry::app
