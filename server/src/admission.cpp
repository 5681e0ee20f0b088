// SPDX-License-Identifier: BSD-2-Clause
#include "admission.hpp"

#include <algorithm>
#include <iterator>
#include <thread>
#include <vector>

#include "wherry/clocks.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

// Peers that come at the same moment are accepted a few at a time; one that takes longer than rush_time delays no
// other. Without this rule a thousand senders take 1.12 of the time (1.10 to 1.13) and 1.11 of the processor time (1.09
// to 1.14): bench/notes.md.
constexpr std::size_t least_at_once = 16, at_once_for_each_processor = 8;

}  // namespace

admission::admission(bounds most, const descriptor_reserve& reserve)
    : most_(most),
      reserve_(reserve),
      most_at_once_(
          std::max<std::size_t>(least_at_once, at_once_for_each_processor * std::thread::hardware_concurrency())) {}

// ---- The thread that accepts ----

bool admission::wait_for_room(bool is_accepted) {
    mutex_lock lock(mutex_);
    for (;;) {
        if (is_stopping_) return false;
        // Peers that proved themselves may crowd; the next one then waits outside.
        if (count(phase::waiting) >= most_.max_waiting) {
            changed_.wait(lock);
            continue;
        }
        if (const auto until = end_of_rush()) {
            to_leave_first_ = most_at_once_ / 2;
            rush_eases_.wait_until(lock, *until,
                                   [&]() WHERRY_REQUIRES(mutex_) { return to_leave_first_ == 0 || is_stopping_; });
            continue;
        }
        // A peer is evicted only for another one that was accepted.
        const bool is_crowded = is_accepted && count(phase::unproved) >= most_.max_unproved;
        // Without any peer no descriptor comes back. The reserve is asked all the same: at its first answer it makes a
        // descriptor of its own, which it could not make once they are scarce.
        const bool lacks_descriptors = !is_accepted && !reserve_.is_half_free() && !guests_.empty();
        if (!is_crowded && !lacks_descriptors) return true;
        // An evicted peer does not count any more, but its descriptors are free a little later.
        if (!evict_one() || lacks_descriptors) changed_.wait_for(lock, clocks::exhausted_pause);
    }
}

void admission::make_room() {
    mutex_lock lock(mutex_);
    evict_one();
    changed_.wait_for(lock, clocks::exhausted_pause);
}

// Evicts a peer that has not proved itself: the oldest one that has sent nothing, or else one at random. If the oldest
// one were evicted instead, a sender would always be evicted when strangers connect at short intervals. Returns false
// if all are within unproved_grace.
bool admission::evict_one() {
    struct candidate {
        guest* peer;
        std::shared_ptr<watched_connection> link;
    };
    std::vector<candidate> silent, others;
    const auto now = clock::now();
    for (auto* const peer : guests_) {
        if (peer->state != phase::unproved || peer->is_evicted || now - peer->since < clocks::unproved_grace) continue;
        auto link = peer->link.lock();
        if (!link) continue;
        auto& group = link->has_heard() ? others : silent;
        group.push_back({peer, std::move(link)});
    }
    if (silent.empty() && others.empty()) return false;
    const auto& chosen = silent.empty() ? others[random_engine_() % others.size()] : silent.front();
    --count(phase::unproved);
    chosen.peer->is_evicted = true;
    chosen.link->abort();
    return true;
}

// When the next peer is accepted at the latest, if many came just now and are still there.
std::optional<clock::time_point> admission::end_of_rush() const {
    if (guests_.size() < most_at_once_) return std::nullopt;
    const auto since = (*std::prev(guests_.end(), static_cast<std::ptrdiff_t>(most_at_once_)))->since;
    return clock::now() - since < clocks::rush_time ? std::optional(since + clocks::rush_time) : std::nullopt;
}

// ---- One peer ----

// Everything that changes a peer's phase comes through here. An evicted peer is as good as gone, and not counted.
void admission::enter(guest& peer, phase next) {
    if (!peer.is_evicted) --count(peer.state), ++count(next);
    peer.state = next;
    if (next == phase::gone) {
        guests_.erase(peer.place);
        if (to_leave_first_ > 0 && --to_leave_first_ == 0) rush_eases_.notify_one();
    }
    give_turns();
    changed_.notify_one();
}

// Only the peer that has a turn is woken: where a thousand wait, waking all for each place would be most of the work.
void admission::give_turns() {
    while (!line_.empty() && has_free_place()) {
        auto& next = *line_.front();
        line_.pop_front();
        enter(next, phase::served);
        next.has_turn.notify_one();
    }
}

void admission::arrive(guest& peer, const std::shared_ptr<watched_connection>& link) {
    const mutex_lock lock(mutex_);
    peer.place = guests_.insert(guests_.end(), &peer);
    peer.link = link;
    peer.since = clock::now();
    ++count(peer.state);
}

void admission::take_place(guest& peer) {
    const mutex_lock lock(mutex_);
    enter(peer, phase_of_proved());
}

void admission::give_place_back(guest& peer) {
    const mutex_lock lock(mutex_);
    enter(peer, phase::joined);
}

bool admission::wait_for_turn(guest& peer) {
    mutex_lock lock(mutex_);
    if (peer.state != phase::served) enter(peer, phase_of_proved());
    if (peer.state == phase::served) return true;
    line_.push_back(&peer);
    peer.has_turn.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return is_stopping_ || peer.state == phase::served; });
    if (peer.state == phase::served) return true;
    std::erase(line_, &peer);
    return false;
}

bool admission::make_way(guest& peer) {
    const mutex_lock lock(mutex_);
    if (line_.empty()) return false;
    enter(peer, phase::leaving);
    return true;
}

bool admission::is_evicted(const guest& peer) const {
    const mutex_lock lock(mutex_);
    return peer.is_evicted;
}

void admission::leave(guest& peer) {
    const mutex_lock lock(mutex_);
    enter(peer, phase::gone);
}

void admission::stop() noexcept {
    const mutex_lock lock(mutex_);
    is_stopping_ = true;
    for (auto* const peer : guests_) peer->has_turn.notify_one();
    changed_.notify_all();
    rush_eases_.notify_all();
}

}  // namespace wherry
