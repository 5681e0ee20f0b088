// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/exchange.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <system_error>
#include <thread>
#include <utility>

#include "descriptor_reserve.hpp"
#include "extra_connections.hpp"
#include "incoming.hpp"
#include "join_registry.hpp"
#include "link_writer.hpp"
#include "outgoing.hpp"
#include "record.hpp"
#include "reorder_buffer.hpp"
#include "wherry/as_error.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;
using namespace clocks;

// A first record longer than this, without what sealing adds, holds no JOIN.
constexpr std::size_t max_join_bytes = frame_header_bytes + 128;

}  // namespace

// Ties the two directions to one link: frames go out through one writer, and come in through one reader.
struct exchange::implementation {
    implementation(std::unique_ptr<secure_channel> given, sink* into, exchange_options options,
                   exchange_observer& observer, delivery_registry* known, std::optional<joinable> by,
                   const descriptor_reserve* reserve)
        : over(std::move(given)),
          joins(by),
          reserve(reserve),
          gate(observer),
          writer(*over, options.timing.ping_interval,
                 wants_more(*over, options) ? link_writer::numbering::ordered : link_writer::numbering::none),
          incoming(*over, into, writer, gate, known, options.verify, reserve),
          outgoing(*over, options, writer, gate) {
        if (wants_more(*over, options))
            further.emplace(*over, writer, *options.opener, std::min(options.streams, limits::max_streams), gate);
    }

    ~implementation() {
        if (!has_left) over->link().abort();
        if (further) further->stop();
        if (answers.joinable()) answers.join();
        end_merge();
    }

    static bool wants_more(const secure_channel& over, const exchange_options& options) {
        return over.side() == role::initiator && options.streams > 1 && options.opener;
    }

    // Before this side sends.
    void begin_listening() {
        if (has_begun_listening) return;
        // A receiver that is busy with its disk does not read, and yet says PING: how long a write takes tells nothing.
        // A peer that is gone is found out by who reads, which then ends the write.
        over->link().set_write_timeout(std::chrono::milliseconds(0));
        if (further) further->ask();
        has_begun_listening = true;
        try {
            answers = std::jthread([this] { read_answers(); });
        } catch (const std::system_error&) {
            const error why(errc::exhausted, "no thread could be started to hear the answers; run fewer at once");
            reading_has_ended(&why);
        }
    }

    void cancel() noexcept {
        is_cancelled = true;
        outgoing.cancel();
    }

    void finish() {
        begin_listening();
        outgoing.finish();
        if (further && !is_cancelled) further->conclude(join_wait);
        try {
            writer.say_bye();
        } catch (const error&) {
            // Everything is answered; a link that breaks now takes nothing away.
        }
        // All is said; a peer that does not take leave is not waited for.
        if (!outgoing.await_reader_end(leave_wait)) over->link().abort();
        if (answers.joinable()) answers.join();
        has_left = true;
        if (further) further->stop();
        if (is_cancelled) throw error(errc::cancelled, "interrupted");
    }

    std::optional<std::uint64_t> find_what_it_joins() {
        begin_reading();
        // What is longer waits where it is until its turn has come.
        if (!records->is_next_short(max_join_bytes + over->protection().overhead())) return std::nullopt;
        first_record = records->next();
        if (!first_record || static_cast<frame_type>(first_record->front()) != frame_type::join) return std::nullopt;
        byte_reader frames(*first_record, "a record of the peer");
        const auto wish = decode_join(take_frame(frames).payload);
        try {
            if (over->side() != role::responder || !joins || incoming.is_drained())
                throw error(errc::refused, "nothing can be joined here");
            const auto place = joins->at.redeem(wish.token, over->peer());
            joined_lane = place.at->add(over->shared_link());
            joined = place.at;
            writer.transmit_unnumbered(frame_type::join, 0, encode(result_frame{std::nullopt, "", {}}));
            return place.number;
        } catch (const error& e) {
            if (!joined) refuse_join(e);
            throw;
        }
    }

    [[noreturn]] void refuse_join(const error& why) {
        try {
            // The same whatever was wrong, so that nobody can find out by trying.
            writer.transmit_unnumbered(
                frame_type::join, 0,
                encode(result_frame{errc::auth_failed, "there is nothing that this connection may join", {}}));
            writer.shut_down();
            await_close(over->link());
        } catch (const error&) {
            // It is gone.
        }
        throw error(why.code(), std::string("a further connection was not let join: ") + why.what());
    }

