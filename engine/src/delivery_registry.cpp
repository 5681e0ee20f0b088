#include "delivery_registry.hpp"

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

#include "digest.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

// How often a wait for another connection looks at it.
constexpr std::chrono::milliseconds look_every{50};

// The same for offers of the same item, whatever else they say.
sha256_digest item_digest(const offer& what) {
    offer_frame same;
    same.what = what;
    same.what.mode.reset();
    same.what.wants_resume = false;
    content_digest digest;
    digest.update(encode(same));
    return digest.value();
}

error gone_on_elsewhere() {
    return error(errc::refused, "the same item was offered again over a newer connection, which goes on with it");
}

}  // namespace

// What two connections may want at the same time. `mutex` is held during every call into the sink, so whoever has it
// and finds `into` there may end it. Locked before the registry's mutex, never after it.
struct delivery_registry::under_way {
    // Without a registry there is nobody to share it with.
    delivery_registry* registry = nullptr;
    std::string fingerprint;
    std::optional<delivery_id> id;
    sha256_digest item{};
    bool wants_resume = false;
    connection_number number = 0;
    std::shared_ptr<const last_heard> heard;

    std::mutex mutex;
    std::unique_ptr<delivery> into;
    std::uint64_t offset = 0;
    bool is_over = false;
    bool is_taken = false;       // by a newer attempt
    connection* link = nullptr;  // alive while it is not over

    // Under `mutex`.
    void end() noexcept {
        if (std::exchange(is_over, true)) return;
        into.reset();
        link = nullptr;
        if (registry) registry->ended(*this);
    }
    delivery& still_ours() {
        if (is_taken) throw gone_on_elsewhere();
        if (!into) throw error(errc::internal, "a delivery is used after its end");
        return *into;
    }

    // Takes it away from its connection, unless it is over by then.
    enum class old_link { leave, cut };
    void take_away(old_link then) noexcept {
        const std::lock_guard lock(mutex);
        if (is_over) return;
        is_taken = true;
        if (into) into->abort(wants_resume ? delivery::partial::keep : delivery::partial::drop);
        if (then == old_link::cut) link->abort();
        end();
    }
};

// ---- The registry ----

delivery_registry::connection_number delivery_registry::new_connection() {
    const std::lock_guard lock(mutex_);
    return ++last_number_;
}

delivery_registry::claim delivery_registry::take(const claimant& by, const offer_frame& offered) {
    const auto& what = offered.what;
    const auto& fingerprint = by.peer.fingerprint;
    // Of peers without a key nobody knows whether they are the same.
    const bool may_go_on_with_item = what.wants_resume && !fingerprint.empty();
    if (!offered.id && !may_go_on_with_item) return {std::make_unique<claimed_delivery>(), std::nullopt};

    auto mine = std::make_shared<under_way>();
    mine->registry = this;
    mine->fingerprint = fingerprint;
    mine->id = offered.id;
    mine->item = item_digest(what);
    mine->wants_resume = what.wants_resume;
    mine->number = by.number;
    mine->heard = by.heard;
    mine->link = &by.link;

    auto into = std::make_unique<claimed_delivery>(mine);
    const auto came = clock::now();
    const auto silence = clocks::silent_pings * by.ping_interval;
    for (;;) {
        std::shared_ptr<under_way> older;
        auto then = under_way::old_link::leave;
        {
            const std::lock_guard lock(mutex_);
            drop_outdated();
            auto& peer = peers_[fingerprint];
            if (offered.id) {
                if (const auto found = peer.results.find(*offered.id); found != peer.results.end()) {
                    if (found->second.what == mine->item) {
                        found->second.number = by.number;
                        return {nullptr, found->second.ended};
                    }
                    // Another item by now, for the source has changed; what was delivered then was another delivery.
                    peer.forget_result(found);
                    peer.tidy();
                }
                if (const auto found = peer.by_id.find(*offered.id); found != peer.by_id.end()) {
                    older = found->second;
                    then = under_way::old_link::cut;
                    if (older->number == by.number)
                        throw error(errc::protocol, "the peer offers one delivery twice at the same time");
                    // An offer may wait on a connection that its sender has left.
                    if (older->number > by.number)
                        throw error(errc::disconnected,
                                    "the same delivery was offered again over a newer connection, which goes on with "
                                    "it; send it again later");
                }
            }
            if (!older && may_go_on_with_item) {
                const auto found = peer.by_item.find(mine->item);
                if (found != peer.by_item.end() && found->second->number != by.number &&
                    !by.living.contains(found->second->number))
                    older = found->second;
            }
            if (!older) {
                if (offered.id) peer.by_id[*offered.id] = mine;
                if (may_go_on_with_item) peer.by_item.try_emplace(mine->item, mine);
                return {std::move(into), std::nullopt};
            }
        }
        if (then == under_way::old_link::leave) {
            const auto now = clock::now();
            const auto heard = older->heard->load();
            const bool seems_dead = now - heard >= silence || now - came >= silence;
            // What had been on its way before is heard in the first moments; later it is the peer that speaks.
            if (heard > came + by.ping_interval) {
                by.living.insert(older->number);
                continue;
            }
            if (!seems_dead) {
                if (by.must_stop())
                    throw error(errc::disconnected, "the receiver is shutting down; send it again later");
                std::this_thread::sleep_for(std::min(look_every, by.ping_interval));
                continue;
            }
        }
        older->take_away(then);
    }
}

