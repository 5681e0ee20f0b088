// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wherry/cipher.hpp"
#include "wherry/keys/public_key.hpp"
#include "wherry/plugin_host.hpp"
#include "wherry/trust.hpp"

namespace wherry {

struct endpoint_options {
    // The folder with the keys, and whom they are trusted by; "": see find_home(). What is there is the same for the
    // program. Its configuration file is the program's, and is not read.
    std::filesystem::path home;
    // Searched for plugins before those of default_search_path().
    std::vector<std::string> plugin_directories;
    // What protects what is sent, and its options: {{"kem", "x25519"}}.
    std::string cipher = "hybrid";
    option_values cipher_options;
    // Options of transports, by their names: {{"tcp", {{"connect-timeout", "5s"}}}}. The address says which is used.
    std::map<std::string, option_values, std::less<>> transport_options;
    // Allow a cipher that protects nothing, for tests and measurements.
    bool allow_insecure = false;
    // Gets the messages of plugins, the senders that a receiver refuses, and the lines of known_hosts and
    // authorized_keys that cannot be parsed. Called from any thread, several at once; must not throw. Empty: no log.
    std::function<void(host_environment::level, const std::string&)> log;
    // Asked for the passphrase of a key that has one: fills `answer`, and returns the length. From any thread, which
    // all others that use this endpoint wait for: it must not wait for them. None: such a key cannot be used.
    std::function<std::size_t(const std::string& prompt, std::span<char> answer)> ask_secret;
};

// Plugins that a program has made itself, for an endpoint that loads none: with options of its own, or wrapped to be
// measured.
struct made_plugins {
    std::string transport_name;  // "tcp": the scheme of every destination
    // Makes the transport of a sending or a receiver. A sending that is stopped while it connects aborts that for the
    // whole transport, so only those that are stopped together may share one.
    std::function<std::shared_ptr<transport>()> make_link;
    std::optional<std::string> default_port;  // completes an address without a port, where the transport has ports
    std::string cipher_name;                  // "hybrid"
    std::shared_ptr<cipher> protection;       // null: only for receivers of raw peers
};

// This side of every transfer: its keys, whom it trusts, and the plugins that it uses. Loaded as they are needed.
// Copies are the same endpoint. Thread-safety: all functions from any thread.
class endpoint {
public:
    // Throws error(errc::bad_input) if there is no home. It need not be there yet.
    explicit endpoint(endpoint_options options = {});
    // The same, with these plugins for every route. Of `options`, cipher and transport_options are not used.
    endpoint(endpoint_options options, made_plugins plugins);
    // The same side with other plugins. What one of the two has told of key files, the other does not tell again.
    endpoint with_plugins(made_plugins plugins) const;

    const std::filesystem::path& home() const noexcept;

    // This side's public key, which others need to let it in, or to recognise it. line() of its key is what
    // authorized_keys takes. Throws error: bad_input if there is no private key, or it cannot be used: see make_key();
    // unsupported if it is encrypted, its public file is missing, and there is no ask_secret.
    keys::public_key_line public_key() const;
    // The same; makes the pair of keys, Ed25519, without a passphrase, if there is none yet.
    keys::public_key_line make_key(std::string_view comment = {}) const;

    // Receivers of this home let in who has this key: "ssh-ed25519 AAAA... comment". Also those that run already.
    // Throws error: bad_input for what is no such line, io.
    keys::change authorize(std::string_view public_key_line) const;
    // Senders of this home recognise the receiver at `destination`, "tcp://host:9417", by this key. Throws error:
    // auth_failed if another key is known for it, bad_input, io.
    keys::change trust(std::string_view destination, std::string_view public_key_line) const;

    // ---- What send() and receiver are made of ----

    // "tcp://host:1" taken apart, and the transport for it; without a scheme it is tcp.
    struct route {
        std::string scheme;     // "tcp"
        std::string address;    // for the transport
        std::string canonical;  // what known_hosts has it under
        std::shared_ptr<transport> link;
    };
    // Throws error: bad_input, unsupported, as plugin_host::load and plugin::make_transport do; bad_input for a scheme
    // that is not the one of made_plugins.
    route find_route(std::string_view destination) const;
    // What protects everything that is sent and received here. Made when it is first needed, and anew when the file
    // with the private key is another: so that a key is read, and its passphrase asked for, once. What else a cipher
    // may read is not looked at; for that, make another endpoint. Throws as those do, and bad_input for a cipher that
    // protects nothing, unless it is allowed.
    std::shared_ptr<cipher> protection() const;
    // What the cipher is called on the wire.
    const std::string& cipher_name() const noexcept;
    // Reports lines of key files that cannot be parsed to options().log.
    skipped_lines& skipped() const noexcept;

    const endpoint_options& options() const noexcept;
    const plugin_host& plugins() const noexcept;

private:
    struct parts;
    explicit endpoint(std::shared_ptr<const parts> all) noexcept : parts_(std::move(all)) {}
    std::shared_ptr<const parts> parts_;
};

}  // namespace wherry
