#pragma once

#include <chrono>
#include <mutex>
#include <optional>

#include "alarm_clock.hpp"
#include "crew.hpp"
#include "wherry/error.hpp"

namespace wherry {

// Hears the answers for a side that sends. In a sending that lasts a thread of its own does so all the time; in a short
// one whoever waits for an answer reads it, for there a thread, and to be woken by it, would cost more than the
// answers. Thread-safety: listen(), wait_for_end() and join() from the thread that sends; the rest from any.
class answer_reader {
public:
    using clock = std::chrono::steady_clock;

    // What there is to be done; by one thread at a time.
    class steps {
    public:
        // Reads what comes next, and deals with it; false if that was the end. With `until` it need not hear anything:
        // it returns then, and now and then before. Throws if there is nothing more to be read.
        virtual bool read_next(const std::optional<clock::time_point>& until) = 0;
        // Once, after the last: false was returned, or `why` was thrown.
        virtual void reading_has_ended(const error* why) noexcept = 0;

    protected:
        ~steps() = default;
    };

    // A sending that takes longer than `short_time` lasts.
    answer_reader(steps& what, std::chrono::milliseconds short_time) noexcept;
    // REQUIRES: it has never begun, or was joined.
    ~answer_reader();
    answer_reader(const answer_reader&) = delete;
    answer_reader& operator=(const answer_reader&) = delete;

    // From now on there is something to be heard. Idempotent. Throws std::system_error if time cannot be kept.
    void begin();
    // The same, in a sending that will take its time: a thread reads from now on, or once who is reading returns.
    void lasts() noexcept;

    // Reads what comes next on this thread, or returns without, `until` then at the latest. False, and at once, if that
    // is for others to do, or all was read.
    bool listen(clock::time_point until = clock::time_point::max());
    // Until all was read, or for that time: then it is false.
    bool wait_for_end(std::chrono::milliseconds time);
    // Reads to the end. REQUIRES: the link was aborted, or it has ended already.
    void join();

private:
    enum class reads { nothing_yet, nobody, a_listener, the_thread, no_more };

    // What `step` says of the end is told.
    bool step(const std::optional<clock::time_point>& until) noexcept;
    void run() noexcept;
    // Under `mutex_`; false if there is no thread to be had, which is to be told then without it.
    bool start_thread() noexcept;
    void tell_that_there_is_no_thread() noexcept;

    steps& steps_;
    const std::chrono::milliseconds short_time_;
    std::mutex mutex_;
    reads who_ = reads::nothing_yet;
    bool lasts_ = false;
    crew::task thread_;
    std::optional<alarm_clock::ticket> alarm_;  // of the thread that sends
};

}  // namespace wherry