    void serve() {
        try {
            if (!records) begin_reading();
            if (joined) return joined->read(*joined_lane, *records);
            while (deal_with(next_record())) continue;
        } catch (const std::exception& e) {
            const auto why = cause_of(as_error(e));
            const bool had_ended = writer.has_said_bye() && incoming.empty();
            incoming.drop_all(why);
            if (had_ended) return;
            outgoing.fail(why);
            throw why;
        }
        try {
            writer.shut_down();
            // A peer that has taken leave says no more, so nothing that is unread could take back what was written.
            if (merge)
                merge->wait_for_first(close_wait);
            else if (!has_peer_left)
                await_close(over->link());
        } catch (const error&) {
            // The peer has closed already.
        }
        has_left = true;
        end_merge();
    }

    // Further connections stay until here, so that who ends in order hears of that first.
    void end_merge() noexcept {
        if (!merge) return;
        joins->at.withdraw(*merge);
        merge->close();
        over->link().abort();
        if (first_reader.joinable()) first_reader.join();
    }

    // A link that was aborted because a write failed is no cause of its own. A peer that has taken leave is one.
    error cause_of(const error& of_read) const {
        const auto of_write = has_peer_left ? std::nullopt : writer.failure();
        return of_write && of_read.code() == errc::disconnected ? *of_write : of_read;
    }

    void begin_reading() {
        over->complete();
        outgoing.let_in();
        records.emplace(over->link(), over->protection(), over->timing().io_timeout, incoming.heard());
    }

    // The loop of the thread that reads for a side that sends.
    void read_answers() noexcept {
        try {
            begin_reading();
            while (deal_with(next_record())) continue;
            reading_has_ended(nullptr);
        } catch (const std::exception& e) {
            const auto why = as_error(e);
            reading_has_ended(&why);
        }
    }

    // `why` is null after a BYE.
    void reading_has_ended(const error* why) noexcept {
        if (why) {
            const auto cause = cause_of(*why);
            incoming.drop_all(cause);
            outgoing.fail(cause);
            over->link().abort();
            if (further) further->cut(cause);
        }
        outgoing.reader_ended();
    }

    std::optional<const_bytes> next_record() {
        if (first_record) return std::exchange(first_record, std::nullopt);
        if (merge) return merge->next();
        const auto record = records->next();
        return record && are_numbered ? in_order(*record) : record;
    }

    // Over the one connection that there is they come in their order.
    const_bytes in_order(const_bytes record) {
        const auto numbered = take_order(record);
        if (!numbered) {
            require_only_pings(record);
            return {};
        }
        if (numbered->number != next_number++)
            throw error(errc::protocol, "the peer sent a record with a number that is not the next");
        return numbered->rest;
    }

    // False after the last.
    bool deal_with(const std::optional<const_bytes>& record) {
        if (!record) {
            // After our own BYE the peer need not say more.
            if (!writer.has_said_bye() || !incoming.empty() || !outgoing.empty())
                throw error(errc::disconnected, "the peer closed the connection in the middle; try again");
            return false;
        }
        handle_record(*record);
        if (has_peer_left) {
            leave();
            return false;
        }
        if (incoming.is_drained()) writer.say_bye();
        return true;
    }

    void handle_record(const_bytes record) {
        // Until its answers are out the record is not dealt with, and a stop waits for it.
        const auto dealing = incoming.deal_with_record();
        auto last_flush = clock::now();
        byte_reader frames(record, "a record of the peer");
        while (frames.remaining() > 0) {
            handle(take_frame(frames));
            if (clock::now() - last_flush < answer_delay) continue;
            incoming.flush();
            last_flush = clock::now();
        }
        incoming.flush();
    }

    // The peer has said BYE: it offers no more, and it takes no more.
    void leave() {
        if (merge) merge->expect_end();
        outgoing.peer_took_leave();
        incoming.peer_took_leave();
        writer.say_bye();
    }

    void handle(const frame& got) {
        const bool is_about_ours = is_numbered_by(over->side(), got.transfer);
        if (further && got.type != frame_type::ping && got.type != frame_type::streams) further->on_other_answer();
        switch (got.type) {
            case frame_type::offer: return incoming.on_offer(got);
            case frame_type::accept: return is_about_ours ? outgoing.on_accept(got) : incoming.on_confirmation(got);
            case frame_type::data: return incoming.on_data(got);
            case frame_type::compressed_data: return incoming.on_compressed_data(got);
            case frame_type::end: return incoming.on_end(got);
            case frame_type::result: return outgoing.on_result(got);
            case frame_type::cancel: return incoming.on_cancel(got);
            case frame_type::bye: has_peer_left = true; return;
            case frame_type::streams: return on_streams(got);
            case frame_type::join:
                throw error(errc::protocol, "the peer wants to join with a connection that is in use");
            case frame_type::order:
                throw error(errc::protocol, "the peer numbers a record that is to have no number, or a second one");
            case frame_type::ping:
            case frame_type::request: return;
        }
        // Not known, and not critical: skipped.
    }

