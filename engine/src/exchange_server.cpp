#include "wherry/exchange_server.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <list>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "delivery_registry.hpp"
#include "descriptor_reserve.hpp"
#include "join_registry.hpp"
#include "raw_receiver.hpp"
#include "wherry/as_error.hpp"
#include "wherry/clocks.hpp"
#include "wherry/exchange.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

// Peers that come at the same moment are dealt with a few at a time, as far as they are quick: a thousand that all wait
// for one another take longer, and more memory and threads, than a thousand in a row. Who takes longer than rush_time
// holds up nobody.
constexpr std::size_t least_at_once = 16, at_once_for_each_processor = 8;
// Proved peers that wait for a place, in places.
constexpr std::size_t waiting_for_each_place = 16;

// Records whether the peer has sent anything.
class watched_connection final : public connection {
public:
    using connection::write_all;

    explicit watched_connection(std::unique_ptr<connection> inner) : inner_(std::move(inner)) {}

    bool has_heard() const noexcept { return has_heard_.load(std::memory_order_relaxed); }

    std::size_t read_some(mutable_bytes into) override {
        const auto count = inner_->read_some(into);
        if (!has_heard()) has_heard_ = true;
        return count;
    }
    void write_all(std::span<const const_bytes> pieces) override { inner_->write_all(pieces); }
    void shutdown_write() override { inner_->shutdown_write(); }
    void set_read_timeout(std::chrono::milliseconds timeout) noexcept override { inner_->set_read_timeout(timeout); }
    void set_write_timeout(std::chrono::milliseconds timeout) noexcept override { inner_->set_write_timeout(timeout); }
    void abort() noexcept override { inner_->abort(); }
    std::string_view peer_address() const noexcept override { return inner_->peer_address(); }
    std::size_t record_bytes() const noexcept override { return inner_->record_bytes(); }

private:
    const std::unique_ptr<connection> inner_;
    std::atomic<bool> has_heard_{false};
};

// Lowers the options to fit the limit of descriptors. An eighth is for the reserve, a quarter for peers that have not
// proved themselves, a quarter for those that have (served or waiting), the rest for deliveries. A connection takes
// two.
server_options within_limit(server_options wished, std::size_t limit) {
    wished.max_connections = std::min(wished.max_connections, std::max<std::size_t>(limit / 16, 1));
    wished.max_unproved = std::min(wished.max_unproved, std::max<std::size_t>(limit / 8, 1));
    return wished;
}

}  // namespace

struct exchange_server::implementation {
    // One peer, from accept to the end. Its thread is the only one to change it, except under `mutex`.
    struct served {
        connection_id id;
        std::shared_ptr<watched_connection> link;
        std::jthread thread;
        mutable std::mutex mutex;
        exchange* trading = nullptr;  // while it serves this peer
        raw_receiver* raw = nullptr;  // the same for a raw peer, instead
        bool is_draining = false;
        // Under the server's mutex.
        std::list<served>::iterator place;
        enum class phase { unproved, waiting, served, joined, leaving, ended } at = phase::unproved;
        const clock::time_point since = clock::now();
        bool is_evicted = false;
        std::condition_variable has_turn;
    };
    using phase = served::phase;

    // Adds the connection to what the exchange tells.
    class forwarding_observer final : public exchange_observer {
    public:
        forwarding_observer(server_observer& to, connection_id id) : to_(to), id_(id) {}
        void receiving(transfer_id t, const offer& what, std::uint64_t resumed_from) override {
            to_.receiving(id_, t, what, resumed_from);
        }
        void received_so_far(transfer_id t, std::uint64_t bytes) override { to_.received_so_far(id_, t, bytes); }
        void delivered(transfer_id t, const offer& what, const delivery_result& result) override {
            to_.delivered(id_, t, what, result);
        }

    private:
        server_observer& to_;
        const connection_id id_;
    };

    implementation(listener& from, sink& into, server_protocol protocol, server_options options,
                   server_observer& observer)
        : from(from),
          into(into),
          protocol(std::move(protocol)),
          wished(options),
          options(within_limit(options, reserve.limit())),
          most_waiting(std::min(waiting_for_each_place * this->options.max_connections,
                                std::max<std::size_t>(reserve.limit() / 16, 1))),
          observer(observer),
          joins(options.max_streams) {}

