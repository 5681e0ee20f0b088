#include "wherry/receiver.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <ctime>
#include <exception>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

#include "observer_gate.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

// When descriptors or threads have run out, a connection that ends may bring some back; so may other programs.
constexpr std::chrono::milliseconds exhausted_pause{200};

error as_error(const std::exception& e) {
    if (const auto* const known = dynamic_cast<const error*>(&e)) return *known;
    return error(errc::internal, e.what());
}

// What a raw peer sends has no name of its own.
std::string raw_name(connection_id id) {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::array<char, 32> stamp{};
    std::strftime(stamp.data(), stamp.size(), "%Y%m%dT%H%M%SZ", &utc);
    return "raw-" + std::string(stamp.data()) + "-" + std::to_string(id);
}

class discarded_response final : public response {
public:
    using response::append;
    void append(const_bytes) override {}
};

}  // namespace

struct receiver::implementation {
    // One peer, from accept to the end. Its thread is the only one to change it, except under `mutex`.
    struct served {
        connection_id id;
        std::shared_ptr<connection> link;
        std::thread thread;
        std::mutex mutex;
        exchange* trading = nullptr;  // while it serves
        bool is_draining = false;
        bool has_ended = false;  // under the receiver's mutex
    };

    // Adds the connection to what the exchange tells.
    class forwarding_observer final : public exchange_observer {
    public:
        forwarding_observer(receiver_observer& to, connection_id id) : to_(to), id_(id) {}
        void receiving(transfer_id t, const offer& what, std::uint64_t resumed_from) override {
            to_.receiving(id_, t, what, resumed_from);
        }
        void received_so_far(transfer_id t, std::uint64_t bytes) override { to_.received_so_far(id_, t, bytes); }
        void delivered(transfer_id t, const offer& what, const delivery_result& result) override {
            to_.delivered(id_, t, what, result);
        }

    private:
        receiver_observer& to_;
        const connection_id id_;
    };

    implementation(listener& from, sink& into, receiver_protocol protocol, receiver_options options,
                   receiver_observer& observer)
        : from(from), into(into), protocol(std::move(protocol)), options(options), observer(observer) {}

    void run() {
        while (wait_for_a_place()) {
            try {
                std::shared_ptr<connection> link = from.accept();
                start(std::move(link));
            } catch (const error& e) {
                if (e.code() == errc::cancelled) break;
                if (e.code() != errc::exhausted) {
                    stop(std::chrono::milliseconds(0));
                    end_all();
                    throw;
                }
                std::unique_lock lock(mutex);
                changed.wait_for(lock, exhausted_pause);
            }
        }
        end_all();
    }

    // False once it is stopping.
    bool wait_for_a_place() {
        std::unique_lock lock(mutex);
        reap();
        changed.wait(lock, [&] {
            reap();
            return is_stopping || peers.size() < options.max_connections;
        });
        return !is_stopping;
    }

    // Under `mutex`: joins threads that have said that they end.
    void reap() {
        peers.remove_if([](served& peer) {
            if (!peer.has_ended) return false;
            peer.thread.join();
            return true;
        });
    }

    void start(std::shared_ptr<connection> link) {
        const std::lock_guard lock(mutex);
        auto& peer = peers.emplace_back();
        peer.id = next_id++;
        peer.link = std::move(link);
        try {
            peer.thread = std::thread([this, &peer] { serve(peer); });
        } catch (const std::system_error&) {
            peers.pop_back();
            throw error(errc::exhausted, "no thread could be started for another connection");
        }
        // stop() may have come between accept() and here.
        if (is_stopping) drain(peer);
    }

    void serve(served& peer) {
        std::optional<error> failure;
        const std::string address(peer.link->peer_address());
        try {
            if (protocol.protection)
                serve_wherry(peer);
            else
                serve_raw(peer);
        } catch (const std::exception& e) {
            failure = as_error(e);
        }
        {
            // Closes the link before the place is free, so that descriptors are bounded, too.
            const std::lock_guard lock(peer.mutex);
            peer.link.reset();
        }
        observer.disconnected(peer.id, address, failure);
        const std::lock_guard lock(mutex);
        peer.has_ended = true;
        changed.notify_all();
    }

