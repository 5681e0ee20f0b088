// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "command_option.hpp"

namespace wherry::app {

// The options of each command. They stand apart from what the commands do, so that a program can read and describe
// every option without the code of any command.
const command_syntax& keygen_syntax();
const command_syntax& authorize_syntax();
const command_syntax& keys_syntax();
const command_syntax& receive_syntax();
const command_syntax& send_syntax();
const command_syntax& chat_syntax();
const command_syntax& devices_syntax();
const command_syntax& pair_syntax();
const command_syntax& plugins_syntax();
const command_syntax& new_plugin_syntax();
const command_syntax& check_plugin_syntax();
const command_syntax& bench_syntax();

// All of them, in the order of the help.
std::span<const command_syntax* const> all_syntax();

// What a line of a chat may be, for the person at the prompt.
std::string_view chat_help() noexcept;

// The options of receive that choose a sink for a part of the deliveries.
inline constexpr const char* messages_sink = "messages-sink";
inline constexpr const char* files_sink = "files-sink";

// The most that --senders of a bench takes, and so the most that its receiver serves at once.
inline constexpr std::size_t max_bench_senders = 1000;

}  // namespace wherry::app
