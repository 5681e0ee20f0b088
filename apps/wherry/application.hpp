// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "command.hpp"
#include "wherry/endpoint.hpp"
#include "wherry/keys/public_key.hpp"
#include "wherry/secure_channel.hpp"

namespace wherry::app {

const command& keygen_command();
const command& authorize_command_entry();
const command& keys_command();
const command& receive_command();
const command& send_command();
const command& chat_command();
const command& devices_command();
const command& pair_command();
const command& plugins_command();
// The next two are in another program: developer_program.hpp.
const command& new_plugin_command();
const command& check_plugin_command();
const command& bench_command();

// ---- What several commands do ----

// What --handshake-timeout and --io-timeout say.
channel_options session_options_of(const effective_options& options);

// Throws error(errc::bad_input) for a cipher that protects nothing, unless --insecure was given; warns if it was.
void require_secure(const application& app, const effective_options& options, const cipher& used);

// Throws error(errc::bad_input) for --overlap on; warns if another word was given.
void require_no_overlap(const application& app, const effective_options& options);

// Makes the cipher that the options choose, but for --raw, and tells how to make the transport. `options` outlive it.
made_plugins make_plugins(const effective_options& options);

// This side, for the library: with these plugins, and the command's log.
endpoint make_endpoint(const application& app, const effective_options& options, made_plugins plugins);

// Raises the limit of descriptors to what the system allows: a receiver needs some for each connection and open file.
void raise_descriptor_limit();

// This side's public key as far as it can be told without the private one: nothing if its file cannot be read.
std::optional<keys::public_key_line> own_public_key(const application& app, const effective_options& options);

// "laptop (SHA256:...)", "SHA256:...", or the address where there is no key.
std::string describe_peer(const identity& who, std::string_view address);

// "file notes.txt (1.5 KiB)", "message (12 B)".
std::string describe_item(const offer& what);

// How much is told of deliveries that went well: see --verbose.
enum class detail { summary, everything };
detail detail_of(const effective_options& options);

// What a sink answered, to stand behind a result: " [outcome]: text", several lines indented below it; "" for nothing.
// Of a long response the summary has the first lines, and how much more there is.
std::string describe_answer(std::string_view outcome, const_bytes response, detail how);

// The "progress" event.
struct progress_state;
json progress_fields(const progress_state& state);

}  // namespace wherry::app
