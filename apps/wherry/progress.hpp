// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "console.hpp"
#include "wherry/mutex.hpp"

namespace wherry::app {

using progress_clock = std::chrono::steady_clock;

// How far everything is.
struct progress_state {
    std::uint64_t bytes = 0;
    std::optional<std::uint64_t> total_bytes;  // none: some part's size is not known
    std::size_t items = 0;                     // ended
    std::size_t total_items = 0;               // 0: not known
    std::string current;                       // what is moving; fit for a terminal
    double bytes_per_second = 0;
};

// The speed over the last few seconds.
class rate_meter {
public:
    void sample(progress_clock::time_point when, std::uint64_t bytes);
    // Forgets what was before: a pause is not to count.
    void restart(progress_clock::time_point when, std::uint64_t bytes);
    double bytes_per_second() const noexcept;

private:
    static constexpr std::chrono::seconds window{5};
    std::deque<std::pair<progress_clock::time_point, std::uint64_t>> samples_;
};

// "0:07", "12:34", "3:05:09", "4 d 3 h".
std::string human_duration(std::chrono::seconds length);

// How long the rest will take at this speed; none if that cannot be told.
std::optional<std::chrono::seconds> time_left(const progress_state& state);

// The columns that a terminal uses for `text`, which is UTF-8.
std::size_t display_width(std::string_view text);

// The state as one line that is narrower than `columns`: what matters less gives way first.
std::string render_progress(const progress_state& state, std::size_t columns);

// The state as a sentence for a log.
std::string describe_progress(const progress_state& state);

// Collects how far transfers are, and tells it now and then from a thread of its own.
// Thread-safety: all functions from any thread; `tell` is called by one at a time.
class progress_meter {
public:
    using transfer_key = std::pair<std::uint64_t, std::uint32_t>;  // connection, transfer

    // Calls `tell` every `interval` while something is in flight and has moved, and at least once a second; and once
    // with nothing when all has come to rest.
    progress_meter(std::chrono::milliseconds interval, std::function<void(const progress_state*)> tell);
    ~progress_meter();
    progress_meter(const progress_meter&) = delete;
    progress_meter& operator=(const progress_meter&) = delete;

    // A side that knows beforehand what there is to do. `bytes` as in progress_state.
    void expect(std::size_t items, std::optional<std::uint64_t> bytes);

    void begin(transfer_key which, std::string shown_name, std::optional<std::uint64_t> size, std::uint64_t already);
    // `position` counts what was there already, too.
    void advance(transfer_key which, std::uint64_t position);
    // Its whole size counts as done, whether it was moved or not; false if it never began.
    bool end(transfer_key which);
    // Forgets a transfer that was cut and may begin again.
    void withdraw(transfer_key which);
    // The same for all transfers in flight.
    void withdraw_all();
    // An item that never began.
    void skip(std::uint64_t size);

    // Tells no more. Idempotent.
    void stop();

private:
    struct transfer {
        std::string name;
        std::optional<std::uint64_t> size;
        std::uint64_t position = 0;
        std::uint64_t touched = 0;  // the larger, the later
    };

    void run(std::stop_token stopped);
    progress_state state_now() WHERRY_REQUIRES(mutex_);

    const std::chrono::milliseconds interval_;
    const std::function<void(const progress_state*)> tell_;

    mutex mutex_;
    std::condition_variable_any changed_;
    // The thread waits for something to begin; otherwise it looks every interval.
    bool is_idle_ WHERRY_GUARDED_BY(mutex_) = false;
    bool has_changed_ WHERRY_GUARDED_BY(mutex_) = false;
    bool has_begun_ WHERRY_GUARDED_BY(mutex_) = false;
    bool knows_total_ WHERRY_GUARDED_BY(mutex_) = false;
    std::optional<std::uint64_t> expected_bytes_ WHERRY_GUARDED_BY(mutex_);
    std::size_t expected_items_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::map<transfer_key, transfer> active_ WHERRY_GUARDED_BY(mutex_);
    std::uint64_t ended_bytes_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::size_t ended_items_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::uint64_t moved_bytes_ WHERRY_GUARDED_BY(mutex_) = 0;  // over the link: what the rate is made of
    std::uint64_t touch_ WHERRY_GUARDED_BY(mutex_) = 0;
    rate_meter rate_ WHERRY_GUARDED_BY(mutex_);

    std::jthread thread_;
};

}  // namespace wherry::app
