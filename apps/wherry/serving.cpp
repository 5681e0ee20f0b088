// SPDX-License-Identifier: BSD-2-Clause
#include "serving.hpp"

#include <fmt/format.h>

#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

// A port that is taken is a wrong option to the transport, but to the shell it is the system that said no.
std::unique_ptr<receiver> listen(const endpoint& here, const std::string& destination, sink& store,
                                 receiver_options options) {
    try {
        return std::make_unique<receiver>(here, destination, store, std::move(options));
    } catch (const error& e) {
        if (e.code() == errc::bad_input && e.system_error() != 0) throw error(errc::io, e.what(), e.system_error());
        throw;
    }
}

}  // namespace

void serving::run(const endpoint& here, const std::string& transport_name, const std::string& address, sink& store,
                  receiver_options options, const callbacks& tell) {
    raise_descriptor_limit();
    const auto running = listen(here, transport_name + "://" + address, store, std::move(options));
    running_ = running.get();
    const signal_watcher::scope stop(app_.signals, [&](unsigned count) {
        was_stopped_ = true;
        const auto grace = count == 1 ? receiver::default_grace : std::chrono::milliseconds(0);
        app_.signals.end_within(grace);
        if (count == 1 && tell.stopping) tell.stopping();
        running->stop(grace);
    });
    tell.listening(*running);
    running->run();
}

void serving::end() noexcept {
    app_.signals.end_within(receiver::default_grace);
    if (auto* const running = running_.load()) running->stop();
}

void choose_transport_by_address(application& app) {
    for (const auto& argument : app.options.early_arguments()) {
        const auto scheme = split_destination(argument).scheme;
        if (scheme.empty()) continue;
        if (app.options.early_origin("transport") != origin::command_line)
            app.options.choose(plugin_kind::transport, scheme);
        return;
    }
}

json connected_fields(connection_id id, std::string_view address, const identity& peer, std::string_view cipher) {
    json fields;
    fields["connection"] = id;
    fields["address"] = as_utf8(address);
    put_identity(fields, peer);
    fields["cipher"] = cipher;
    return fields;
}

json disconnected_fields(connection_id id, std::string_view address, const std::optional<error>& failure) {
    json fields;
    fields["connection"] = id;
    fields["address"] = as_utf8(address);
    fields["ok"] = !failure;
    fields["status"] = failure ? to_string(failure->code()) : "ok";
    if (failure) fields["error"] = as_utf8(failure->what());
    return fields;
}

json listening_fields(const receiver& running, const std::optional<std::string>& cipher) {
    const auto parts = split_destination(running.address());
    json fields;
    fields["transport"] = parts.scheme;
    fields["address"] = as_utf8(parts.address);
    fields["destination"] = as_utf8(running.address());
    fields["cipher"] = cipher ? json(*cipher) : json(nullptr);
    return fields;
}

void put_own_key(json& fields, const std::optional<keys::public_key_line>& own) {
    if (!own) return;
    fields["fingerprint"] = own->key.fingerprint();
    fields["public_key"] = own->key.line(own->comment);
}

std::string listening_line(const receiver& running, const std::optional<keys::public_key_line>& own) {
    const auto address = printable(running.address());
    return own ? fmt::format("listening on {}, this receiver's key is {}", address, own->key.fingerprint())
               : fmt::format("listening on {}", address);
}

}  // namespace wherry::app
