// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "keepalive.hpp"
#include "record.hpp"
#include "record_spreader.hpp"
#include "wherry/mutex.hpp"
#include "wherry/secure_channel.hpp"

namespace wherry {

// What a link took, and how long writes were blocked for that.
struct link_traffic {
    std::uint64_t bytes = 0;
    std::chrono::nanoseconds blocked{0};
};

// Seals records and writes them to a channel's link, one at a time, from any thread. Says PING after ping_interval
// without a write. Where records are numbered, extra connections may come to share them.
class link_writer {
public:
    using numbering = record_buffer::numbering;

    explicit link_writer(secure_channel& channel, numbering how = numbering::none);

    // A record of the size that suits the link, for content; and a small one, for a few frames.
    record_buffer make_bulk_record() const;
    record_buffer make_small_record() const;

    // Seals and writes what is in the record, if there is anything, and empties it.
    void transmit(record_buffer& record);
    // Appends a frame to a record, which is written first if there is no room left in it.
    void put(record_buffer& record, frame_type type, std::uint8_t flags, std::uint32_t transfer, const_bytes payload);
    // Writes a frame in a record of its own, at once.
    void transmit_alone(frame_type type, std::uint32_t transfer, const_bytes payload);
    // The same, in a record without a number in any case.
    void transmit_unnumbered(frame_type type, std::uint8_t flags, const_bytes payload);
    // Seals and writes a record that has its number, if it is to have one, over this link.
    void write(record_buffer& record);

    // Null where records have no numbers.
    record_spreader* spreader() const noexcept { return spreader_.get(); }
    // Ends all writing and cuts the link, because another connection has failed.
    void fail(const error& why) noexcept;

    // Says BYE, once: this side offers no more and has answered everything. Returns after BYE is written, or, while
    // extra connections share the writing, after it is queued. Later calls do nothing, even if the first one threw.
    void say_bye();
    // The same from a thread that must not wait for the link: it is said as soon as the link takes it.
    void say_bye_soon() noexcept { keepalive_.say_bye_soon(); }
    bool has_said_bye() const noexcept { return has_said_bye_; }

    // Ends this side's half of the link. What is transmitted later throws errc::disconnected.
    void shut_down();

    // All so far.
    link_traffic traffic() const noexcept { return {written_bytes_, std::chrono::nanoseconds(blocked_ns_)}; }

    // Returns why nothing more can be written: a write failed, or fail() was called. A record that went out in part is
    // the last one.
    std::optional<error> failure() const;
    // Why the link is over for a reader that failed. A link that was aborted because a write failed is no cause of its
    // own: the failed write is.
    error cause_of(const error& read_failure) const;

private:
    void transmit_numbered(record_buffer& record);
    link_traffic write_locked(record_buffer& record) WHERRY_REQUIRES(mutex_);
    void count(const link_traffic& more) noexcept;

    secure_channel& channel_;
    const std::size_t bulk_bytes_;  // asked once: all bulk records have one size
    const std::unique_ptr<record_spreader> spreader_;
    mutex mutex_;  // over the link's writing half; a write that waits holds it
    bool is_shut_down_ WHERRY_GUARDED_BY(mutex_) = false;
    // A mutex of its own: failure() must not wait for a write.
    mutable mutex failure_mutex_;
    std::optional<error> failure_ WHERRY_GUARDED_BY(failure_mutex_);
    std::atomic<std::chrono::steady_clock::time_point> last_sent_;
    std::atomic<std::uint64_t> written_bytes_ = 0;
    std::atomic<std::int64_t> blocked_ns_ = 0;
    mutex bye_mutex_;  // held while BYE is written
    std::atomic<bool> has_said_bye_ = false;
    keepalive keepalive_;  // last: its thread uses the rest
};

}  // namespace wherry
