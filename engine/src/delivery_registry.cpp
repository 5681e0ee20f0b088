// SPDX-License-Identifier: BSD-2-Clause
#include "delivery_registry.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "digest.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

// The same for offers of the same item, whatever else they say.
sha256_digest item_digest(const offer& what) {
    offer_frame same;
    same.what = what;
    same.what.mode.reset();
    same.what.wants_resume = false;
    same.what.id.reset();
    content_digest digest;
    digest.update(encode(same));
    return digest.value();
}

}  // namespace

delivery_registry::connection_number delivery_registry::new_connection() {
    const mutex_lock lock(mutex_);
    return ++last_number_;
}

delivery_registry::claim delivery_registry::take(const claimant& taker, const offer_frame& offered) {
    const auto& what = offered.what;
    const auto& fingerprint = taker.peer.fingerprint;
    // Of peers without a key nobody knows whether they are the same.
    const bool may_go_on_with_item = what.wants_resume && !fingerprint.empty();
    if (!what.id && !may_go_on_with_item) return {std::make_unique<claimed_delivery>(), std::nullopt};

    auto mine = std::make_shared<under_way>(taker.link);
    mine->ends = this;
    mine->fingerprint = fingerprint;
    mine->id = what.id;
    mine->item = item_digest(what);
    mine->wants_resume = what.wants_resume;
    mine->number = taker.number;
    mine->heard = taker.heard;

    auto claimed = std::make_unique<claimed_delivery>(mine);
    const auto came = clock::now();
    const auto silence = clocks::silent_pings * taker.ping_interval;
    mutex_lock lock(mutex_);  // behind `claimed`, which needs it free at its end
    for (;;) {
        std::shared_ptr<under_way> older;
        auto fate = under_way::old_link::leave;
        drop_outdated();
        auto& peer = peers_[fingerprint];
        if (what.id) {
            if (const auto found = peer.results.find(*what.id); found != peer.results.end()) {
                if (found->second.what == mine->item) {
                    found->second.number = taker.number;
                    return {nullptr, found->second.ended};
                }
                // Another item by now, for the source has changed; what was delivered then was another delivery.
                peer.forget_result(found);
                peer.tidy();
            }
            if (const auto found = peer.by_id.find(*what.id); found != peer.by_id.end()) {
                older = found->second;
                fate = under_way::old_link::cut;
                if (older->number == taker.number)
                    throw error(errc::protocol, "the peer offers one delivery twice at the same time");
                // An offer may wait on a connection that its sender has left.
                if (older->number > taker.number)
                    throw error(errc::disconnected,
                                "the same delivery was offered again over a newer connection, which goes on with "
                                "it; send it again later");
            }
        }
        if (!older && may_go_on_with_item) {
            const auto found = peer.by_item.find(mine->item);
            if (found != peer.by_item.end() && found->second->number != taker.number &&
                !taker.living.contains(found->second->number))
                older = found->second;
        }
        if (!older) {
            if (what.id) peer.by_id[*what.id] = mine;
            if (may_go_on_with_item) peer.by_item.try_emplace(mine->item, mine);
            return {std::move(claimed), std::nullopt};
        }
        if (fate == under_way::old_link::leave) {
            const auto heard = older->heard->load();
            // What had been on its way before is heard in the first moments; later it is the peer that speaks.
            if (heard > came + taker.ping_interval) {
                taker.living.insert(older->number);
                continue;
            }
            const auto now = clock::now();
            const auto dead_at = std::min(heard, came) + silence;
            if (now < dead_at) {
                if (taker.must_stop())
                    throw error(errc::disconnected, "the receiver is shutting down; send it again later");
                // A live peer has said PING by then.
                changed_.wait_until(lock, std::min(dead_at, now + taker.ping_interval));
                continue;
            }
        }
        lock.unlock();
        older->take_away(fate);
        lock.lock();
    }
}

void delivery_registry::look_again() noexcept {
    { const mutex_lock lock(mutex_); }
    changed_.notify_all();
}

void delivery_registry::known_peer::forget_result(std::map<delivery_id, remembered_result>::iterator entry) {
    response_bytes -= entry->second.ended.response.size();
    results.erase(entry);
}

// Ids whose results are gone leave the queues, too.
void delivery_registry::known_peer::tidy() {
    const auto is_gone = [&](const delivery_id& id) { return !results.contains(id); };
    std::erase_if(order, is_gone);
    std::erase_if(with_response, is_gone);
}

void delivery_registry::forget(connection_number number, const identity& peer) {
    const mutex_lock lock(mutex_);
    const auto found = peers_.find(peer.fingerprint);
    if (found == peers_.end()) return;
    auto& known = found->second;
    for (auto entry = known.results.begin(); entry != known.results.end();) {
        const auto next = std::next(entry);
        if (entry->second.number == number) known.forget_result(entry);
        entry = next;
    }
    known.tidy();
    if (known.empty()) peers_.erase(found);
}

std::size_t delivery_registry::remembered() const {
    const mutex_lock lock(mutex_);
    std::size_t count = 0;
    for (const auto& [fingerprint, peer] : peers_) count += peer.results.size();
    return count;
}

void delivery_registry::ended(const under_way& what) noexcept {
    const mutex_lock lock(mutex_);
    const auto found = peers_.find(what.fingerprint);
    if (found == peers_.end()) return;
    auto& peer = found->second;
    if (what.id) {
        const auto entry = peer.by_id.find(*what.id);
        if (entry != peer.by_id.end() && entry->second.get() == &what) peer.by_id.erase(entry);
    }
    const auto entry = peer.by_item.find(what.item);
    if (entry != peer.by_item.end() && entry->second.get() == &what) peer.by_item.erase(entry);
    if (peer.empty()) peers_.erase(found);
    changed_.notify_all();
}

void delivery_registry::finished(const under_way& what, earlier_result how) {
    const mutex_lock lock(mutex_);
    auto& peer = peers_[what.fingerprint];
    const auto bytes = how.response.size();
    peer.results.insert_or_assign(*what.id, remembered_result{what.item, std::move(how), clock::now(), what.number});
    peer.order.push_back(*what.id);
    peer.response_bytes += bytes;
    if (bytes > 0) peer.with_response.push_back(*what.id);
    // That it was delivered matters more than what the sink said of it.
    while (peer.response_bytes > limits::max_remembered_response_bytes) {
        auto& oldest = peer.results.at(peer.with_response.front()).ended.response;
        peer.response_bytes -= oldest.size();
        oldest.clear();
        peer.with_response.pop_front();
    }
    if (peer.results.size() <= limits::max_remembered_results) return;
    const auto oldest = peer.order.front();
    peer.forget_result(peer.results.find(oldest));
    peer.order.pop_front();
    if (!peer.with_response.empty() && peer.with_response.front() == oldest) peer.with_response.pop_front();
}

void delivery_registry::drop_outdated() {
    const auto now = clock::now();
    if (now < next_tidying_) return;
    next_tidying_ = now + clocks::tidying_interval;
    for (auto peer = peers_.begin(); peer != peers_.end();) {
        for (auto entry = peer->second.results.begin(); entry != peer->second.results.end();) {
            const auto next = std::next(entry);
            if (now - entry->second.when >= clocks::result_lifetime) peer->second.forget_result(entry);
            entry = next;
        }
        peer->second.tidy();
        peer = peer->second.empty() ? peers_.erase(peer) : std::next(peer);
    }
}

}  // namespace wherry