void delivery_registry::known_peer::forget_result(std::map<delivery_id, remembered_result>::iterator at) {
    response_bytes -= at->second.ended.response.size();
    results.erase(at);
}

// Ids whose results are gone leave the queues, too.
void delivery_registry::known_peer::tidy() {
    const auto is_gone = [&](const delivery_id& id) { return !results.contains(id); };
    std::erase_if(order, is_gone);
    std::erase_if(with_response, is_gone);
}

void delivery_registry::forget(connection_number number, const identity& peer) {
    const std::lock_guard lock(mutex_);
    const auto found = peers_.find(peer.fingerprint);
    if (found == peers_.end()) return;
    auto& known = found->second;
    for (auto at = known.results.begin(); at != known.results.end();) {
        const auto next = std::next(at);
        if (at->second.number == number) known.forget_result(at);
        at = next;
    }
    known.tidy();
    if (known.empty()) peers_.erase(found);
}

std::size_t delivery_registry::remembered() const {
    const std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (const auto& [fingerprint, peer] : peers_) count += peer.results.size();
    return count;
}

void delivery_registry::ended(const under_way& what) noexcept {
    const std::lock_guard lock(mutex_);
    const auto found = peers_.find(what.fingerprint);
    if (found == peers_.end()) return;
    auto& peer = found->second;
    if (what.id) {
        const auto at = peer.by_id.find(*what.id);
        if (at != peer.by_id.end() && at->second.get() == &what) peer.by_id.erase(at);
    }
    const auto at = peer.by_item.find(what.item);
    if (at != peer.by_item.end() && at->second.get() == &what) peer.by_item.erase(at);
    if (peer.empty()) peers_.erase(found);
}

void delivery_registry::finished(const under_way& what, outcome how) {
    const std::lock_guard lock(mutex_);
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

// Under `mutex_`.
void delivery_registry::drop_outdated() {
    const auto now = clock::now();
    if (now < next_tidying_) return;
    next_tidying_ = now + clocks::tidying_interval;
    for (auto peer = peers_.begin(); peer != peers_.end();) {
        for (auto at = peer->second.results.begin(); at != peer->second.results.end();) {
            const auto next = std::next(at);
            if (now - at->second.when >= clocks::result_lifetime) peer->second.forget_result(at);
            at = next;
        }
        peer->second.tidy();
        peer = peer->second.empty() ? peers_.erase(peer) : std::next(peer);
    }
}

// ---- A delivery under a claim ----

claimed_delivery::claimed_delivery() : shared_(std::make_shared<delivery_registry::under_way>()) {}

claimed_delivery::claimed_delivery(std::shared_ptr<delivery_registry::under_way> shared) noexcept
    : shared_(std::move(shared)) {}

claimed_delivery::~claimed_delivery() {
    const std::lock_guard lock(shared_->mutex);
    shared_->end();
}

void claimed_delivery::begin(const std::function<std::unique_ptr<delivery>()>& begin_in_sink) {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->is_taken) throw gone_on_elsewhere();
    shared_->into = begin_in_sink();
    if (!shared_->into) throw error(errc::internal, "the sink accepted without a delivery");
    shared_->offset = shared_->into->offset();
}