    std::string shortage() const {
        if (options.max_connections == wished.max_connections) return {};
        return "this process may have only " + std::to_string(reserve.limit()) + " descriptors open, so it serves " +
               std::to_string(options.max_connections) + " senders at once instead of " +
               std::to_string(wished.max_connections) + "; raise the limit to " +
               std::to_string(16 * wished.max_connections) + " (ulimit -n, or LimitNOFILE= of a systemd service)";
    }

    void run() {
        // The connection that is accepted, but has no thread yet.
        std::shared_ptr<watched_connection> next;
        while (wait_for_a_place(next != nullptr)) {
            try {
                if (next) {
                    start(next);
                    next.reset();
                } else {
                    next = std::make_shared<watched_connection>(from.accept());
                }
            } catch (const error& e) {
                if (e.code() == errc::cancelled) break;
                if (e.code() != errc::exhausted) {
                    stop(std::chrono::milliseconds(0));
                    end_all();
                    throw;
                }
                std::unique_lock lock(mutex);
                evict_one();
                changed.wait_for(lock, clocks::exhausted_pause);
            }
        }
        next.reset();
        end_all();
    }

    // Waits before the next peer is accepted, and again before its thread starts. Returns false once the server stops.
    bool wait_for_a_place(bool is_accepted) {
        std::unique_lock lock(mutex);
        for (;;) {
            reap(lock);
            if (is_stopping) return false;
            // Peers that proved themselves may crowd; who comes then waits outside.
            if (count(phase::waiting) >= most_waiting) {
                changed.wait(lock);
                continue;
            }
            if (const auto until = end_of_rush()) {
                to_end_first = most_at_once / 2;
                rush_eases.wait_until(lock, *until, [&] { return to_end_first == 0 || is_stopping; });
                continue;
            }
            // A peer is evicted only for another one that was accepted.
            const bool is_crowded = is_accepted && count(phase::unproved) >= options.max_unproved;
            // Without any peer no descriptor comes back. The reserve is asked all the same: at its first answer it
            // makes a descriptor of its own, which it could not make once they are scarce.
            const bool lacks_descriptors = !is_accepted && !reserve.is_half_free() && !peers.empty();
            if (!is_crowded && !lacks_descriptors) return true;
            // An evicted peer does not count any more, but its descriptors are free a little later.
            if (!evict_one() || lacks_descriptors) changed.wait_for(lock, clocks::exhausted_pause);
        }
    }

    // Evicts a peer that has not proved itself: the oldest one that has sent nothing, or else one at random. If the
    // oldest one were evicted instead, a sender would always be evicted when strangers connect at short intervals.
    // Returns false if all are within unproved_grace.
    bool evict_one() {
        std::vector<served*> silent, others;
        const auto now = clock::now();
        for (auto& peer : peers) {
            if (peer.at != phase::unproved || peer.is_evicted || now - peer.since < clocks::unproved_grace) continue;
            const std::lock_guard peer_lock(peer.mutex);
            if (peer.link) (peer.link->has_heard() ? others : silent).push_back(&peer);
        }
        if (silent.empty() && others.empty()) return false;
        auto& chosen = silent.empty() ? *others[random_engine() % others.size()] : *silent.front();
        --count(phase::unproved);
        chosen.is_evicted = true;
        const std::lock_guard peer_lock(chosen.mutex);
        if (chosen.link) chosen.link->abort();
        return true;
    }

    // Under `mutex`, as the next four and evict_one().

    // When the next peer is accepted at the latest, if many came just now and are still there.
    std::optional<clock::time_point> end_of_rush() const {
        if (peers.size() < most_at_once) return std::nullopt;
        const auto since = std::prev(peers.end(), static_cast<std::ptrdiff_t>(most_at_once))->since;
        return clock::now() - since < clocks::rush_time ? std::optional(since + clocks::rush_time) : std::nullopt;
    }

    std::size_t& count(phase which) { return counts[static_cast<std::size_t>(which)]; }

