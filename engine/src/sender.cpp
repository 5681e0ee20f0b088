// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/engine/sender.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include "extra_connections.hpp"
#include "incoming_records.hpp"
#include "link_writer.hpp"
#include "observer_gate.hpp"
#include "outgoing.hpp"
#include "refused_offers.hpp"
#include "wherry/as_error.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry::engine {

struct sender::implementation {
    implementation(std::unique_ptr<secure_channel> given, const sender_options& options, sending_observer& observer)
        : channel(std::move(given)),
          gate(observer),
          writer(*channel,
                 wants_more(*channel, options) ? link_writer::numbering::ordered : link_writer::numbering::none),
          transfers(*channel, options, writer, gate),
          records(*channel, writer),
          refused(*channel, writer) {
        if (wants_more(*channel, options))
            extra.emplace(*channel, writer, *options.opener, std::min(options.streams, limits::max_streams), gate);
    }

    ~implementation() {
        if (!has_left) channel->link().abort();
        if (extra) extra->stop();
        if (reader.joinable()) reader.join();
    }

    static bool wants_more(const secure_channel& channel, const sender_options& options) {
        return channel.side() == role::initiator && options.streams > 1 && options.opener;
    }

    // Before anything is sent.
    void begin() {
        if (has_begun) return;
        // A receiver that is busy with its disk does not read, and yet says PING: how long a write takes tells nothing.
        // The reader finds out that a peer is gone, and then ends the write.
        channel->link().set_write_timeout(std::chrono::milliseconds(0));
        if (extra) extra->ask();
        has_begun = true;
        try {
            reader = std::jthread([this] { read(); });
        } catch (const std::system_error&) {
            const error why(errc::exhausted, "no thread could be started to hear the answers; run fewer at once");
            reading_has_ended(&why);
        }
    }

    void settle() {
        begin();
        transfers.finish();
        if (is_cancelled) throw error(errc::cancelled, "interrupted");
    }

    void finish() {
        begin();
        transfers.finish();
        if (extra && !is_cancelled) extra->conclude(clocks::join_wait);
        try {
            writer.say_bye();
        } catch (const error&) {
            // Everything is answered; a link that breaks now takes nothing away.
        }
        // Everything is answered or cancelled, so a peer that says no BYE within leave_wait is cut off.
        if (!transfers.await_reader_end(clocks::leave_wait)) channel->link().abort();
        if (reader.joinable()) reader.join();
        has_left = true;
        if (extra) extra->stop();
        if (is_cancelled) throw error(errc::cancelled, "interrupted");
    }

    void cancel() noexcept {
        is_cancelled = true;
        transfers.cancel();
    }

    // The reader thread.
    void read() noexcept {
        try {
            records.begin();
            transfers.let_in();
            while (!has_peer_left) {
                const auto record = records.next();
                if (!record) {
                    // After our own BYE the peer need not say more.
                    if (!writer.has_said_bye() || !transfers.empty())
                        throw error(errc::disconnected, "the peer closed the connection in the middle; try again");
                    break;
                }
                handle_record(*record);
            }
            reading_has_ended(nullptr);
        } catch (const std::exception& e) {
            const auto why = as_error(e);
            reading_has_ended(&why);
        }
    }

    void handle_record(const_bytes record) {
        byte_reader frames(record, "a record of the peer");
        while (frames.remaining() > 0) handle(take_frame(frames));
        refused.flush();
        if (!has_peer_left) return;
        transfers.peer_took_leave();
        writer.say_bye();
    }

    void handle(const frame& got) {
        if (extra && got.type != frame_type::ping && got.type != frame_type::streams) extra->on_other_answer();
        switch (got.type) {
            case frame_type::accept:
                return is_numbered_by(channel->side(), got.transfer) ? transfers.on_accept(got)
                                                                     : refused.require_offered(got);
            case frame_type::result: return transfers.on_result(got);
            case frame_type::bye: has_peer_left = true; return;
            case frame_type::streams: return extra ? extra->on_answer(got) : records.on_streams(got);
            case frame_type::offer: return refused.on_offer(got);
            case frame_type::data:
            case frame_type::compressed_data:
            case frame_type::end:
            case frame_type::cancel: return refused.require_offered(got);
            case frame_type::join:
            case frame_type::order: refuse_out_of_place(got.type);
            case frame_type::ping:
            case frame_type::request: return;
        }
        // Not known, and not critical: skipped.
    }

    // `why` is null after an orderly end.
    void reading_has_ended(const error* why) noexcept {
        if (why) {
            const auto cause = cause_of(*why);
            transfers.fail(cause);
            channel->link().abort();
            if (extra) extra->cut(cause);
        }
        transfers.reader_ended();
    }

    // Returns the cause to report. Before the peer's BYE, damage that the peer told of or an earlier failed write
    // explains a lost link; after it, the failure of the read itself is reported.
    error cause_of(const error& read_failure) const {
        if (!has_peer_left && read_failure.code() == errc::disconnected && transfers.has_heard_of_damage())
            return error(errc::integrity,
                         "the receiver closed the connection, because what arrived was damaged on the way; send the "
                         "rest again");
        return has_peer_left ? read_failure : writer.cause_of(read_failure);
    }

    void abort() noexcept {
        if (extra) extra->cut(error(errc::disconnected, "the connection was closed from this side"));
        channel->link().abort();
    }

    const std::unique_ptr<secure_channel> channel;
    sending_gate gate;
    link_writer writer;
    outgoing_transfers transfers;
    // Of the reader thread.
    incoming_records records;
    refused_offers refused;
    bool has_peer_left = false;
    bool has_begun = false, has_left = false;
    std::atomic<bool> is_cancelled = false;
    std::optional<extra_connections> extra;
    std::jthread reader;  // last: it uses the rest
};

sender::sender(std::unique_ptr<secure_channel> channel, sender_options options, sending_observer& observer)
    : implementation_(std::make_unique<implementation>(std::move(channel), options, observer)) {}

sender::~sender() = default;

transfer_id sender::announce(source& item, const delivery_attempt& attempt) {
    implementation_->begin();
    return implementation_->transfers.announce(item, attempt);
}

void sender::send(transfer_id id, source& item) { implementation_->transfers.send(id, item); }

void sender::flush() { implementation_->transfers.flush(); }

void sender::settle() { implementation_->settle(); }

void sender::await_entry() {
    implementation_->begin();
    implementation_->transfers.wait_until_let_in();
}

void sender::finish() { implementation_->finish(); }

std::optional<error> sender::why_over() const { return implementation_->transfers.why_over(); }

void sender::cancel() noexcept { implementation_->cancel(); }

void sender::abort() noexcept { implementation_->abort(); }

const secure_channel& sender::channel() const noexcept { return *implementation_->channel; }

}  // namespace wherry::engine
