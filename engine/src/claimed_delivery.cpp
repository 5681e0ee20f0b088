// SPDX-License-Identifier: BSD-2-Clause
#include "claimed_delivery.hpp"

#include <deque>
#include <exception>
#include <utility>

namespace wherry {

namespace {

error gone_on_elsewhere() {
    return error(errc::refused, "the same item was offered again over a newer connection, which goes on with it");
}

}  // namespace

// ---- What a connection has under way ----

void delivery_under_way::end() noexcept {
    if (std::exchange(is_over, true)) return;
    target.reset();
    link = nullptr;
    if (ends) ends->ended(*this);
}

void delivery_under_way::abort_target() noexcept {
    if (target) target->abort(wants_resume ? delivery::partial::keep : delivery::partial::drop);
}

delivery& delivery_under_way::still_ours() {
    if (is_taken) throw gone_on_elsewhere();
    if (!target) throw error(errc::internal, "a delivery is used after its end");
    return *target;
}

void delivery_under_way::take_away(old_link fate) noexcept {
    const mutex_lock lock(mutex);
    if (is_over) return;
    is_taken = true;
    abort_target();
    if (fate == old_link::cut) link->abort();
    end();
}

// ---- The claim on it ----

claimed_delivery::claimed_delivery() : shared_(std::make_shared<delivery_under_way>()) {}

claimed_delivery::claimed_delivery(std::shared_ptr<delivery_under_way> shared) noexcept : shared_(std::move(shared)) {}

claimed_delivery::~claimed_delivery() {
    const mutex_lock lock(shared_->mutex);
    // Neither finished nor aborted, because memory ran out on the way there.
    shared_->abort_target();
    shared_->end();
}

void claimed_delivery::begin(const std::function<std::unique_ptr<delivery>()>& begin_in_sink) {
    const mutex_lock lock(shared_->mutex);
    if (shared_->is_taken) throw gone_on_elsewhere();
    shared_->target = begin_in_sink();
    if (!shared_->target) throw error(errc::internal, "the sink accepted without a delivery");
    shared_->offset = shared_->target->offset();
}

void claimed_delivery::drop() noexcept {
    const mutex_lock lock(shared_->mutex);
    if (!shared_->target) return;
    shared_->target->abort(delivery::partial::drop);
    shared_->target.reset();
}

std::uint64_t claimed_delivery::offset() const noexcept {
    const mutex_lock lock(shared_->mutex);
    return shared_->offset;
}

bool claimed_delivery::already(collected_response& answer) {
    const mutex_lock lock(shared_->mutex);
    auto& target = shared_->still_ours();
    if (!target.already(answer)) return false;
    target.abort(delivery::partial::drop);
    shared_->target.reset();
    remember(nullptr, answer);
    return true;
}

std::size_t claimed_delivery::read_back(std::uint64_t position, mutable_bytes buffer) {
    const mutex_lock lock(shared_->mutex);
    return shared_->still_ours().read_back(position, buffer);
}

void claimed_delivery::write(const_bytes bytes) {
    const mutex_lock lock(shared_->mutex);
    shared_->still_ours().write(bytes);
}

void claimed_delivery::remember(const error* failure, const collected_response& answer) {
    // A sink that could not reach its destination, or was out of room, may succeed at the next attempt.
    const bool counts = !failure || (failure->code() != errc::disconnected && failure->code() != errc::exhausted);
    // Before others can find that it is over: between the two they would deliver it again.
    if (shared_->id && counts) try {
            earlier_result how{std::nullopt, "", answer.outcome, answer.bytes};
            if (failure) how.failure = failure->code(), how.text = failure->what();
            shared_->ends->finished(*shared_, std::move(how));
        } catch (const std::exception&) {
            // Out of memory: what was delivered is delivered, and the answer is on its way.
        }
    shared_->end();
}

void claimed_delivery::finish(collected_response& answer) {
    const mutex_lock lock(shared_->mutex);
    auto& target = shared_->still_ours();
    try {
        target.finish(answer);
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
    const mutex_lock lock(shared_->mutex);
    return shared_->target && shared_->target->finishes_at_once();
}

group_commit* claimed_delivery::commits_with() const noexcept {
    const mutex_lock lock(shared_->mutex);
    return shared_->target ? shared_->target->commits_with() : nullptr;
}

void claimed_delivery::finish_group(std::span<ending> all) {
    // No two threads have one delivery in common, so the order in which these are locked does not matter.
    std::deque<mutex_lock> locks;
    std::vector<wherry::ending> inner;
    std::vector<ending*> outer;
    inner.reserve(all.size());
    outer.reserve(all.size());
    for (auto& one : all) {
        auto& shared = *one.target->shared_;
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
        one.target->remember(one.failure ? &*one.failure : nullptr, *one.answer);
    }
}

void claimed_delivery::abort(delivery::partial what_came) noexcept {
    const mutex_lock lock(shared_->mutex);
    if (shared_->target) shared_->target->abort(what_came);
    shared_->end();
}

}  // namespace wherry
