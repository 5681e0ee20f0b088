// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "claimed_delivery.hpp"
#include "compression.hpp"
#include "delivery_registry.hpp"
#include "descriptor_reserve.hpp"
#include "digest.hpp"
#include "drain_state.hpp"
#include "finisher.hpp"
#include "frame.hpp"
#include "link_writer.hpp"
#include "observer_gate.hpp"
#include "offered_numbers.hpp"
#include "peer_check.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/sink.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// Passes a peer's frames into the sink, and writes the answers. Used by the thread that reads, except for what says
// otherwise. A breach of protocol throws error(errc::protocol), which ends the connection; a failure of one delivery's
// content, sink or welcome ends that one only, and both sides are told.
// After END a delivery goes to the finisher's threads; if its sink finishes at once, the reader finishes it.
class incoming_transfers {
public:
    // All that is referred to outlives it.
    incoming_transfers(secure_channel& channel, sink& sink, link_writer& writer, receiving_gate& gate,
                       const engine::receiver_options& options);
    ~incoming_transfers();

    void on_offer(const frame& got);
    // The sender's answer to a proposed offset.
    void on_confirmation(const frame& got);
    void on_data(const frame& got);
    void on_compressed_data(const frame& got);
    void on_end(const frame& got);
    void on_cancel(const frame& got);

    // Opens postponed offers as descriptors allow, then writes the collected answers. Frees the memory of decompression
    // while no transfer is open.
    void flush();

    // The peer has heard of every answer that it wants to hear. Waits for what has come whole to be finished.
    void peer_took_leave();
    // To be told of what comes over the link.
    std::shared_ptr<last_heard> heard() const noexcept { return heard_; }

    // Whether nothing is open, and nothing that has ended is still to be answered.
    bool empty() const noexcept { return open_.empty() && postponed_.empty() && finisher_.unanswered() == 0; }
    // The link is gone, or damages records: ends what is open, and keeps what a resume can go on from. Answers it with
    // errc::integrity if that is the cause. Waits for what has come whole to be finished.
    void drop_all(const error& why) noexcept;

    // From any thread. Admits no more.
    void drain() noexcept;
    // From any thread. True once nothing is open, no record is being handled, and nothing more is admitted.
    bool is_drained() const noexcept { return state_.is_drained(); }
    // From any thread. Ends long loops and waits, and makes finishing fail.
    void give_up() noexcept;

    // Begins a record. Held while it is handled, up to when its answers are out.
    drain_state::hold begin_record();

private:
    struct transfer {
        offer what;
        drain_state::hold admitted;
        std::unique_ptr<claimed_delivery> delivery;
        std::uint64_t resumed_from = 0;
        std::uint64_t have = 0;            // what was resumed included
        std::uint64_t on_link = 0;         // what that took, without what was resumed
        bool awaits_confirmation = false;  // of the offset, by the sender
        std::optional<content_digest> digest;
        compression_kind compression = compression_kind::none;
        std::unique_ptr<decompressor> decompressing;  // in the middle of compressed content
    };

    // An offer that waits for free descriptors. Its sender sends no content before the answer.
    struct postponed_offer {
        transfer_id id = 0;
        transfer item;
        offer_frame offered;
        std::chrono::steady_clock::time_point since;
    };

    void require_welcome();
    drain_state::hold admit();
    transfer* find(const frame& about);
    void open(transfer_id id, transfer item, const offer_frame& offered);
    bool must_be_postponed(const offer& what) const noexcept;
    void open_postponed(std::deque<postponed_offer>::iterator which);
    void open_what_was_postponed();
    void await_descriptors();
    std::optional<earlier_result> claim(transfer& item, const offer_frame& offered);
    void begin(transfer& item);
    std::optional<delivery_result> stored_before(transfer& item);
    static void store(transfer& item, const_bytes content);
    void expand(transfer& item, const_bytes payload);
    static void put_counts(delivery_result& result, const transfer& item);
    accept_frame propose_offset(transfer& item);
    void start_over(transfer& item);
    void refuse(transfer_id id, const transfer& item, const error& why);
    void end_with(transfer_id id, const error& why);
    std::vector<transfer_id> unanswered() const noexcept;
    void tell_damage(std::span<const transfer_id> damaged) noexcept;

    secure_channel& channel_;
    sink& sink_;
    link_writer& writer_;
    receiving_gate& gate_;
    delivery_registry* const deliveries_;
    const descriptor_reserve* const reserve_;
    const delivery_registry::connection_number number_;
    const std::shared_ptr<last_heard> heard_;
    std::set<delivery_registry::connection_number> living_;
    bool is_record_welcome_ = false;  // the peer was checked for this record
    record_buffer answers_;
    std::map<transfer_id, transfer> open_;
    std::deque<postponed_offer> postponed_;  // the oldest first
    offered_numbers offered_;
    std::uint64_t expanded_in_record_ = 0;
    // Kept as long as transfers are open, so that many small ones can share them.
    std::unique_ptr<decompressor> spare_decompressor_;
    std::unique_ptr<std::byte[]> expanded_;

    drain_state state_;
    peer_check check_;
    finisher finisher_;  // last: its threads use the rest
};

}  // namespace wherry
