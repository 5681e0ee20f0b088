// SPDX-License-Identifier: BSD-2-Clause
#include "raw_receiver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "collected_response.hpp"
#include "descriptor_reserve.hpp"
#include "wherry/as_error.hpp"
#include "wherry/clocks.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// Makes a name, because the data of a raw peer have none.
std::string raw_name(connection_id connection, transfer_id number) {
    std::timespec now{};
    std::timespec_get(&now, TIME_UTC);
    std::tm utc{};
    gmtime_r(&now.tv_sec, &utc);
    std::array<char, 32> stamp{};
    std::strftime(stamp.data(), stamp.size(), "%Y%m%dT%H%M%S", &utc);
    // Microseconds, so that no two names are alike, even after a restart.
    std::array<char, 24> fraction{};
    std::snprintf(fraction.data(), fraction.size(), ".%06ldZ", now.tv_nsec / 1000);
    return "raw-" + std::string(stamp.data()) + fraction.data() + "-" + std::to_string(connection) + "-" +
           std::to_string(number);
}

error incomplete(const error& why) {
    return error(why.code(), fmt::format("what came is stored, but it is not complete: {}", why.what()),
                 why.system_error());
}

}  // namespace

// A raw peer's data up to the next end: one delivery, or nothing.
class raw_receiver::dump {
public:
    dump(raw_receiver& receiver, transfer_id number) : receiver_(receiver), number_(number) {}

    // Reads to the end and stores what came, even if the end is a failure, because a raw peer sends nothing again.
    void take() {
        try {
            read();
            if (!going_into_) return;
            is_finishing_ = true;
            going_into_->finish(answer_);
        } catch (const std::exception& e) {
            sink_failure_ = as_error(e);
            if (going_into_ && !is_finishing_) going_into_->abort(delivery::partial::drop);
        }
    }

    // Whether the peer has sent a byte.
    bool has_begun() const noexcept { return has_begun_; }
    receive_end ended_by() const noexcept { return ended_by_; }
    // Why the data are not complete; a failure of the sink is in result() only.
    const std::optional<error>& failure() const noexcept { return failure_; }

    // REQUIRES: has_begun().
    delivery_result result() {
        delivery_result told;
        if (sink_failure_) {
            told = failed(*sink_failure_);
            told.text += "; this delivery is not stored, and its connection is closed";
        } else if (failure_) {
            told = failed(incomplete(*failure_));
        }
        told.outcome = std::move(answer_.outcome);
        told.response = std::move(answer_.bytes);
        told.bytes = bytes_;
        // A sink that fails earlier ends the delivery itself.
        if (!sink_failure_ || is_finishing_) told.ended_by = ended_by_;
        return told;
    }
    const offer& what() const noexcept { return what_; }

private:
    // Throws only what the sink throws.
    void read() {
        auto options = receiver_.limits_;
        options.idle_timeout =
            options.idle_timeout == 0ms ? clocks::raw_attention : std::min(options.idle_timeout, clocks::raw_attention);
        std::optional<error> of_sink;
        try {
            const auto received = receive_all(receiver_.link_, options, [&](const_bytes piece) {
                try {
                    store(piece);
                } catch (const std::exception& e) {
                    of_sink = as_error(e);
                    throw *of_sink;
                }
            });
            ended_by_ = received.how;
            if (ended_by_ == receive_end::limit)
                failure_ = error(errc::exhausted, fmt::format("the peer had more to send than the limit of {} bytes; "
                                                              "the rest is not stored, and its connection is closed",
                                                              receiver_.limits_.max_bytes));
        } catch (const error& e) {
            if (of_sink) throw;
            ended_by_ = receive_end::cut;
            failure_ = receiver_.is_cut_
                           ? error(errc::cancelled, "the receiver was stopped before the delivery had ended")
                           : e;
        }
    }

    void store(const_bytes piece) {
        if (!has_begun_) begin();
        going_into_->write(piece);
        bytes_ += piece.size();
        receiver_.observer_.received_so_far(receiver_.id_, number_, bytes_);
    }

    void begin() {
        has_begun_ = true;
        receiver_.link_.set_read_timeout(receiver_.limits_.idle_timeout);
        what_.kind = item_kind::data;
        what_.name = raw_name(receiver_.id_, number_);
        going_into_ = begin_in_sink();
        receiver_.observer_.receiving(receiver_.id_, number_, what_, 0);
    }

    // Waits for descriptors, because a raw peer sends nothing again.
    std::unique_ptr<delivery> begin_in_sink() const {
        const identity nobody;
        for (const auto until = clock::now() + clocks::descriptor_timeout;;) {
            try {
                return receiver_.sink_.begin(what_, {receiver_.link_.peer_address(), nobody});
            } catch (const error& e) {
                if (!is_out_of_descriptors(e) || receiver_.is_draining_ || receiver_.is_cut_ || clock::now() >= until)
                    throw;
            }
            std::this_thread::sleep_for(clocks::exhausted_pause);
        }
    }

    raw_receiver& receiver_;
    const transfer_id number_;
    offer what_;
    std::unique_ptr<delivery> going_into_;
    collected_response answer_;
    bool has_begun_ = false, is_finishing_ = false;
    std::uint64_t bytes_ = 0;
    receive_end ended_by_ = receive_end::closed;
    std::optional<error> failure_, sink_failure_;
};

raw_receiver::raw_receiver(connection& link, sink& sink, const server_protocol& protocol, server_observer& observer,
                           connection_id id, std::function<bool()> must_leave)
    : link_(link),
      sink_(sink),
      limits_(protocol.raw),
      is_once_(protocol.raw_once),
      observer_(observer),
      id_(id),
      must_leave_(std::move(must_leave)) {}

void raw_receiver::abort() noexcept {
    is_cut_ = true;
    link_.abort();
}

void raw_receiver::serve() {
    const auto connected_at = clock::now();
    for (transfer_id number = 1;;) {
        dump next(*this, number);
        next.take();
        if (next.has_begun()) {
            const auto result = next.result();
            observer_.delivered(id_, number, next.what(), result);
            if (!result.ok() || next.ended_by() != receive_end::idle) return;
            if (is_once_) return refuse_more();
            ++number;
            continue;
        }
        if (next.failure()) throw *next.failure();
        if (next.ended_by() != receive_end::idle || is_draining_) return;
        if (number == 1)
            end_if_silent(connected_at);
        else if (must_leave_())
            throw error(errc::timed_out,
                        "the peer was silent, and another peer waited for its place; raise --max-connections to keep "
                        "silent peers connected");
    }
}

// Throws if the peer has sent nothing for the idle timeout, so that it does not occupy a place.
void raw_receiver::end_if_silent(clock::time_point since) const {
    if (limits_.idle_timeout > 0ms && clock::now() - since >= limits_.idle_timeout)
        throw error(errc::timed_out, "the peer said nothing within the idle timeout");
}

// Throws if the peer has sent more while its one delivery was finished, because those bytes are lost.
void raw_receiver::refuse_more() {
    link_.set_read_timeout(clocks::raw_glance);
    std::byte more;
    try {
        if (link_.read_some({&more, 1}) == 0) return;
    } catch (const error& e) {
        if (e.code() == errc::timed_out) return;
        throw;
    }
    throw error(errc::refused,
                "the peer sent more after the one delivery of its connection; those bytes are not stored");
}

}  // namespace wherry
