// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/engine/receiver.hpp"

#include <chrono>
#include <exception>
#include <utility>

#include "incoming.hpp"
#include "incoming_records.hpp"
#include "link_writer.hpp"
#include "observer_gate.hpp"
#include "wherry/as_error.hpp"
#include "wherry/clocks.hpp"

namespace wherry::engine {

using clock = std::chrono::steady_clock;

struct receiver::implementation {
    implementation(std::unique_ptr<secure_channel> given, sink& sink, receiving_observer& observer,
                   const receiver_options& options)
        : channel(std::move(given)),
          gate(observer),
          writer(*channel),
          transfers(*channel, sink, writer, gate, options),
          records(*channel, writer, transfers.heard(), options.joinable, options.reserve) {}

    ~implementation() {
        if (!has_left) channel->link().abort();
    }

    void serve() {
        try {
            if (records.has_joined()) return records.read_joined();
            while (handle_next_record()) continue;
        } catch (const std::exception& e) {
            const auto why = cause_of(as_error(e));
            const bool had_ended = writer.has_said_bye() && transfers.empty();
            transfers.drop_all(why);
            if (had_ended) return;
            // The sender is still there, and has to hear of it.
            if (why.code() == errc::integrity) take_leave();
            throw why;
        }
        try {
            writer.shut_down();
            records.await_close(has_peer_left);
        } catch (const error&) {
            // The peer has closed already.
        }
        has_left = true;
        records.close();
    }

    void take_leave() noexcept {
        try {
            writer.shut_down();
            records.drain();
        } catch (const std::exception&) {
            // The peer has closed already.
        }
    }

    // Returns the cause to report. Before the peer's BYE, an earlier failed write explains a lost link; after it, the
    // failure of the read itself is reported.
    error cause_of(const error& read_failure) const {
        return has_peer_left ? read_failure : writer.cause_of(read_failure);
    }

    // Returns false after the last.
    bool handle_next_record() {
        const auto record = records.next();
        if (!record) {
            // After our own BYE the peer need not say more.
            if (!writer.has_said_bye() || !transfers.empty())
                throw error(errc::disconnected, "the peer closed the connection in the middle; try again");
            return false;
        }
        handle_record(*record);
        if (has_peer_left) {
            leave();
            return false;
        }
        if (transfers.is_drained()) writer.say_bye();
        return true;
    }

    void handle_record(const_bytes record) {
        // A record counts as open until its answers are out, so that a stop waits for it.
        const auto held = transfers.begin_record();
        auto last_flush = clock::now();
        byte_reader frames(record, "a record of the peer");
        while (frames.remaining() > 0) {
            handle(take_frame(frames));
            if (clock::now() - last_flush < clocks::answer_delay) continue;
            transfers.flush();
            last_flush = clock::now();
        }
        transfers.flush();
    }

    // Answers the peer's BYE, once everything that came whole is finished and answered.
    void leave() {
        records.expect_end();
        transfers.peer_took_leave();
        writer.say_bye();
    }

    void handle(const frame& got) {
        switch (got.type) {
            case frame_type::offer: return transfers.on_offer(got);
            case frame_type::accept: return transfers.on_confirmation(got);
            case frame_type::data: return transfers.on_data(got);
            case frame_type::compressed_data: return transfers.on_compressed_data(got);
            case frame_type::end: return transfers.on_end(got);
            case frame_type::cancel: return transfers.on_cancel(got);
            case frame_type::bye: has_peer_left = true; return;
            case frame_type::streams: return records.on_streams(got);
            case frame_type::result: throw error(errc::protocol, "the peer answered a transfer that was never offered");
            case frame_type::join:
            case frame_type::order: refuse_out_of_place(got.type);
            case frame_type::ping:
            case frame_type::request: return;
        }
        // Not known, and not critical: skipped.
    }

    void drain() noexcept {
        transfers.drain();
        // Otherwise BYE follows the last answer: from handle_next_record(), or from finisher::send_answers().
        if (transfers.is_drained()) writer.say_bye_soon();
    }

    void abort() noexcept {
        transfers.give_up();
        channel->link().abort();
    }

    const std::unique_ptr<secure_channel> channel;
    receiving_gate gate;
    link_writer writer;
    incoming_transfers transfers;
    // Of the thread that reads.
    bool has_peer_left = false;
    bool has_left = false;
    incoming_records records;  // last: the thread that it may have uses the rest
};

receiver::receiver(std::unique_ptr<secure_channel> channel, sink& sink, receiving_observer& observer,
                   receiver_options options)
    : implementation_(std::make_unique<implementation>(std::move(channel), sink, observer, options)) {}

receiver::~receiver() = default;

std::optional<std::uint64_t> receiver::find_what_it_joins() {
    return implementation_->records.find_what_it_joins([this] { return implementation_->transfers.is_drained(); });
}

void receiver::serve() { implementation_->serve(); }

void receiver::drain() noexcept { implementation_->drain(); }

void receiver::abort() noexcept { implementation_->abort(); }

}  // namespace wherry::engine