    void serve_wherry(served& peer) {
        auto opened = session::open(role::responder, peer.link, *protocol.protection, protocol.cipher_name,
                                    protocol.verify, options.timing);
        observer.connected(peer.id, opened->peer_address(), opened->peer(), opened->describe());
        forwarding_observer forward(observer, peer.id);
        exchange trading(std::move(opened), &into, {options.timing, exchange_options::digest::none}, forward);
        const published_exchange published(peer, trading);
        trading.serve();
    }

    // Lets stop() reach the exchange for as long as it lives.
    class published_exchange {
    public:
        published_exchange(served& peer, exchange& trading) : peer_(peer) {
            const std::lock_guard lock(peer_.mutex);
            peer_.trading = &trading;
            if (peer_.is_draining) trading.drain();
        }
        ~published_exchange() {
            const std::lock_guard lock(peer_.mutex);
            peer_.trading = nullptr;
        }

    private:
        served& peer_;
    };

    void serve_raw(served& peer) {
        const identity nobody;
        observer.connected(peer.id, peer.link->peer_address(), nobody, "none (raw)");
        offer what;
        what.kind = item_kind::data;
        what.name = raw_name(peer.id);
        constexpr transfer_id only = 1;
        std::unique_ptr<delivery> going_into;
        std::uint64_t bytes = 0;
        delivery_result result;
        discarded_response response;
        try {
            const auto received = receive_all(*peer.link, protocol.raw, [&](const_bytes piece) {
                // Who connects and says nothing has delivered nothing.
                if (!going_into) {
                    going_into = into.begin(what, {peer.link->peer_address(), nobody});
                    observer.receiving(peer.id, only, what, 0);
                }
                going_into->write(piece);
                bytes += piece.size();
                observer.received_so_far(peer.id, only, bytes);
            });
            if (received.how == receive_end::limit)
                throw error(errc::exhausted, "the peer sent more than the limit of " +
                                                 std::to_string(protocol.raw.max_bytes) +
                                                 " bytes; nothing of it is kept");
            if (!going_into) return;
            result.text = "ended: " + std::string(to_string(received.how));
            going_into->finish(response);
        } catch (const std::exception& e) {
            if (going_into) going_into->abort(delivery::partial::drop);
            result = failed(as_error(e));
        }
        result.bytes = bytes;
        observer.delivered(peer.id, only, what, result);
    }

    // Under `mutex`.
    void drain(served& peer) {
        const std::lock_guard lock(peer.mutex);
        peer.is_draining = true;
        if (peer.trading)
            peer.trading->drain();
        else if (peer.link && protocol.protection)
            peer.link->abort();  // nothing was begun
    }

    void end_all() {
        std::unique_lock lock(mutex);
        const auto all_have_ended = [&] {
            reap();
            return peers.empty();
        };
        for (;;) {
            if (all_have_ended()) return;
            if (clock::now() >= cut_at) break;
            if (cut_at == clock::time_point::max())
                changed.wait(lock);
            else
                changed.wait_until(lock, cut_at);
        }
        for (auto& peer : peers) {
            const std::lock_guard peer_lock(peer.mutex);
            if (peer.link) peer.link->abort();
        }
        changed.wait(lock, all_have_ended);
    }

    void stop(std::chrono::milliseconds grace) {
        const std::lock_guard lock(mutex);
        cut_at = std::min(cut_at, clock::now() + grace);
        if (!std::exchange(is_stopping, true)) {
            from.abort();
            for (auto& peer : peers) drain(peer);
        }
        changed.notify_all();
    }

    listener& from;
    sink& into;
    const receiver_protocol protocol;
    const receiver_options options;
    receiver_observer& observer;

    std::mutex mutex;
    std::condition_variable changed;
    std::list<served> peers;
    connection_id next_id = 1;
    bool is_stopping = false;
    clock::time_point cut_at = clock::time_point::max();
};

receiver::receiver(listener& from, sink& into, receiver_protocol protocol, receiver_options options,
                   receiver_observer& observer)
    : implementation_(std::make_unique<implementation>(from, into, std::move(protocol), options, observer)) {}

receiver::~receiver() = default;

void receiver::run() { implementation_->run(); }

void receiver::stop(std::chrono::milliseconds grace) noexcept { implementation_->stop(grace); }

}  // namespace wherry
