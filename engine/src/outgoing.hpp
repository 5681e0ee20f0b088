// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "content_encoder.hpp"
#include "digest.hpp"
#include "frame.hpp"
#include "link_writer.hpp"
#include "observer_gate.hpp"
#include "wherry/mutex.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// Turns sources into frames, and reports the answers to the observer.
// Two threads: the one that sends (announce, send, flush, finish, wait_until_let_in, await_reader_end), and the one
// that reads (let_in, on_..., peer_took_leave, reader_ended); fail(), cancel(), why_over(), has_heard_of_damage() and
// empty() from any.
class outgoing_transfers {
public:
    outgoing_transfers(secure_channel& channel, const sender_options& options, link_writer& writer, sending_gate& gate);

    transfer_id announce(source& item, const delivery_attempt& attempt);
    void send(transfer_id id, source& item);
    void flush();
    // Waits until everything is answered; if it was cancelled, tells the peer instead. Throws the failure, if there is
    // one.
    void finish();

    // The reader has got through the handshake.
    void let_in() noexcept;
    // Waits for let_in(). Throws the failure, or error(errc::cancelled), if that comes first.
    void wait_until_let_in();
    // The failure, or that the peer takes no more.
    std::optional<error> why_over();
    // Whether the peer has answered that what arrived was damaged on the way; it then closes the connection.
    bool has_heard_of_damage() const noexcept { return has_heard_of_damage_; }
    // Waits until the reader has ended. Returns false if that takes longer.
    bool await_reader_end(std::chrono::milliseconds time);

    void on_accept(const frame& got);
    void on_result(const frame& got);
    // The peer takes no more. Throws if something is not answered.
    void peer_took_leave();
    void reader_ended() noexcept;

    // The sending is over: the first failure is the one that counts, and it is told for everything that is not
    // answered.
    void fail(const error& why);
    void cancel() noexcept;
    bool empty();

private:
    struct progress {
        std::uint64_t bytes = 0;
        std::uint64_t bytes_on_link = 0;
        std::uint64_t resumed_from = 0;
    };

    struct transfer {
        offer what;
        bool has_ended = false;         // END is in a record
        bool may_have_arrived = false;  // in an earlier attempt
        progress so_far;
        std::optional<accept_frame> accepted;
        std::vector<std::byte> response;  // of RESULT frames that said `more`
    };

    void send_content(transfer_id id, source& item);
    std::optional<std::uint64_t> agree_on_offset(transfer_id id, source& item, std::optional<content_digest>& digest);
    bool has_prefix(transfer_id id, source& item, const accept_frame& accepted, content_digest& prefix);
    bool is_open(transfer_id id);
    enum class content { goes_on, has_ended };
    bool count(transfer_id id, const progress& so_far, content is = content::goes_on);
    void require_going_on() const WHERRY_REQUIRES(mutex_);
    static void put_progress(delivery_result& result, const progress& so_far) noexcept;
    void abandon(transfer_id id, const error& why);
    void abandon_all();
    void conclude(transfer_id id, delivery_result result);
    void put(frame_type type, transfer_id id, const_bytes payload);
    error settled(const error& write_failure);

    secure_channel& channel_;
    const sender_options options_;
    link_writer& writer_;
    sending_gate& gate_;
    // Of the thread that sends.
    record_buffer record_;
    content_encoder encoder_;

    mutex mutex_;
    condition changed_;
    std::map<transfer_id, transfer> unanswered_ WHERRY_GUARDED_BY(mutex_);
    // So many unanswered wake the thread that sends; 0: when all is over.
    std::size_t wake_at_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::size_t response_bytes_ WHERRY_GUARDED_BY(mutex_) = 0;  // kept in unanswered_
    transfer_id next_id_ WHERRY_GUARDED_BY(mutex_);
    std::optional<error> failure_ WHERRY_GUARDED_BY(mutex_);
    bool is_cancelled_ WHERRY_GUARDED_BY(mutex_) = false;
    bool is_let_in_ WHERRY_GUARDED_BY(mutex_) = false;
    std::size_t being_told_ WHERRY_GUARDED_BY(mutex_) = 0;  // were unanswered, and the observer is about to know
    bool has_reader_ended_ WHERRY_GUARDED_BY(mutex_) = false;
    bool takes_no_more_ WHERRY_GUARDED_BY(mutex_) = false;  // the peer
    std::atomic<bool> has_heard_of_damage_ = false;
};

}  // namespace wherry
