#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>

#include "record.hpp"
#include "wherry/session.hpp"

namespace wherry {

// Puts sealed records on a session's link, from any thread, one at a time, and says PING when nobody has had anything
// to say for a while.
class link_writer {
public:
    explicit link_writer(session& over);

    // A record of the size that suits the link, for content; and a small one, for a few frames.
    record_buffer make_bulk_record() const;
    record_buffer make_small_record() const;

    // Seals and writes what is in the record, if there is anything, and empties it.
    void transmit(record_buffer& record);
    // Appends a frame to a record, which is written first if there is no room left in it.
    void put(record_buffer& record, frame_type type, std::uint8_t flags, std::uint32_t transfer, const_bytes payload);
    // Writes a frame in a record of its own, at once.
    void transmit_alone(frame_type type, std::uint32_t transfer, const_bytes payload);

    // Takes leave: this side offers no more and has answered everything. Idempotent.
    void say_bye();
    // The same from a thread that must not wait for the link: it is said as soon as the link takes it.
    void say_bye_soon() noexcept;
    bool has_said_bye() const noexcept { return has_said_bye_; }

private:
    void keep_alive(const std::stop_token& stop);

    session& over_;
    std::mutex mutex_;
    std::atomic<std::chrono::steady_clock::time_point> last_sent_;
    std::atomic<bool> has_said_bye_ = false;
    std::mutex wake_mutex_;
    std::condition_variable_any wake_;
    bool wants_bye_ = false;  // under wake_mutex_
    std::jthread keepalive_;  // last: it uses the rest
};

}  // namespace wherry
