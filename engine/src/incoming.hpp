// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "claimed_delivery.hpp"
#include "collected_response.hpp"
#include "compression.hpp"
#include "delivery_registry.hpp"
#include "descriptor_reserve.hpp"
#include "digest.hpp"
#include "frame.hpp"
#include "link_writer.hpp"
#include "observer_gate.hpp"
#include "overtaking_queue.hpp"
#include "wherry/clocks.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/sink.hpp"

namespace wherry {

// What the other side of an exchange sends: from its frames into the sink, and the answers back.
// Used by the thread that reads, except for what says otherwise. What a peer may not do throws error(errc::protocol),
// which ends the exchange; what goes wrong with one delivery ends that one only, and both sides are told.
//
// A delivery whose END has come is finished on another thread, so that a sink that takes its time stalls nothing else,
// unless its sink finishes at once.
class incoming_transfers {
public:
    // How long what has come waits for the delivery before it to be finished.
    static constexpr std::chrono::milliseconds finish_patience = clocks::finish_patience;

    // `into` may be null: then every offer is refused.
    // `known` and `reserve` may be null. `verify` may be empty; see exchange_options.
    incoming_transfers(secure_channel& over, sink* into, link_writer& writer, observer_gate& observer,
                       delivery_registry* known, peer_verifier verify, const descriptor_reserve* reserve);
    ~incoming_transfers();

    void on_offer(const frame& got);
    // The sender's answer to a proposed offset.
    void on_confirmation(const frame& got);
    void on_data(const frame& got);
    // Content that is compressed.
    void on_compressed_data(const frame& got);
    void on_end(const frame& got);
    void on_cancel(const frame& got);

    // Writes the answers that wait for company.
    void flush();

    // The peer has heard of every answer that it wants to hear. Waits for what has come whole to be finished.
    void peer_took_leave();
    // To be told of what comes over the link.
    std::shared_ptr<last_heard> heard() const noexcept { return heard_; }

    // Whether nothing is open, and nothing that has ended is still to be answered.
    bool empty() const noexcept { return open_.empty() && postponed_.empty() && unanswered_ == 0; }
    // The link is gone: ends what is open, and keeps what a resume can go on from. Waits for what has come whole to be
    // finished.
    void drop_all(const error& why) noexcept;

    // From any thread. Admits no more.
    void drain() noexcept;
    // From any thread. True once nothing is open, no record is being dealt with, and nothing more is admitted.
    bool is_drained() noexcept;
    // From any thread. Ends what is being done that takes long.
    void give_up() noexcept;

    // Counts what is open, so that other threads can tell when nothing is.
    class admission {
    public:
        admission() noexcept = default;
        explicit admission(incoming_transfers& at) noexcept : at_(&at) { ++at.open_count_; }
        admission(admission&& other) noexcept : at_(std::exchange(other.at_, nullptr)) {}
        admission& operator=(admission&& other) noexcept {
            std::swap(at_, other.at_);
            return *this;
        }
        ~admission() {
            if (at_) --at_->open_count_;
        }

    private:
        incoming_transfers* at_ = nullptr;
    };

    // Held while a record is dealt with, up to when its answers are out.
    admission deal_with_record();

private:
    struct transfer {
        offer what;
        admission admitted;
        std::unique_ptr<claimed_delivery> into;
        std::uint64_t resumed_from = 0;
        std::uint64_t have = 0;            // what was resumed included
        std::uint64_t on_link = 0;         // what that took, without what was resumed
        bool awaits_confirmation = false;  // of the offset, by the sender
        std::optional<content_digest> digest;
        compression_kind compression = compression_kind::none;
        std::unique_ptr<decompressor> decompressing;  // in the middle of compressed content
    };

    // One that has come whole.
    struct finishing {
        transfer_id id = 0;
        transfer item;
        group_commit* commits_with = nullptr;
        collected_response response;
        delivery_result result;
    };

    // An offer that waits for free descriptors. Its sender sends no content before the answer.
    struct postponed_offer {
        transfer_id id = 0;
        transfer item;
        offer_frame offered;
        std::chrono::steady_clock::time_point since;
    };

    std::optional<error> find_objection();
    void require_welcome();
    admission admit();
    transfer* find(const frame& about);
    void open(transfer_id id, transfer item, const offer_frame& offered);
    bool must_be_postponed(const offer& what) const noexcept;
    void open_postponed(std::deque<postponed_offer>::iterator which);
    void open_what_was_postponed();
    void await_descriptors();
    std::optional<earlier_result> claim(transfer& item, const offer_frame& offered);
    void begin(transfer& item);
    static void store(transfer& item, const_bytes content);
    void expand(transfer& item, const_bytes payload);
    static void put_counts(delivery_result& result, const transfer& item);
    accept_frame propose_offset(transfer& item);
    void start_over(transfer& item);
    void refuse(transfer_id id, const transfer& item, const error& why);
    void end_with(transfer_id id, const error& why);
    void post(finishing ended);
    void finish_and_tell(std::span<finishing> ended, std::optional<error> objection);
    void finish(std::span<finishing> ended) noexcept;
    static void finish_one(finishing& ended) noexcept;
    static void finish_group(std::span<finishing> ended) noexcept;
    static bool go_together(const finishing& one, const finishing& other) noexcept;
    void flush_finished() noexcept;
    void answer(record_buffer& into, transfer_id id, const delivery_result& result);
    bool has_given_up() const noexcept { return has_given_up_; }
    bool must_stop() const noexcept { return is_draining_ || has_given_up_; }

    secure_channel& over_;
    sink* const into_;
    link_writer& writer_;
    observer_gate& observer_;
    delivery_registry* const known_;
    const peer_verifier verify_;
    std::mutex verify_mutex_;         // held while verify_ runs; guards unwelcome_
    std::optional<error> unwelcome_;  // why verify_ refused the peer, which is final
    bool is_record_welcome_ = false;  // the peer was checked for this record; only for the thread that reads
    const delivery_registry::connection_number number_;
    const std::shared_ptr<last_heard> heard_;
    std::set<delivery_registry::connection_number> living_;
    const descriptor_reserve* const reserve_;
    record_buffer answers_;
    std::map<transfer_id, transfer> open_;
    std::deque<postponed_offer> postponed_;  // the oldest first
    transfer_id last_offered_ = 0;
    std::uint64_t expanded_in_record_ = 0;
    // Kept as long as transfers are open, so that many small ones can share them.
    std::unique_ptr<decompressor> spare_decompressor_;
    std::unique_ptr<std::byte[]> expanded_;

    // What admits counts before it looks whether it may; what drains says so before it looks at the count.
    std::atomic<bool> is_draining_ = false;
    std::atomic<bool> has_given_up_ = false;
    std::atomic<std::size_t> open_count_ = 0;

    std::atomic<std::size_t> unanswered_ = 0;  // that have come whole
    std::condition_variable one_has_ended_;    // one of the unanswered
    std::mutex finished_mutex_;                // over the two that follow
    record_buffer finished_answers_;
    std::vector<admission> finished_;  // until their answers are out

    overtaking_queue<finishing> to_finish_;  // last: its threads use the rest
};

}  // namespace wherry