    // Everything that changes a peer's phase comes through here. Those that make room are as good as gone, and not
    // counted.
    void enter(served& peer, phase to) {
        if (!peer.is_evicted) --count(peer.at), ++count(to);
        peer.at = to;
        if (to == phase::ended) {
            ended.splice(ended.end(), peers, peer.place);
            if (to_end_first > 0 && --to_end_first == 0) rush_eases.notify_one();
        }
        give_turns();
        changed.notify_one();
    }

    // Only who has a turn is woken: where a thousand wait, waking all for each place would be most of the work.
    void give_turns() {
        while (!in_line.empty() && count(phase::served) < options.max_connections) {
            auto& next = *in_line.front();
            in_line.pop_front();
            enter(next, phase::served);
            next.has_turn.notify_one();
        }
    }

    phase phase_of_proved() { return count(phase::served) < options.max_connections ? phase::served : phase::waiting; }

    // A proved peer has a place if one is free; else it waits.
    void take_place(served& peer) {
        const std::lock_guard lock(mutex);
        enter(peer, phase_of_proved());
    }

    void give_place_back(served& peer) {
        const std::lock_guard lock(mutex);
        enter(peer, phase::joined);
    }

    // A proved peer's turn to be served; meanwhile its exchange says PING. False once it is stopping.
    bool wait_for_turn(served& peer) {
        std::unique_lock lock(mutex);
        if (peer.at != phase::served) enter(peer, phase_of_proved());
        if (peer.at == phase::served) return true;
        in_line.push_back(&peer);
        peer.has_turn.wait(lock, [&] { return is_stopping || peer.at == phase::served; });
        if (peer.at == phase::served) return true;
        std::erase(in_line, &peer);
        return false;
    }

    // Joins threads that have said that they end; what holds `mutex` lets go of it meanwhile.
    void reap(std::unique_lock<std::mutex>& lock) {
        if (ended.empty()) return;
        auto to_join = std::exchange(ended, {});
        lock.unlock();
        for (auto& peer : to_join) peer.thread.join();
        lock.lock();
    }

    // After those that ended are gone.
    bool has_any(std::unique_lock<std::mutex>& lock) {
        while (!ended.empty()) reap(lock);
        return !peers.empty();
    }

