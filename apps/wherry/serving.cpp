// SPDX-License-Identifier: BSD-2-Clause
#include "serving.hpp"

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
    return "listening on " + printable(running.address()) +
           (own ? ", this receiver's key is " + own->key.fingerprint() : std::string());
}

}  // namespace wherry::app
