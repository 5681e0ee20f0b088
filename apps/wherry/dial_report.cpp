// SPDX-License-Identifier: BSD-2-Clause
#include "dial_report.hpp"

#include <fmt/format.h>

#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

void dial_report::connecting(const std::string& destination) {
    app_.log->info("connecting to {}", printable(destination));
}

void dial_report::connected(const secure_channel& opened, const receiver_check& check) {
    const auto shown = printable(check.destination());
    if (check.found() == receiver_check::finding::remembered)
        app_.note(fmt::format("first contact with {}: its key {} is remembered", shown, check.peer().fingerprint));
    has_met_ = true;
    app_.log->info("connected to {} with {}", shown, opened.describe());
    if (app_.style != output::json) return;
    json fields;
    fields["address"] = as_utf8(opened.peer_address());
    fields["destination"] = as_utf8(check.destination());
    put_identity(fields, opened.peer());
    fields["cipher"] = opened.describe();
    if (const auto kind = opened.exchanged()) fields["key_exchange"] = to_string(*kind);
    if (const auto before = check.exchange_before()) fields["key_exchange_before"] = to_string(*before);
    app_.events.write("connected", fields);
}

bool dial_report::accepts(const receiver_check& check) {
    const auto shown = printable(check.destination());
    const auto& peer = check.peer();
    if (!can_ask())
        throw error(
            errc::auth_failed,
            fmt::format(
                "this is the first contact with {}, and there is no terminal to ask on whether its key {} is right; "
                "compare it with what `wherry keys` says there, then send once from a terminal, or give "
                "--accept-new-peer",
                shown, peer.fingerprint));
    const auto answer =
        ask_line(fmt::format("This is the first contact with {}.\nIts key is {} ({}).\n"
                             "Compare it with what `wherry keys` says there. Trust it from now on? [yes/no] ",
                             shown, peer.fingerprint, peer.algorithm));
    return answer == "yes" || answer == "y";
}

void dial_report::not_remembered(const receiver_check& check) {
    app_.log->warn(
        "first contact with {}: its key {} is accepted, but cannot be remembered ({}); the next contact is a first one "
        "again, unless that is mended",
        printable(check.destination()), check.peer().fingerprint, printable(check.why_not_remembered()));
}

bool dial_report::exchange_is_classical(const secure_channel& opened, const receiver_check& check) {
    const auto& cipher = options_.chosen(plugin_kind::cipher).name();
    if (check.exchange_finding() == receiver_check::exchange_news::fallen)
        app_.terminal.note(check.fallen_warning(opened.describe(), cipher));
    else
        app_.note(fmt::format(
            "the key exchange with {} is classical ({}): who records this connection may read it once there are "
            "quantum computers for that{}",
            printable(check.destination()), opened.describe(),
            cipher == "hybrid" ? "; it is post-quantum where both sides have Botan 3 and allow x25519-mlkem768" : ""));
    return true;
}

void dial_report::key_changed(const receiver_check& check) { app_.terminal.note(check.changed_warning()); }

void dial_report::tell(const error& failure, std::string_view advice) const {
    json fields;
    fields["status"] = to_string(failure.code());
    fields["error"] = as_utf8(failure.what());
    app_.log->error("{}{}", printable(failure.what()), advice);
    if (failure.code() == errc::auth_failed && has_met_) {
        // The receiver has been recognised, so it is this side that was not.
        if (const auto own = own_public_key(app_, options_)) {
            const auto line = own->key.line(own->comment);
            fields["public_key"] = line;
            fields["fingerprint"] = own->key.fingerprint();
            app_.terminal.note(
                fmt::format("To be let in, give the receiver's owner this command with your public key:\n  {}",
                            authorize_command(own->key.line(), own->comment)));
        }
    }
    if (app_.style == output::json) app_.events.write("error", fields);
}

effective_options read_sender_options(application& app) {
    // The scheme of the address chooses the transport.
    const auto destination = app.options.early("to");
    if (!destination || destination->empty())
        throw error(errc::bad_input, "where to is not said; give --to ADDRESS, as in --to tcp://host:9417");
    if (const auto scheme = split_destination(*destination).scheme; !scheme.empty()) {
        const auto named = app.options.early("transport");
        if (app.options.early_origin("transport") == origin::command_line && named != scheme)
            throw error(errc::bad_input,
                        fmt::format("--to {} is for the transport {}, but --transport says {}; leave --transport out",
                                    printable(*destination), scheme, named.value_or("")));
        app.options.choose(plugin_kind::transport, scheme);
    }
    return app.read_options(sender_kinds);
}

send_options send_options_of(const effective_options& options) {
    send_options chosen;
    chosen.timing = session_options_of(options);
    if (options.boolean("accept-new-peer")) chosen.new_peer = first_contact::remember;
    if (options.text("digest") == "sha256") chosen.digest = sender_options::digest::sha256;
    const auto& word = options.text("compress");
    using compression = sender_options::compression;
    chosen.compression = word == "zstd"   ? compression::zstd
                         : word == "auto" ? compression::automatic
                                          : compression::none;
    if (options.has("resume") && (!options.boolean("resume") || options.boolean("no-resume")))
        chosen.resume = resuming::no;
    if (options.has("update") && options.boolean("update")) {
        if (chosen.resume == resuming::no)
            throw error(
                errc::bad_input,
                "--update goes on with what the receiver has, which --no-resume forbids; leave out one of them");
        chosen.update = updating::wanted;
    }
    if (options.has("retry")) chosen.retry = static_cast<unsigned>(options.integer("retry"));
    if (options.has("streams")) chosen.streams = static_cast<std::size_t>(options.integer("streams"));
    return chosen;
}

std::string destination_of(const effective_options& options) {
    const auto address = split_destination(options.text("to")).address;
    if (address.empty())
        throw error(errc::bad_input,
                    fmt::format("{} names no address; write, say, tcp://host:9417", options.given("to").written));
    return options.chosen(plugin_kind::transport).name() + "://" + address;
}

endpoint make_sender(const application& app, const effective_options& options, const made_plugins& plugins) {
    auto here = make_endpoint(app, options, plugins);
    require_secure(app, options, *plugins.protection);
    require_no_overlap(app, options);
    return here;
}

}  // namespace wherry::app
