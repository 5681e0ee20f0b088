// SPDX-License-Identifier: BSD-2-Clause
#include "finisher.hpp"

#include <exception>
#include <utility>

#include "answer.hpp"
#include "sink_call.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

// A larger delivery takes long by itself, so small ones should not share its group.
constexpr std::uint64_t most_grouped_bytes = std::uint64_t{1} << 20;

bool go_together(const ended_delivery& one, const ended_delivery& other) noexcept {
    return one.commits_with && one.commits_with == other.commits_with;
}

}  // namespace

finisher::finisher(secure_channel& channel, link_writer& writer, receiving_gate& gate, drain_state& state,
                   peer_check& check)
    : channel_(channel),
      writer_(writer),
      gate_(gate),
      state_(state),
      check_(check),
      answers_(writer.make_small_record()),
      queue_({limits::max_unfinished_deliveries, limits::max_finishing_threads, clocks::finish_patience,
              limits::max_group_commit},
             {[this](std::span<ended_delivery> group) { finish(group); }, [this] { send_answers(); }, go_together}) {}

void finisher::finish_now(ended_delivery& ended) { finish_and_tell({&ended, 1}, std::nullopt); }

void finisher::post(ended_delivery ended) {
    const auto size = ended.result.resumed_from + ended.result.bytes;
    if (size <= most_grouped_bytes) ended.commits_with = ended.delivery->commits_with();
    // A folder is finished after its contents: each of them changes its time.
    using place = overtaking_queue<ended_delivery>::place;
    const auto where = ended.what.kind == item_kind::folder ? place::behind_all_before : place::anywhere;
    ++unanswered_;
    queue_.post(std::move(ended), where);
}

void finisher::await_one(std::chrono::milliseconds time) {
    mutex_lock lock(mutex_);
    one_has_ended_.wait_for(lock, time);
}

// Called by the queue.
void finisher::finish(std::span<ended_delivery> group) noexcept {
    try {
        finish_and_tell(group, check_.find_objection());
    } catch (const std::exception&) {
        // Memory ran out. A delivery that is still set was not finished.
        for (auto& one : group)
            if (one.delivery) {
                one.delivery.reset();
                one.result.failure = errc::exhausted;
            }
        channel_.link().abort();
    }
    try {
        const mutex_lock lock(mutex_);
        for (auto& one : group) {
            answered_.push_back(std::move(one.admitted));
            // Before the peer can have the answer and take leave.
            --unanswered_;
            put_answer(writer_, answers_, one.id, one.result);
        }
        one_has_ended_.notify_one();
    } catch (const std::exception&) {
        // The reader reports the failure.
        channel_.link().abort();
    }
}

// With an objection every delivery is aborted instead.
void finisher::finish_and_tell(std::span<ended_delivery> group, std::optional<error> objection) {
    if (state_.has_given_up()) objection = shutting_down();
    if (objection) {
        for (auto& one : group) {
            const bool may_go_on = one.what.wants_resume && objection->code() != errc::auth_failed;
            one.delivery->abort(may_go_on ? delivery::partial::keep : delivery::partial::drop);
            mark_failed(one.result, *objection);
        }
    } else if (group.size() == 1) {
        finish_one(group.front());
    } else {
        finish_group(group);
    }
    for (auto& one : group) {
        one.delivery.reset();
        one.result.outcome = std::move(one.response.outcome);
        one.result.response = std::move(one.response.bytes);
    }
    // Before the peer is answered, because that may fail.
    gate_.tell([&](auto& observer) {
        for (auto& one : group) observer.delivered(one.id, one.what, one.result);
    });
}

void finisher::finish_one(ended_delivery& ended) noexcept {
    try {
        call_sink([&] { ended.delivery->finish(ended.response); });
    } catch (const error& e) {
        mark_failed(ended.result, e);
    }
}

void finisher::finish_group(std::span<ended_delivery> group) noexcept {
    try {
        std::vector<claimed_delivery::ending> endings;
        endings.reserve(group.size());
        for (auto& one : group) endings.push_back({one.delivery.get(), &one.response, std::nullopt});
        call_sink([&] { claimed_delivery::finish_group(endings); });
        for (std::size_t i = 0; i < group.size(); ++i)
            if (endings[i].failure) mark_failed(group[i].result, *endings[i].failure);
    } catch (const std::exception& e) {
        // Memory ran out before the group was finished.
        const auto* const known = dynamic_cast<const error*>(&e);
        for (auto& one : group)
            mark_failed(one.result, known ? *known : error(errc::exhausted, "the receiver is out of memory"));
    }
}

// Called by the queue.
void finisher::send_answers() noexcept {
    std::vector<drain_state::hold> answered;
    try {
        const mutex_lock lock(mutex_);
        answered = std::exchange(answered_, {});
        writer_.transmit(answers_);
    } catch (const std::exception&) {
        // No BYE: it would say that everything was answered.
        return channel_.link().abort();
    }
    answered.clear();
    if (state_.is_drained()) writer_.say_bye_soon();
}

}  // namespace wherry