    void on_streams(const frame& got) {
        if (over->side() == role::initiator) {
            if (!further) throw error(errc::protocol, "the peer grants connections that were not asked for");
            return further->on_answer(got);
        }
        const auto wanted = decode_streams(got.payload);
        if (std::exchange(are_numbered, true))
            throw error(errc::protocol, "the peer asks for further connections a second time");
        streams_frame granted;
        if (joins)
            granted.count =
                static_cast<std::uint16_t>(std::min<std::size_t>(wanted.count, joins->at.max_streams() - 1));
        // At most a quarter of the free descriptors, two for each connection.
        if (reserve)
            granted.count =
                static_cast<std::uint16_t>(std::min<std::size_t>(granted.count, reserve->free_beyond_reserve() / 8));
        if (granted.count > 0) {
            merge = std::make_shared<reorder_buffer>(incoming.heard());
            try {
                first_reader = std::jthread([this] {
                    try {
                        merge->read(merge->first(), *records);
                    } catch (const std::exception&) {
                        // next() throws it.
                    }
                });
                granted.token = joins->at.grant(merge, over->peer(), granted.count, joins->number);
            } catch (const std::system_error&) {
                merge.reset();
                granted.count = 0;
            }
        }
        writer.transmit_unnumbered(frame_type::streams, 0, encode(granted));
    }

    void drain() noexcept {
        incoming.drain();
        // Otherwise the reader says it, when the last transfer has ended.
        if (incoming.is_drained()) writer.say_bye_soon();
    }

    const std::unique_ptr<secure_channel> over;
    const std::optional<joinable> joins;
    const descriptor_reserve* const reserve;
    observer_gate gate;
    link_writer writer;
    incoming_transfers incoming;
    outgoing_transfers outgoing;
    bool has_peer_left = false;  // of the thread that reads
    bool has_left = false;
    std::atomic<bool> is_cancelled = false;
    bool has_begun_listening = false;
    // Of the thread that reads.
    std::optional<record_reader> records;
    std::optional<const_bytes> first_record;  // was read before its turn
    bool are_numbered = false;                // the records of the peer
    std::uint64_t next_number = 0;
    // Of a responder whose peer has further connections.
    std::shared_ptr<reorder_buffer> merge;
    std::jthread first_reader;
    // Of one such connection: what it has joined.
    std::shared_ptr<reorder_buffer> joined;
    std::shared_ptr<reorder_buffer::lane> joined_lane;
    // Of an initiator.
    std::optional<extra_connections> further;
    std::jthread answers;  // last: it uses the rest
};

exchange::exchange(std::unique_ptr<secure_channel> over, sink* into, exchange_options options,
                   exchange_observer& observer, delivery_registry* known, std::optional<joinable> by,
                   const descriptor_reserve* reserve)
    : implementation_(std::make_unique<implementation>(std::move(over), into, options, observer, known, by, reserve)) {}

exchange::~exchange() = default;

transfer_id exchange::announce(source& item, const delivery_attempt& attempt) {
    implementation_->begin_listening();
    return implementation_->outgoing.announce(item, attempt);
}

void exchange::send(transfer_id id, source& item) { implementation_->outgoing.send(id, item); }

void exchange::flush() { implementation_->outgoing.flush(); }

void exchange::settle() {
    implementation_->begin_listening();
    implementation_->outgoing.finish();
    if (implementation_->is_cancelled) throw error(errc::cancelled, "interrupted");
}

void exchange::await_entry() {
    implementation_->begin_listening();
    implementation_->outgoing.wait_until_let_in();
}

std::optional<error> exchange::why_over() const { return implementation_->outgoing.why_over(); }

void exchange::finish() { implementation_->finish(); }

std::optional<std::uint64_t> exchange::find_what_it_joins() { return implementation_->find_what_it_joins(); }

void exchange::serve() { implementation_->serve(); }

void exchange::drain() noexcept { implementation_->drain(); }

void exchange::cancel() noexcept { implementation_->cancel(); }

void exchange::abort() noexcept {
    implementation_->incoming.give_up();
    if (implementation_->further) implementation_->further->cut(error(errc::disconnected, "the exchange was cut"));
    implementation_->over->link().abort();
}

const secure_channel& exchange::over() const noexcept { return *implementation_->over; }

}  // namespace wherry
