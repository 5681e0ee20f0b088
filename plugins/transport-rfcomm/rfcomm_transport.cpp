// SPDX-License-Identifier: BSD-2-Clause
#include "rfcomm_transport.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "adapters.hpp"
#include "bluez_pairing.hpp"
#include "discovery.hpp"
#include "failures.hpp"
#include "find_by_name.hpp"
#include "service_lookup.hpp"
#include "service_record.hpp"
#include "socket_connection.hpp"
#include "wherry/mutex.hpp"
#include "wherry/text.hpp"

namespace wherry::rfcomm {

namespace {

std::string to_string(security level) {
    switch (level) {
        case security::low: return "low";
        case security::medium: return "medium";
        case security::high: return "high";
    }
    return "high";
}

// The queue of a peer's connections that wait to be accepted.
constexpr int backlog = 8;

class rfcomm_listener final : public listener {
public:
    rfcomm_listener(unique_fd socket, std::string address, const options& chosen, std::shared_ptr<connection_gate> gate,
                    const transport::warn_function& warn)
        : socket_(std::move(socket)),
          options_(chosen),
          gate_(std::move(gate)),
          address_(std::move(address)),
          // Once it listens, so that nobody is sent to a closed door.
          registration_(local_name(socket_.get()).device, local_name(socket_.get()).channel, warn) {}

    std::unique_ptr<connection> accept() override {
        // Made first: when descriptors run out, the peer stays in the queue instead of being dropped.
        auto stop = std::make_unique<stop_signal>();
        auto socket = accept_next(socket_.get(), stop_, address_,
                                  [](int code) { return code == ECONNABORTED || code == ECONNRESET; });
        // Without its channel, which is this side's: that is how the peer is called back.
        auto peer = rfcomm::to_string(peer_name(socket.get()).device);
        return std::make_unique<socket_connection>(std::move(socket), std::move(stop), std::move(peer),
                                                   options_.record_bytes, closing::by_reset,
                                                   [gate = gate_] { gate->note_departure(); });
    }

