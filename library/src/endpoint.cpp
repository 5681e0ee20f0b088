// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/endpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "wherry/home.hpp"
#include "wherry/keys/authorized_keys.hpp"
#include "wherry/keys/file_version.hpp"
#include "wherry/keys/known_hosts.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/keys/private_key.hpp"
#include "wherry/mutex.hpp"
#include "wherry/text.hpp"

namespace wherry {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view default_transport = "tcp";

host_environment make_environment(const fs::path& home, const endpoint_options& options) {
    host_environment environment;
    environment.home = home.native();
    environment.log = options.log ? options.log : [](host_environment::level, const std::string&) {};
    environment.ask_secret = options.ask_secret;
    if (!environment.ask_secret)
        environment.ask_secret = [](const std::string&, std::span<char>) -> std::size_t {
            throw error(errc::unsupported, "this program cannot ask for a passphrase");
        };
    return environment;
}

std::shared_ptr<skipped_lines> make_skipped_lines(
    const std::function<void(host_environment::level, const std::string&)>& log) {
    return std::make_shared<skipped_lines>([log](const std::string& text) {
        if (log) log(host_environment::level::warning, text);
    });
}

const option_values& values_for(const endpoint_options& options, std::string_view transport) {
    static const option_values none;
    const auto found = options.transport_options.find(transport);
    return found == options.transport_options.end() ? none : found->second;
}

// Where addresses of this transport may leave it out.
std::optional<std::string> default_port(const plugin& transport, const option_values& values) {
    const auto rows = transport.options();
    const auto row = std::find_if(rows.begin(), rows.end(), [](const auto& option) { return option.name == "port"; });
    if (row == rows.end()) return std::nullopt;
    if (const auto given = values.find("port"); given != values.end()) return canonical_value(*row, given->second);
    return row->default_value;
}

}  // namespace

struct endpoint::parts {
    explicit parts(endpoint_options given, std::optional<made_plugins> own = std::nullopt,
                   std::shared_ptr<skipped_lines> told = nullptr)
        : options(std::move(given)),
          own_plugins(std::move(own)),
          skipped(told ? std::move(told) : make_skipped_lines(options.log)),
          home(find_home(options.home.empty() ? std::nullopt : std::optional(options.home.native()))),
          plugins(default_search_path(options.plugin_directories), make_environment(home, options)) {}

    // The private key that the cipher proves this side with.
    fs::path identity() const {
        const auto other = options.cipher_options.find("identity");
        return other == options.cipher_options.end() || other->second.empty() ? keys::identity_path(home)
                                                                              : fs::path(other->second);
    }
    fs::path public_identity() const { return identity() += ".pub"; }

    keys::secret_text passphrase(const fs::path& key_file) const {
        constexpr std::size_t most_bytes = 1024;
        keys::secret_text answer(most_bytes);
        answer.resize(
            make_environment(home, options).ask_secret(fmt::format("Passphrase of {}: ", key_file.string()), answer));
        return answer;
    }

    // Found, looked at and loaded once, and not for each connection anew.
    auto load(plugin_kind kind, const std::string& name) const {
        const mutex_lock lock(loading);
        auto& known = loaded[{kind, name}];
        if (!known) known = plugins.load(kind, name);
        return known;
    }

    std::shared_ptr<cipher> protection() const {
        if (own_plugins) return own_plugins->protection;
        // Held while it is made: who comes meanwhile shall not ask for the passphrase, too.
        const mutex_lock lock(making);
        const auto key_file = keys::file_version::of(identity());
        if (!made || made_with != key_file) {
            made = load(plugin_kind::cipher, options.cipher)->make_cipher(options.cipher_options);
            made_with = key_file;
        }
        return made;
    }