void claimed_delivery::drop() noexcept {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->into) return;
    shared_->into->abort(delivery::partial::drop);
    shared_->into.reset();
}

std::uint64_t claimed_delivery::offset() const noexcept {
    const std::lock_guard lock(shared_->mutex);
    return shared_->offset;
}

std::size_t claimed_delivery::read_back(std::uint64_t position, mutable_bytes into) {
    const std::lock_guard lock(shared_->mutex);
    return shared_->still_ours().read_back(position, into);
}

void claimed_delivery::write(const_bytes bytes) {
    const std::lock_guard lock(shared_->mutex);
    shared_->still_ours().write(bytes);
}

void claimed_delivery::remember(const error* failure, const collected_response& answer) {
    // A sink that could not reach its destination, or was out of room, may succeed at the next attempt.
    const bool counts = !failure || (failure->code() != errc::disconnected && failure->code() != errc::exhausted);
    // Before others can find that it is over: between the two they would deliver it again.
    if (shared_->id && counts) try {
            delivery_registry::outcome how{std::nullopt, "", answer.outcome, answer.bytes};
            if (failure) how.failure = failure->code(), how.text = failure->what();
            shared_->registry->finished(*shared_, std::move(how));
        } catch (const std::exception&) {
            // Out of memory: what was delivered is delivered, and the answer is on its way.
        }
    shared_->end();
}

void claimed_delivery::finish(collected_response& answer) {
    const std::lock_guard lock(shared_->mutex);
    auto& into = shared_->still_ours();
    try {
        into.finish(answer);
    } catch (const error& e) {
        remember(&e, answer);
        throw;
    } catch (...) {
        shared_->end();
        throw;
    }
    remember(nullptr, answer);
}

bool claimed_delivery::finishes_at_once() const noexcept {
    const std::lock_guard lock(shared_->mutex);
    return shared_->into && shared_->into->finishes_at_once();
}

group_commit* claimed_delivery::commits_with() const noexcept {
    const std::lock_guard lock(shared_->mutex);
    return shared_->into ? shared_->into->commits_with() : nullptr;
}

void claimed_delivery::finish_group(std::span<ending> all) {
    // No two threads have one delivery in common, so the order in which these are locked does not matter.
    std::vector<std::unique_lock<std::mutex>> locks;
    std::vector<wherry::ending> inner;
    std::vector<ending*> outer;
    locks.reserve(all.size());
    inner.reserve(all.size());
    outer.reserve(all.size());
    for (auto& one : all) {
        auto& shared = *one.of->shared_;
        locks.emplace_back(shared.mutex);
        try {
            inner.push_back({&shared.still_ours(), one.answer, std::nullopt});
            outer.push_back(&one);
        } catch (const error& e) {
            one.failure = e;
        }
    }
    if (inner.empty()) return;
    inner.front().of->commits_with()->finish_group(inner);
    for (std::size_t i = 0; i < inner.size(); ++i) {
        auto& one = *outer[i];
        one.failure = std::move(inner[i].failure);
        one.of->remember(one.failure ? &*one.failure : nullptr, *one.answer);
    }
}

void claimed_delivery::abort(delivery::partial what_came) noexcept {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->into) shared_->into->abort(what_came);
    shared_->end();
}

}  // namespace wherry
