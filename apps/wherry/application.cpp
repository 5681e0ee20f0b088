// SPDX-License-Identifier: BSD-2-Clause
#include "application.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <utility>

#include "log.hpp"
#include "progress.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/keys/private_key.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

constexpr std::size_t most_answer_lines = 40, most_answer_bytes = std::size_t{8} << 10;

// The first lines of a response, as far as a terminal is to show it; no character is cut.
std::string_view beginning_of(std::string_view response) {
    std::size_t end = 0;
    for (std::size_t lines = 0; lines < most_answer_lines && end < response.size(); ++lines)
        end = std::min(response.find('\n', end), response.size() - 1) + 1;
    const bool is_whole = end == response.size();
    if (end <= most_answer_bytes) return response.substr(0, is_whole ? end : end - 1);
    end = most_answer_bytes;
    const auto continues_character = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
    for (int bytes = 0; bytes < 3 && continues_character(response[end]); ++bytes) --end;
    return response.substr(0, end);
}

}  // namespace

channel_options session_options_of(const effective_options& options) {
    channel_options chosen;
    chosen.handshake_timeout = options.duration("handshake-timeout");
    chosen.io_timeout = options.duration("io-timeout");
    return chosen;
}

void require_secure(const application& app, const effective_options& options, const cipher& used) {
    if (!used.is_insecure()) return;
    const auto why = insecure_text(options.chosen(plugin_kind::cipher).name());
    if (!options.boolean("insecure"))
        throw error(errc::bad_input, fmt::format("{}; give --insecure if that is what you want", why));
    app.log->warn("{}", why);
}

void require_no_overlap(const application& app, const effective_options& options) {
    const auto& given = options.given("overlap");
    if (given.source == origin::built_in) return;
    if (options.text("overlap") == "on")
        throw error(
            errc::bad_input,
            fmt::format(
                "{} cannot be 'on' any more: streams are the one way to use more processors (wherry send --streams)",
                given.written));
    app.log->warn("{} means nothing any more: streams are the one way to use more processors (wherry send --streams)",
                  given.written);
}

made_plugins make_plugins(const effective_options& options) {
    made_plugins made;
    made.transport_name = options.chosen(plugin_kind::transport).name();
    made.make_link = [&options] { return options.make_transport(); };
    made.default_port = options.plugin_value(plugin_kind::transport, "port");
    if (options.has("raw") && options.boolean("raw")) return made;
    made.cipher_name = options.chosen(plugin_kind::cipher).name();
    made.protection = options.make_cipher();
    return made;
}

endpoint make_endpoint(const application& app, const effective_options& options, made_plugins plugins) {
    endpoint_options chosen;
    chosen.home = app.home();
    if (plugins.protection) chosen.cipher_options = options.values_of(plugin_kind::cipher);
    chosen.allow_insecure = options.boolean("insecure");
    chosen.log = [log = app.log](host_environment::level how, const std::string& text) {
        log->log(log_level_of(how), "{}", text);
    };
    return endpoint(std::move(chosen), std::move(plugins));
}

std::optional<keys::public_key_line> own_public_key(const application& app, const effective_options& options) {
    auto file = keys::identity_path(app.home());
    if (const auto other = options.plugin_value(plugin_kind::cipher, "identity"); other && !other->empty())
        file = *other;
    try {
        return keys::read_own_public_key(file, {});
    } catch (const error& e) {
        app.log->debug("this side's public key is not shown: {}", e.what());
        return std::nullopt;
    }
}

std::string describe_peer(const identity& who, std::string_view address) {
    if (who.fingerprint.empty()) return printable(address);
    if (who.label.empty()) return who.fingerprint;
    return fmt::format("{} ({})", printable(who.label), who.fingerprint);
}

std::string describe_item(const offer& what) {
    std::string text(to_string(what.kind));
    if (!what.name.empty()) text += " " + printable(what.name);
    if (what.size && what.kind != item_kind::folder) text += " (" + human_bytes(*what.size) + ")";
    return text;
}

detail detail_of(const effective_options& options) {
    return options.boolean("verbose") ? detail::everything : detail::summary;
}

std::string describe_answer(std::string_view outcome, const_bytes response, detail how) {
    const auto word = outcome.empty() ? std::string() : " [" + printable(outcome) + "]";
    auto text = as_text(response);
    while (text.ends_with('\n')) text.remove_suffix(1);
    if (text.empty()) return word;
    const auto shown = how == detail::everything ? text : beginning_of(text);
    const bool is_one_line = shown.find('\n') == shown.npos;
    auto described = is_one_line ? word + ": " + printable(shown) : word + ":\n" + indented(shown);
    if (shown.size() < text.size())
        described += fmt::format("\n    ({} more; --verbose shows all of it)", human_bytes(text.size() - shown.size()));
    return described;
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

json progress_fields(const progress_state& state) {
    json fields;
    fields["bytes"] = state.bytes;
    if (state.total_bytes) fields["total_bytes"] = *state.total_bytes;
    fields["items"] = state.items;
    if (state.total_items > 0) fields["total_items"] = state.total_items;
    fields["bytes_per_second"] = static_cast<std::uint64_t>(state.bytes_per_second);
    if (const auto left = time_left(state)) fields["seconds_left"] = left->count();
    if (!state.current.empty()) fields["current"] = state.current;
    return fields;
}

}  // namespace wherry::app