    std::string_view address() const noexcept override { return address_; }
    void abort() noexcept override { stop_.raise(); }

private:
    unique_fd socket_;
    stop_signal stop_;
    options options_;
    std::shared_ptr<connection_gate> gate_;
    std::string address_;
    service_registration registration_;
};

// A listener of one adapter goes before one of all: a channel serves for all only if no adapter has another on it.
bool is_free_on_each(std::uint8_t channel, const std::vector<adapter>& adapters) {
    return std::all_of(adapters.begin(), adapters.end(), [&](const adapter& one) {
        return bind_to(open_socket(security::low).get(), one.address, channel) == 0;
    });
}

// A socket that listens, and where: bound to one adapter, or to all for an address that is any.
unique_fd listen_on(const bluetooth_address& where, std::uint8_t channel, security level,
                    const std::vector<adapter>& adapters) {
    const auto shown = (where.is_any() ? "all adapters" : rfcomm::to_string(where)) +
                       (channel == 0 ? "" : "/" + std::to_string(channel));
    const auto lowest = channel == 0 ? first_channel : channel;
    const auto highest = channel == 0 ? last_channel : channel;
    int failure = EINVAL;
    for (auto candidate = lowest; candidate <= highest; ++candidate) {
        if (!is_free_on_each(candidate, adapters)) {
            failure = EADDRINUSE;
            continue;
        }
        auto socket = open_socket(level);
        failure = bind_to(socket.get(), where, candidate);
        if (failure == 0 && ::listen(socket.get(), backlog) != 0) failure = errno;
        if (failure == 0) return socket;
        if (failure != EADDRINUSE) break;
    }
    fail_listen(shown, channel == 0 && failure == EADDRINUSE ? EINVAL : failure);
}

// Looking for a name leaves time for the connection itself.
constexpr std::chrono::milliseconds longest_search{12'000};

bluetooth_address device_of(const remote_endpoint& where, const adapter& local, std::chrono::milliseconds limit,
                            const stop_signal* stop = nullptr) {
    return where.device ? *where.device : find_by_name(local, where.name, std::min(limit / 2, longest_search), stop);
}

}  // namespace

// Where this side has connected to. Two devices have one connection for each channel: a second attempt would wait for
// the end of the first until its time is over.
class transport::open_channels {
public:
    // Throws if it is there already.
    void enter(const std::string& peer) {
        const mutex_lock lock(mutex_);
        if (!peers_.insert(peer).second)
            throw error(
                errc::unsupported,
                fmt::format("there is a connection to {} already, and Bluetooth has no second one for the same channel",
                            peer));
    }
    void leave(const std::string& peer) noexcept {
        const mutex_lock lock(mutex_);
        peers_.erase(peer);
    }

private:
    mutex mutex_;
    std::set<std::string> peers_ WHERRY_GUARDED_BY(mutex_);
};

transport::transport(options chosen, warn_function warn)
    : options_(std::move(chosen)),
      warn_(std::move(warn)),
      gate_(std::make_shared<connection_gate>()),
      open_(std::make_shared<open_channels>()) {}

std::unique_ptr<connection> transport::connect(const std::string& address) {
    const auto where = parse_remote(address);
    const auto require_not_stopped = [&] {
        if (connect_stop_.raised())
            throw error(errc::cancelled, fmt::format("connecting to {} was stopped", printable(address)));
    };
    require_not_stopped();
    const auto until = deadline_after(options_.connect_timeout);
    auto stop = std::make_unique<stop_signal>();
    const auto local = usable_adapter(options_.adapter);
    // Where none is chosen the kernel finds the one that leads to the device.
    const auto source = options_.adapter.empty() ? bluetooth_address() : local.address;

    socket_name target{device_of(where, local, options_.connect_timeout, &connect_stop_),
                       where.channel == 0 ? options_.channel : where.channel};
    if (target.channel == 0) {
        const auto turn = gate_->enter(until, connect_stop_);
        const auto found = lookup_channel(source, target.device, until, &connect_stop_);
        if (!found) fail_no_service(target.device);
        target.channel = *found;
    }
    auto peer = rfcomm::to_string(target.device, target.channel);
    open_->enter(peer);
    try {
        unique_fd socket;
        if (const int code = connect_to(socket, options_.level, source, target, until, *gate_, connect_stop_)) {
            require_not_stopped();
            fail_connect(target.device, target.channel, to_string(options_.level), code);
        }
        auto let_go = [gate = gate_, open = open_, peer] {
            open->leave(peer);
            gate->note_departure();
        };
        return std::make_unique<socket_connection>(std::move(socket), std::move(stop), peer, options_.record_bytes,
                                                   closing::by_reset, std::move(let_go));
    } catch (...) {
        open_->leave(peer);
        throw;
    }
}

std::unique_ptr<listener> transport::listen(const std::string& address) {
    auto where = parse_local(address);
    if (where.adapter.empty()) where.adapter = options_.adapter;
    if (where.channel == 0) where.channel = options_.channel;
    const auto first = usable_adapter(where.adapter);
    const auto adapters = where.adapter.empty() ? list_adapters() : std::vector<adapter>{first};
    auto socket =
        listen_on(where.adapter.empty() ? bluetooth_address() : first.address, where.channel, options_.level, adapters);
    const auto channel = local_name(socket.get()).channel;
    auto shown = rfcomm::to_string(first.address, channel);
    return std::make_unique<rfcomm_listener>(std::move(socket), std::move(shown), options_, gate_, warn_);
}

void transport::discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) {
    rfcomm::discover(usable_adapter(options_.adapter), limit, found);
}

void transport::pair(const std::string& address, std::chrono::milliseconds limit, pairing_agent& person) {
    const auto where = parse_remote(address);
    const auto local = usable_adapter(options_.adapter);
    rfcomm::pair(local, device_of(where, local, limit), limit, person);
}

}  // namespace wherry::rfcomm
