// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <list>
#include <thread>
#include <utility>

#include "admission.hpp"
#include "delivery_registry.hpp"
#include "descriptor_reserve.hpp"
#include "join_registry.hpp"
#include "raw_receiver.hpp"
#include "wherry/engine/receiver.hpp"
#include "wherry/failure_of.hpp"
#include "wherry/mutex.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

// Proved peers that wait for a place, in places.
constexpr std::size_t waiting_for_each_place = 16;

// Lowers the options to fit the limit of descriptors. An eighth is for the reserve, a quarter for peers that have not
// proved themselves, a quarter for those that have (served or waiting), the rest for deliveries. A connection takes
// two.
server_options within_limit(server_options wished, std::size_t limit) {
    wished.max_connections = std::min(wished.max_connections, std::max<std::size_t>(limit / 16, 1));
    wished.max_unproved = std::min(wished.max_unproved, std::max<std::size_t>(limit / 8, 1));
    return wished;
}

}  // namespace

struct server::implementation {
    // One peer, from accept to the end. Its thread is the only one to change it, except where a mutex is named.
    struct served {
        connection_id id;
        std::shared_ptr<watched_connection> link;  // reset with `mutex` held
        std::jthread thread;
        admission::guest guest;
        wherry::mutex mutex;
        engine::receiver* receiver WHERRY_GUARDED_BY(mutex) = nullptr;  // while it serves this peer
        raw_receiver* raw WHERRY_GUARDED_BY(mutex) = nullptr;           // the same for a raw peer, instead
        bool is_draining WHERRY_GUARDED_BY(mutex) = false;
        std::list<served>::iterator place;  // under the server's mutex
    };

    // Adds the connection to what the receiver tells.
    class forwarding_observer final : public receiving_observer {
    public:
        forwarding_observer(server_observer& observer, connection_id id) : observer_(observer), id_(id) {}
        void receiving(transfer_id t, const offer& what, std::uint64_t resumed_from) override {
            observer_.receiving(id_, t, what, resumed_from);
        }
        void received_so_far(transfer_id t, std::uint64_t bytes) override { observer_.received_so_far(id_, t, bytes); }
        void delivered(transfer_id t, const offer& what, const delivery_result& result) override {
            observer_.delivered(id_, t, what, result);
        }

    private:
        server_observer& observer_;
        const connection_id id_;
    };

    implementation(wherry::listener& listener, wherry::sink& sink, server_protocol protocol, server_options options,
                   server_observer& observer)
        : listener(listener),
          sink(sink),
          protocol(std::move(protocol)),
          wished(options),
          options(within_limit(options, reserve.limit())),
          door({this->options.max_connections, this->options.max_unproved,
                std::min(waiting_for_each_place * this->options.max_connections,
                         std::max<std::size_t>(reserve.limit() / 16, 1))},
               reserve),
          observer(observer),
          joins(options.max_streams) {}

    std::string shortage() const {
        if (options.max_connections == wished.max_connections) return {};
        return fmt::format(
            "this process may have only {} descriptors open, so it serves {} senders at once instead of {}; raise the "
            "limit to {} (ulimit -n, or LimitNOFILE= of a systemd service)",
            reserve.limit(), options.max_connections, wished.max_connections, 16 * wished.max_connections);
    }

    // Accepts peers until the server stops, and returns once all have ended.
    void run() {
        // The connection that is accepted, but has no thread yet.
        std::shared_ptr<watched_connection> next;
        bool is_short = false;
        for (;;) {
            join_ended();
            if (!(next ? door.wait_to_start() : door.wait_to_accept())) break;
            try {
                if (next) {
                    start(next);
                    next.reset();
                    is_short = false;
                } else {
                    next = std::make_shared<watched_connection>(listener.accept());
                }
            } catch (const std::exception& e) {
                const auto failure = failure_of(e);
                if (failure.code() == errc::cancelled) break;
                if (failure.code() != errc::exhausted) {
                    stop(std::chrono::milliseconds(0));
                    end_all();
                    throw;
                }
                if (!std::exchange(is_short, true)) observer.must_wait(failure);
                door.make_room();
            }
        }
        next.reset();
        end_all();
    }

    // Joins threads that have said that they end.
    void join_ended() WHERRY_EXCLUDES(mutex) {
        std::list<served> to_join;
        {
            const mutex_lock lock(mutex);
            to_join.swap(ended);
        }
        for (auto& peer : to_join) peer.thread.join();
    }

    void start(std::shared_ptr<watched_connection> link) {
        const mutex_lock lock(mutex);
        auto& peer = peers.emplace_back();
        peer.place = std::prev(peers.end());
        peer.id = next_id++;
        peer.link = std::move(link);
        bool has_arrived = false;
        try {
            door.arrive(peer.guest, peer.link);
            has_arrived = true;
            peer.thread = std::jthread([this, &peer] { serve(peer); });
        } catch (const std::exception& e) {
            if (has_arrived) door.leave(peer.guest);
            peers.pop_back();
            throw failure_of(e);
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
            failure = failure_of(e);
        }
        if (door.is_evicted(peer.guest))
            failure = error(errc::timed_out, "it had not proved itself, and others were waiting");
        {
            // Closes the link before the place is free, so that descriptors are bounded, too.
            const mutex_lock lock(peer.mutex);
            peer.link.reset();
        }
        observer.disconnected(peer.id, address, failure);
        door.leave(peer.guest);
        const mutex_lock lock(mutex);
        ended.splice(ended.end(), peers, peer.place);
        changed.notify_one();
    }

