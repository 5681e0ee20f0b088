// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "record.hpp"
#include "record_spreader.hpp"
#include "timer.hpp"
#include "wherry/secure_channel.hpp"

namespace wherry {

// What a link took, and how long writes were blocked for that.
struct link_traffic {
    std::uint64_t bytes = 0;
    std::chrono::nanoseconds blocked{0};
};

// Puts sealed records on a channel's link, from any thread, one at a time, and says PING when nobody has had anything
// to say for a while. Where records are numbered, further connections may come to share them.
class link_writer {
public:
    using numbering = record_buffer::numbering;

    link_writer(secure_channel& over, std::chrono::milliseconds ping_interval, numbering how = numbering::none);
    ~link_writer();

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
    // Ends it all, for what else carries records has failed.
    void fail(const error& why) noexcept;

    // Takes leave: this side offers no more and has answered everything. Idempotent; when it returns BYE is out.
    void say_bye();
    // The same from a thread that must not wait for the link: it is said as soon as the link takes it.
    void say_bye_soon() noexcept;
    bool has_said_bye() const noexcept { return has_said_bye_; }

    // Ends this side's half of the link. What is transmitted later throws errc::disconnected.
    void shut_down();

    // All so far.
    link_traffic traffic() const noexcept { return {written_bytes_, std::chrono::nanoseconds(blocked_ns_)}; }

    // The first failure of a write, if there was one. A record that went out in part is the last one.
    std::optional<error> failure() const;

private:
    void start_keepalive() noexcept;
    void keep_alive(const std::stop_token& stop);
    void transmit_numbered(record_buffer& record);
    // Under `mutex_`: returns what it took.
    link_traffic write_locked(record_buffer& record);
    void count(const link_traffic& more) noexcept;

    secure_channel& over_;
    const std::size_t bulk_bytes_;  // asked once: all bulk records have one size
    const std::unique_ptr<record_spreader> spreader_;
    const std::chrono::milliseconds ping_interval_;
    std::mutex mutex_;  // over the link's writing half; a write that waits holds it
    bool is_shut_down_ = false;
    // Apart from it, for who asks why must not wait for the link.
    mutable std::mutex failure_mutex_;
    std::optional<error> failure_;
    std::atomic<std::chrono::steady_clock::time_point> last_sent_;
    std::atomic<std::uint64_t> written_bytes_ = 0;
    std::atomic<std::int64_t> blocked_ns_ = 0;
    std::mutex bye_mutex_;
    std::atomic<bool> has_said_bye_ = false;
    std::mutex wake_mutex_;
    std::condition_variable_any wake_;
    bool wants_bye_ = false;  // under wake_mutex_
    std::jthread keepalive_;  // under wake_mutex_
    timer::ticket alarm_;     // starts it; last: by then all the rest has to be there
};

}  // namespace wherry
