// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "claimed_delivery.hpp"
#include "collected_response.hpp"
#include "drain_state.hpp"
#include "link_writer.hpp"
#include "observer_gate.hpp"
#include "overtaking_queue.hpp"
#include "peer_check.hpp"
#include "wherry/mutex.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// A delivery that has come whole.
struct ended_delivery {
    transfer_id id = 0;
    offer what;
    drain_state::hold admitted;
    std::unique_ptr<claimed_delivery> delivery;
    delivery_result result;  // so far its counts
    collected_response response = {};
    group_commit* commits_with = nullptr;
};

// Finishes and answers the deliveries of one connection on its own threads. A slow sink holds up the reader only while
// limits::max_unfinished_deliveries are pending. Small deliveries with one group_commit that wait together are finished
// as one group.
// Used by the thread that reads, except for what says otherwise.
class finisher {
public:
    // All that is referred to outlives it.
    finisher(secure_channel& channel, link_writer& writer, receiving_gate& gate, drain_state& state, peer_check& check);

    // Finishes it on the calling thread, and tells the observer; the caller answers `ended.result`.
    void finish_now(ended_delivery& ended);

    // Gives it to the threads; waits while limits::max_unfinished_deliveries are with them.
    void post(ended_delivery ended);
    // Waits until everything that was posted is answered.
    void wait() noexcept { queue_.wait(); }
    // From any thread. How many were posted and are not answered.
    std::size_t unanswered() const noexcept { return unanswered_; }
    // Waits until a delivery has ended or `time` has passed; may return earlier.
    void await_one(std::chrono::milliseconds time);

private:
    void finish(std::span<ended_delivery> group) noexcept;
    void finish_and_tell(std::span<ended_delivery> group, std::optional<error> objection);
    static void finish_one(ended_delivery& ended) noexcept;
    static void finish_group(std::span<ended_delivery> group) noexcept;
    void send_answers() noexcept;

    secure_channel& channel_;
    link_writer& writer_;
    receiving_gate& gate_;
    drain_state& state_;
    peer_check& check_;

    std::atomic<std::size_t> unanswered_ = 0;
    mutex mutex_;
    condition one_has_ended_;
    record_buffer answers_ WHERRY_GUARDED_BY(mutex_);
    std::vector<drain_state::hold> answered_ WHERRY_GUARDED_BY(mutex_);  // until their answers are out

    overtaking_queue<ended_delivery> queue_;  // last: its threads use the rest
};

}  // namespace wherry
