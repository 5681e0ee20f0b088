// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "application.hpp"
#include "wherry/receiver.hpp"

namespace wherry::app {

// Runs a receiver until a signal ends it, or end(). A first signal lets what is in flight end; a second one cuts it.
class serving {
public:
    explicit serving(application& app) noexcept : app_(app) {}

    struct callbacks {
        std::function<void(const receiver& running)> listening;
        std::function<void()> stopping;  // after the first signal
    };
    // Listens at `address`, without a scheme, and serves. All that is referred to outlives it. Once. Throws error: io
    // if the system refuses the address, as when a port is taken, and what receiver throws.
    void run(const endpoint& here, const std::string& transport_name, const std::string& address, sink& store,
             receiver_options options, const callbacks& tell);

    // Lets what is in flight end, and then ends run(). From any thread.
    void end() noexcept;

    // A signal came before run() was over.
    bool was_stopped() const noexcept { return was_stopped_; }

private:
    application& app_;
    std::atomic<receiver*> running_{nullptr};
    std::atomic<bool> was_stopped_{false};
};

// Uses the transport that the scheme of an argument names, unless the command line chooses one.
void choose_transport_by_address(application& app);

// The events "connected" and "disconnected".
json connected_fields(connection_id id, std::string_view address, const identity& peer, std::string_view cipher);
json disconnected_fields(connection_id id, std::string_view address, const std::optional<error>& failure);

// What a "listening" event begins with. `cipher` is null for raw peers.
json listening_fields(const receiver& running, const std::optional<std::string>& cipher);

// Adds this side's key, where there is one.
void put_own_key(json& fields, const std::optional<keys::public_key_line>& own);

// "listening on tcp://host:9417, this receiver's key is SHA256:..."
std::string listening_line(const receiver& running, const std::optional<keys::public_key_line>& own);

}  // namespace wherry::app