    void serve_wherry(served& peer) {
        auto opened = secure_channel::open(role::responder, peer.link, *protocol.protection, protocol.cipher_name,
                                           protocol.verify, options.timing);
        observer.connected(peer.id, opened->peer_address(), opened->peer(), opened->describe());
        forwarding_observer forward(observer, peer.id);
        engine::receiver receiver(std::move(opened), sink, forward,
                                  {.verify = protocol.verify,
                                   .deliveries = &deliveries,
                                   .joinable = engine::joinable{joins, peer.id},
                                   .reserve = &reserve});
        const published serving(peer, &served::receiver, receiver);
        // Before it waits for its turn, for what it may want to join has a place, and does not end without it.
        door.take_place(peer.guest);
        if (const auto other = receiver.find_what_it_joins()) {
            door.give_place_back(peer.guest);
            observer.joined(peer.id, *other);
            return receiver.serve();
        }
        // Who is told to stop instead takes leave in serve(), as it has been drained.
        door.wait_for_turn(peer.guest);
        receiver.serve();
    }

    // Lets stop() reach the object that serves a peer, for as long as that object lives.
    template <class Serving>
    class published {
    public:
        published(served& peer, Serving* served::*place, Serving& serving) : peer_(peer), place_(place) {
            const mutex_lock lock(peer_.mutex);
            peer_.*place_ = &serving;
            if (peer_.is_draining) serving.drain();
        }
        ~published() {
            const mutex_lock lock(peer_.mutex);
            peer_.*place_ = nullptr;
        }

    private:
        served& peer_;
        Serving* served::*const place_;
    };

    void serve_raw(served& peer) {
        if (!door.wait_for_turn(peer.guest))
            throw error(
                errc::cancelled,
                "the receiver was stopped before the peer had a place; bytes that it may have sent are not stored");
        observer.connected(peer.id, peer.link->peer_address(), identity(), "none (raw)");
        raw_receiver raw(*peer.link, sink, protocol, observer, peer.id, [&] { return door.make_way(peer.guest); });
        const published serving(peer, &served::raw, raw);
        raw.serve();
    }

    void drain(served& peer) WHERRY_REQUIRES(mutex) {
        const mutex_lock lock(peer.mutex);
        peer.is_draining = true;
        if (peer.receiver)
            peer.receiver->drain();
        else if (peer.raw)
            peer.raw->drain();
        else if (peer.link && protocol.protection)
            peer.link->abort();  // nothing was begun
    }

    enum class deadline { cut_at, none };

    // Waits until every peer has ended; returns false if it is time to cut them before.
    bool await_end(deadline until) WHERRY_EXCLUDES(mutex) {
        for (;;) {
            join_ended();
            mutex_lock lock(mutex);
            if (!ended.empty()) continue;
            if (peers.empty()) return true;
            const auto limit = until == deadline::cut_at ? cut_at : clock::time_point::max();
            if (clock::now() >= limit) return false;
            if (limit == clock::time_point::max())
                changed.wait(lock);
            else
                changed.wait_until(lock, limit);
        }
    }

    void end_all() WHERRY_EXCLUDES(mutex) {
        if (!await_end(deadline::cut_at)) cut_all();
        sink.interrupt();
        await_end(deadline::none);
    }

    void cut_all() WHERRY_EXCLUDES(mutex) {
        const mutex_lock lock(mutex);
        for (auto& peer : peers) {
            const mutex_lock peer_lock(peer.mutex);
            // A receiver gives up what waits to be finished, too.
            if (peer.receiver)
                peer.receiver->abort();
            else if (peer.raw)
                peer.raw->abort();
            else if (peer.link)
                peer.link->abort();
        }
    }

    void stop(std::chrono::milliseconds grace) {
        const mutex_lock lock(mutex);
        cut_at = std::min(cut_at, clock::now() + grace);
        if (!std::exchange(is_stopping, true)) {
            for (auto& peer : peers) drain(peer);
            // Only then, so that a peer that stops waiting for its turn has been drained.
            door.stop();
            // Last, because a listener's plugin may hang in it.
            listener.abort();
        }
        changed.notify_all();
    }

    wherry::listener& listener;
    wherry::sink& sink;
    const server_protocol protocol;
    const descriptor_reserve reserve;
    const server_options wished, options;
    admission door;
    server_observer& observer;
    delivery_registry deliveries;
    join_registry joins;

    wherry::mutex mutex;
    condition changed;                                 // a peer has ended, or the server is to stop
    std::list<served> peers WHERRY_GUARDED_BY(mutex);  // that have not ended
    std::list<served> ended WHERRY_GUARDED_BY(mutex);  // whose threads are to be joined
    connection_id next_id WHERRY_GUARDED_BY(mutex) = 1;
    bool is_stopping WHERRY_GUARDED_BY(mutex) = false;
    clock::time_point cut_at WHERRY_GUARDED_BY(mutex) = clock::time_point::max();
};

server::server(listener& listener, sink& sink, server_protocol protocol, server_options options,
               server_observer& observer)
    : implementation_(std::make_unique<implementation>(listener, sink, std::move(protocol), options, observer)) {}

server::~server() = default;

std::string server::shortage() const { return implementation_->shortage(); }

void server::run() { implementation_->run(); }

void server::stop(std::chrono::milliseconds grace) noexcept { implementation_->stop(grace); }

}  // namespace wherry