    const endpoint_options options;
    const std::optional<made_plugins> own_plugins;
    const std::shared_ptr<skipped_lines> skipped;
    const fs::path home;
    const plugin_host plugins;
    mutable mutex making;
    mutable std::shared_ptr<cipher> made WHERRY_GUARDED_BY(making);
    mutable keys::file_version made_with WHERRY_GUARDED_BY(making);
    mutable mutex loading;
    mutable std::map<std::pair<plugin_kind, std::string>, std::shared_ptr<const plugin>> loaded
        WHERRY_GUARDED_BY(loading);
};

endpoint::endpoint(endpoint_options options) : parts_(std::make_shared<const parts>(std::move(options))) {}

endpoint::endpoint(endpoint_options options, made_plugins plugins)
    : parts_(std::make_shared<const parts>(std::move(options), std::move(plugins))) {}

endpoint endpoint::with_plugins(made_plugins plugins) const {
    return endpoint(std::make_shared<const parts>(parts_->options, std::move(plugins), parts_->skipped));
}

const fs::path& endpoint::home() const noexcept { return parts_->home; }
const endpoint_options& endpoint::options() const noexcept { return parts_->options; }
const plugin_host& endpoint::plugins() const noexcept { return parts_->plugins; }

keys::public_key_line endpoint::public_key() const {
    return keys::read_own_public_key(parts_->identity(), [this](const auto& file) { return parts_->passphrase(file); });
}

keys::public_key_line endpoint::make_key(std::string_view comment) const {
    std::error_code none;
    if (!fs::exists(fs::symlink_status(parts_->identity(), none))) {
        const auto key = keys::private_key::generate(keys::key_type::ed25519);
        // A comment that will not do is told before there is anything.
        const auto line = key.public_part().line(comment);
        key.save(parts_->identity());
        keys::write_public_key_file(parts_->public_identity(), key.public_part(), comment);
        return keys::parse_public_key_line(line);
    }
    return public_key();
}

keys::change endpoint::authorize(std::string_view public_key_line) const {
    const auto line = keys::parse_public_key_text(public_key_line);
    return keys::authorized_keys(keys::authorized_keys_path(home())).add(line.key, line.comment);
}

keys::change endpoint::trust(std::string_view destination, std::string_view public_key_line) const {
    const auto line = keys::parse_public_key_text(public_key_line);
    return keys::known_hosts(keys::known_hosts_path(home()))
        .remember(find_route(destination).canonical, line.key, line.comment);
}

skipped_lines& endpoint::skipped() const noexcept { return *parts_->skipped; }

endpoint::route endpoint::find_route(std::string_view destination) const {
    auto parts = split_destination(destination);
    const auto& own = parts_->own_plugins;
    if (parts.scheme.empty()) parts.scheme = own ? own->transport_name : default_transport;
    route found;
    if (own) {
        if (parts.scheme != own->transport_name)
            throw error(errc::bad_input, fmt::format("'{}' is for the transport {}, but the transport is {}",
                                                     printable(destination), parts.scheme, own->transport_name));
        found.canonical = canonical_destination(parts.scheme, parts.address, own->default_port);
        found.link = own->make_link();
    } else {
        const auto plugin = parts_->load(plugin_kind::transport, parts.scheme);
        const auto& values = values_for(options(), parts.scheme);
        found.canonical = canonical_destination(parts.scheme, parts.address, default_port(*plugin, values));
        found.link = plugin->make_transport(values);
    }
    found.scheme = std::move(parts.scheme);
    found.address = std::move(parts.address);
    return found;
}

const std::string& endpoint::cipher_name() const noexcept {
    return parts_->own_plugins ? parts_->own_plugins->cipher_name : parts_->options.cipher;
}

std::shared_ptr<cipher> endpoint::protection() const {
    auto made = parts_->protection();
    if (!made) throw error(errc::bad_input, "this endpoint has no cipher, so only raw peers can be received from");
    if (made->is_insecure() && !options().allow_insecure)
        throw error(errc::bad_input,
                    fmt::format("{}; set allow_insecure if that is what you want", insecure_text(cipher_name())));
    return made;
}

}  // namespace wherry