    void start(std::shared_ptr<watched_connection> link) {
        const std::lock_guard lock(mutex);
        auto& peer = peers.emplace_back();
        peer.place = std::prev(peers.end());
        ++count(peer.at);
        peer.id = next_id++;
        peer.link = std::move(link);
        try {
            peer.thread = std::jthread([this, &peer] { serve(peer); });
        } catch (const std::exception&) {
            --count(peer.at);
            peers.pop_back();
            throw error(errc::exhausted, "there is no thread or no memory for another connection");
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
        if (was_asked_for_room(peer))
            failure = error(errc::timed_out, "it had not proved itself, and others were waiting");
        {
            // Closes the link before the place is free, so that descriptors are bounded, too.
            const std::lock_guard lock(peer.mutex);
            peer.link.reset();
        }
        observer.disconnected(peer.id, address, failure);
        const std::lock_guard lock(mutex);
        enter(peer, phase::ended);
    }

    bool was_asked_for_room(const served& peer) {
        const std::lock_guard lock(mutex);
        return peer.is_evicted;
    }

    void serve_wherry(served& peer) {
        auto opened = session::open(role::responder, peer.link, *protocol.protection, protocol.cipher_name,
                                    protocol.verify, options.timing);
        observer.connected(peer.id, opened->peer_address(), opened->peer(), opened->describe());
        forwarding_observer forward(observer, peer.id);
        exchange_options how;
        how.timing = options.timing;
        how.verify = protocol.verify;
        exchange trading(std::move(opened), &into, std::move(how), forward, &deliveries, joinable{joins, peer.id},
                         &reserve);
        const published serving(peer, peer.trading, trading);
        // Before it waits for its turn, for what it may want to join has a place, and does not end without it.
        take_place(peer);
        if (const auto other = trading.find_what_it_joins()) {
            give_place_back(peer);
            observer.joined(peer.id, *other);
            return trading.serve();
        }
        // Who is told to stop instead takes leave in serve(), as it has been drained.
        wait_for_turn(peer);
        trading.serve();
    }

    // Lets stop() reach the object that serves a peer, for as long as that object lives.
    template <class Serving>
    class published {
    public:
        published(served& peer, Serving*& place, Serving& serving) : peer_(peer), place_(place) {
            const std::lock_guard lock(peer_.mutex);
            place_ = &serving;
            if (peer_.is_draining) serving.drain();
        }
        ~published() {
            const std::lock_guard lock(peer_.mutex);
            place_ = nullptr;
        }

    private:
        served& peer_;
        Serving*& place_;
    };

    void serve_raw(served& peer) {
        if (!wait_for_turn(peer))
            throw error(
                errc::cancelled,
                "the receiver was stopped before the peer had a place; bytes that it may have sent are not stored");
        observer.connected(peer.id, peer.link->peer_address(), identity(), "none (raw)");
        raw_receiver raw(*peer.link, into, protocol, observer, peer.id, [&] { return must_leave(peer); });
        const published serving(peer, peer.raw, raw);
        raw.serve();
    }

    // Releases a silent peer's place if another peer waits for one: one place for each. Returns whether it did.
    bool must_leave(served& peer) {
        const std::lock_guard lock(mutex);
        if (in_line.empty()) return false;
        enter(peer, phase::leaving);
        return true;
    }

    // Under `mutex`.
    void drain(served& peer) {
        const std::lock_guard lock(peer.mutex);
        peer.is_draining = true;
        if (peer.trading)
            peer.trading->drain();
        else if (peer.raw)
            peer.raw->drain();
        else if (peer.link && protocol.protection)
            peer.link->abort();  // nothing was begun
    }

    void end_all() {
        std::unique_lock lock(mutex);
        while (has_any(lock)) {
            if (clock::now() >= cut_at) break;
            if (cut_at == clock::time_point::max())
                changed.wait(lock);
            else
                changed.wait_until(lock, cut_at);
        }
        for (auto& peer : peers) {
            const std::lock_guard peer_lock(peer.mutex);
            // An exchange gives up what waits to be finished, too.
            if (peer.trading)
                peer.trading->abort();
            else if (peer.raw)
                peer.raw->abort();
            else if (peer.link)
                peer.link->abort();
        }
        lock.unlock();
        into.interrupt();
        lock.lock();
        while (has_any(lock)) changed.wait(lock);
    }

    void stop(std::chrono::milliseconds grace) {
        const std::lock_guard lock(mutex);
        cut_at = std::min(cut_at, clock::now() + grace);
        if (!std::exchange(is_stopping, true)) {
            for (auto& peer : peers) {
                drain(peer);
                peer.has_turn.notify_one();
            }
            // Last, because a listener's plugin may hang in it.
            from.abort();
        }
        changed.notify_all();
        rush_eases.notify_all();
    }

    listener& from;
    sink& into;
    const server_protocol protocol;
    const descriptor_reserve reserve;
    const server_options wished, options;
    const std::size_t most_waiting;  // of proved peers without a place
    server_observer& observer;
    delivery_registry deliveries;
    join_registry joins;

    std::mutex mutex;
    std::condition_variable changed;
    const std::size_t most_at_once =
        std::max<std::size_t>(least_at_once, at_once_for_each_processor* std::thread::hardware_concurrency());
    std::condition_variable rush_eases;   // for the thread that accepts
    std::size_t to_end_first = 0;         // before it is told
    std::list<served> peers;              // that have not ended
    std::list<served> ended;              // whose threads are to be joined
    std::array<std::size_t, 6> counts{};  // of peers, by phase
    std::deque<served*> in_line;          // wait for their turn
    std::minstd_rand random_engine{std::random_device{}()};
    connection_id next_id = 1;
    bool is_stopping = false;
    clock::time_point cut_at = clock::time_point::max();
};

exchange_server::exchange_server(listener& from, sink& into, server_protocol protocol, server_options options,
                                 server_observer& observer)
    : implementation_(std::make_unique<implementation>(from, into, std::move(protocol), options, observer)) {}

exchange_server::~exchange_server() = default;

std::string exchange_server::shortage() const { return implementation_->shortage(); }

void exchange_server::run() { implementation_->run(); }

void exchange_server::stop(std::chrono::milliseconds grace) noexcept { implementation_->stop(grace); }

}  // namespace wherry
