// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <random>

#include "descriptor_reserve.hpp"
#include "wherry/forwarding_connection.hpp"
#include "wherry/mutex.hpp"

namespace wherry {

// Records whether a read has returned: bytes, or the end of the stream.
class watched_connection final : public forwarding_connection {
public:
    using forwarding_connection::forwarding_connection;

    bool has_heard() const noexcept { return has_heard_.load(std::memory_order_relaxed); }

    std::size_t read_some(mutable_bytes buffer) override {
        const auto count = forwarding_connection::read_some(buffer);
        if (!has_heard()) has_heard_ = true;
        return count;
    }

private:
    std::atomic<bool> has_heard_{false};
};

// Decides which peers of a server come in, and when:
// - strangers, which have not proved themselves: at the limit the next peer evicts one of them;
// - proved peers that are served: a place each, up to the limit;
// - proved peers that wait for a place, in the order in which they came. At max_waiting no further peer is accepted.
// The thread that accepts asks before each step, and each peer's thread reports how far its peer is.
// Thread-safety: all functions from any thread. A guest's thread calls those with a guest, except arrive(), and leave()
// if that thread could not start.
class admission {
public:
    struct bounds {
        std::size_t max_served, max_unproved, max_waiting;
    };

    // One peer, from arrive() to leave(). Lives longer than both.
    class guest {
    private:
        friend class admission;
        enum class phase { unproved, waiting, served, joined, leaving, gone };

        // The admission's mutex guards what follows, which an annotation here cannot name.
        std::weak_ptr<watched_connection> link;
        std::list<guest*>::iterator place;
        std::chrono::steady_clock::time_point since;
        phase state = phase::unproved;
        bool is_evicted = false;
        condition has_turn;
    };

    // `reserve` outlives it.
    admission(bounds most, const descriptor_reserve& reserve);

    // ---- The thread that accepts ----

    // Waits until the next peer may be accepted. Returns false once stop() was called.
    bool wait_to_accept() { return wait_for_room(false); }
    // Waits until a peer that was accepted may arrive. Returns false once stop() was called.
    bool wait_to_start() { return wait_for_room(true); }
    // Descriptors, memory or threads have run out: evicts a stranger if it can, and waits a little.
    void make_room();

    // ---- One peer ----

    // A stranger comes in. Its connection closes before leave().
    void arrive(guest& peer, const std::shared_ptr<watched_connection>& link);
    // A proved peer has a place if one is free; else it waits, without a place in the line.
    void take_place(guest& peer);
    // It carries a part of another connection, and needs no place of its own.
    void give_place_back(guest& peer);
    // Waits in the line for a place, unless it has one. Returns false if stop() ends the wait.
    bool wait_for_turn(guest& peer);
    // Gives its place to another peer if one waits for it. Returns whether it did; then it must leave.
    bool make_way(guest& peer);
    bool is_evicted(const guest& peer) const;
    void leave(guest& peer);

    // Ends every wait, now and later.
    void stop() noexcept;

private:
    using phase = guest::phase;

    bool wait_for_room(bool is_accepted);
    bool evict_one() WHERRY_REQUIRES(mutex_);
    std::optional<std::chrono::steady_clock::time_point> end_of_rush() const WHERRY_REQUIRES(mutex_);
    std::size_t& count(phase which) WHERRY_REQUIRES(mutex_) { return counts_[static_cast<std::size_t>(which)]; }
    bool has_free_place() WHERRY_REQUIRES(mutex_) { return count(phase::served) < most_.max_served; }
    phase phase_of_proved() WHERRY_REQUIRES(mutex_) { return has_free_place() ? phase::served : phase::waiting; }
    void enter(guest& peer, phase next) WHERRY_REQUIRES(mutex_);
    void give_turns() WHERRY_REQUIRES(mutex_);

    const bounds most_;
    const descriptor_reserve& reserve_;
    const std::size_t most_at_once_;  // of peers that come at the same moment

    mutable mutex mutex_;
    condition changed_;  // for the thread that accepts, as the next
    condition rush_eases_;
    std::size_t to_leave_first_ WHERRY_GUARDED_BY(mutex_) = 0;       // before `rush_eases_` is told
    std::list<guest*> guests_ WHERRY_GUARDED_BY(mutex_);             // in the order of their arrival
    std::deque<guest*> line_ WHERRY_GUARDED_BY(mutex_);              // wait for their turn
    std::array<std::size_t, 6> counts_ WHERRY_GUARDED_BY(mutex_){};  // of guests, by phase; without those evicted
    std::minstd_rand random_engine_ WHERRY_GUARDED_BY(mutex_){std::random_device{}()};
    bool is_stopping_ WHERRY_GUARDED_BY(mutex_) = false;
};

}  // namespace wherry
