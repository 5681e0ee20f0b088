// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/receiver.hpp"

#include <fmt/format.h>

#include <exception>
#include <thread>

#include "wherry/keys/paths.hpp"
#include "wherry/text.hpp"

namespace wherry {

namespace {

// Who does not want to be told.
server_observer& nobody() {
    static server_observer none;
    return none;
}

void tell(const endpoint& here, host_environment::level level, const std::string& text) {
    if (here.options().log) here.options().log(level, text);
}

}  // namespace

struct receiver::implementation {
    implementation(const endpoint& own_side, std::string_view address, std::unique_ptr<callback_sink> owned, sink* store,
                   const receiver_options& options)
        : here(own_side),
          route(here.find_route(address)),
          protection(options.raw ? nullptr : here.protection()),
          own(std::move(owned)),
          gate(keys::authorized_keys(keys::authorized_keys_path(here.home())),
               protection && protection->is_insecure() ? keyless_peers::accept : keyless_peers::refuse,
               {options.refused ? options.refused
                                : [this](const identity& peer) {
                                      tell(here, host_environment::level::warning,
                                           fmt::format("a sender was not let in: its key {} is not authorised",
                                                       peer.fingerprint));
                                  },
                [this](const std::string& why) {
                    tell(here, host_environment::level::error,
                         fmt::format("no sender can be let in: {}", printable(why)));
                },
                [this](const std::string& text) { tell(here, host_environment::level::warning, text); }}),
          listening(route.link->listen(route.address)),
          address(route.scheme + "://" + std::string(listening->address())),
          server(*listening, own ? *own : *store, protocol(options),
                 {options.max_connections, server_options().max_unproved, options.max_streams, options.timing},
                 options.observer != nullptr ? *options.observer : nobody()) {}

    server_protocol protocol(const receiver_options& options) const {
        server_protocol chosen;
        chosen.protection = protection.get();
        chosen.cipher_name = here.cipher_name();
        chosen.verify = gate.verifier();
        if (options.raw) {
            chosen.raw = options.raw->limits;
            chosen.raw_once = options.raw->once;
        }
        return chosen;
    }

    void serve() {
        if (const auto shortage = server.shortage(); !shortage.empty())
            tell(here, host_environment::level::warning, shortage);
        server.run();
    }

    // In the order in which each uses the ones before.
    const endpoint here;
    const endpoint::route route;
    const std::shared_ptr<cipher> protection;
    const std::unique_ptr<callback_sink> own;
    const sender_gate gate;
    const std::unique_ptr<listener> listening;
    const std::string address;
    wherry::server server;

    std::exception_ptr failure;  // of the thread, when it has ended
    std::jthread thread;
};

receiver::receiver(const endpoint& here, std::string_view address, delivery_callback callback, receiver_options options)
    : implementation_(std::make_unique<implementation>(
          here, address, std::make_unique<callback_sink>(std::move(callback), options.how, options.limits), nullptr,
          options)) {}

receiver::receiver(const endpoint& here, std::string_view address, sink& store, receiver_options options)
    : implementation_(std::make_unique<implementation>(here, address, nullptr, &store, options)) {}

receiver::~receiver() {
    stop(std::chrono::milliseconds(0));
    // Here, because a callback may still call stop(), which needs the implementation.
    if (implementation_->thread.joinable()) implementation_->thread.join();
}

const std::string& receiver::address() const noexcept { return implementation_->address; }

std::size_t receiver::count_keys() const { return implementation_->gate.count_keys(); }

void receiver::run() { implementation_->serve(); }

void receiver::run(std::stop_token stopped, std::chrono::milliseconds grace) {
    const std::stop_callback when_asked(std::move(stopped), [this, grace] { stop(grace); });
    run();
}

void receiver::start() {
    if (implementation_->thread.joinable()) throw error(errc::bad_input, "this receiver was started before");
    implementation_->thread = std::jthread([running = implementation_.get()] {
        try {
            running->serve();
        } catch (...) {
            running->failure = std::current_exception();
        }
    });
}

void receiver::wait() {
    if (implementation_->thread.joinable()) implementation_->thread.join();
    if (const auto failure = std::exchange(implementation_->failure, nullptr)) std::rethrow_exception(failure);
}

void receiver::stop(std::chrono::milliseconds grace) noexcept { implementation_->server.stop(grace); }

}  // namespace wherry
