#include "wherry/exchange.hpp"

#include <botan/system_rng.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "incoming.hpp"
#include "link_writer.hpp"
#include "outgoing.hpp"
#include "record.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

// Answers wait this long for company while more is being taken apart.
constexpr std::chrono::milliseconds answer_delay{20};
// How long a side that has said BYE waits for the peer's.
constexpr std::chrono::seconds leave_wait{5};

error as_error(const std::exception& e) {
    const auto* const known = dynamic_cast<const error*>(&e);
    return known ? *known : error(errc::internal, e.what());
}

}  // namespace

// Ties the two directions to one link: frames go out through one writer, and come in through one reader.
struct exchange::implementation {
    implementation(std::unique_ptr<session> given, sink* into, exchange_options options, exchange_observer& observer,
                   delivery_registry* known)
        : over(std::move(given)),
          gate(observer),
          writer(*over, options.timing.ping_interval),
          incoming(*over, into, writer, gate, known),
          outgoing(*over, options, writer, gate) {}

    ~implementation() {
        if (!has_left) over->link().abort();
        if (reader.joinable()) reader.join();
    }

    // A side that sends reads on a thread of its own, so that answers are heard while it is still sending.
    void start_reader() {
        if (reader.joinable()) return;
        // A receiver that is busy with its disk does not read, and yet says PING: how long a write takes tells nothing.
        // A peer that is gone is found out by the reader, which then ends the write.
        over->link().set_write_timeout(std::chrono::milliseconds(0));
        reader = std::thread([this] {
            try {
                read_until_bye();
            } catch (const std::exception& e) {
                const auto why = cause_of(as_error(e));
                incoming.drop_all(why);
                outgoing.fail(why);
                over->link().abort();
            }
            outgoing.reader_ended();
        });
    }

    void finish() {
        start_reader();
        outgoing.finish();
        try {
            writer.say_bye();
        } catch (const error&) {
            // Everything is answered; a link that breaks now takes nothing away.
        }
        // All is said; a peer that does not take leave is not waited for.
        if (!outgoing.wait_for_reader(leave_wait)) over->link().abort();
        reader.join();
        has_left = true;
        if (is_cancelled) throw error(errc::cancelled, "interrupted");
    }

    void serve() {
        try {
            read_until_bye();
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
            await_close(over->link());
        } catch (const error&) {
            // The peer has closed already.
        }
        has_left = true;
    }

    // A link that was aborted because a write failed is no cause of its own.
    error cause_of(const error& of_read) const {
        const auto of_write = writer.failure();
        return of_write && of_read.code() == errc::disconnected ? *of_write : of_read;
    }

    void read_until_bye() {
        over->complete();
        outgoing.let_in();
        record_reader records(over->link(), over->protection(), over->timing().io_timeout, incoming.heard());
        while (const auto record = records.next()) {
            handle_record(*record);
            if (has_peer_left) return leave();
            if (incoming.is_drained()) writer.say_bye();
        }
        // After our own BYE the peer need not say more.
        if (!writer.has_said_bye() || !incoming.empty() || !outgoing.empty())
            throw error(errc::disconnected, "the peer closed the connection in the middle; try again");
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
        outgoing.peer_took_leave();
        incoming.peer_took_leave();
        writer.say_bye();
    }

    void handle(const frame& got) {
        const bool is_about_ours = is_numbered_by(over->side(), got.transfer);
        switch (got.type) {
            case frame_type::offer: return incoming.on_offer(got);
            case frame_type::accept: return is_about_ours ? outgoing.on_accept(got) : incoming.on_confirmation(got);
            case frame_type::data: return incoming.on_data(got);
            case frame_type::packed: return incoming.on_packed(got);
            case frame_type::end: return incoming.on_end(got);
            case frame_type::result: return outgoing.on_result(got);
            case frame_type::cancel: return incoming.on_cancel(got);
            case frame_type::bye: has_peer_left = true; return;
            case frame_type::ping:
            case frame_type::request: return;
        }
        // Not known, and not critical: skipped.
    }

    void drain() noexcept {
        incoming.drain();
        // Otherwise the reader says it, when the last transfer has ended.
        if (incoming.is_drained()) writer.say_bye_soon();
    }

    const std::unique_ptr<session> over;
    observer_gate gate;
    link_writer writer;
    incoming_transfers incoming;
    outgoing_transfers outgoing;
    bool has_peer_left = false;  // of the thread that reads
    bool has_left = false;
    std::atomic<bool> is_cancelled = false;
    std::thread reader;
};

delivery_id make_delivery_id() {
    delivery_id id;
    Botan::system_rng().randomize(reinterpret_cast<std::uint8_t*>(id.data()), id.size());
    return id;
}

exchange::exchange(std::unique_ptr<session> over, sink* into, exchange_options options, exchange_observer& observer,
                   delivery_registry* known)
    : implementation_(std::make_unique<implementation>(std::move(over), into, options, observer, known)) {}

exchange::~exchange() = default;

transfer_id exchange::announce(source& item, const delivery_attempt& attempt) {
    implementation_->start_reader();
    return implementation_->outgoing.announce(item, attempt);
}

void exchange::send(transfer_id id, source& item) { implementation_->outgoing.send(id, item); }

void exchange::flush() { implementation_->outgoing.flush(); }

void exchange::settle() {
    implementation_->start_reader();
    implementation_->outgoing.finish();
    if (implementation_->is_cancelled) throw error(errc::cancelled, "interrupted");
}

void exchange::await_entry() {
    implementation_->start_reader();
    implementation_->outgoing.wait_until_let_in();
}

std::optional<error> exchange::why_over() const { return implementation_->outgoing.why_over(); }

void exchange::finish() { implementation_->finish(); }

void exchange::serve() { implementation_->serve(); }

void exchange::drain() noexcept { implementation_->drain(); }

void exchange::cancel() noexcept {
    implementation_->is_cancelled = true;
    implementation_->outgoing.cancel();
}

void exchange::abort() noexcept {
    implementation_->incoming.give_up();
    implementation_->over->link().abort();
}

const session& exchange::over() const noexcept { return *implementation_->over; }

}  // namespace wherry
