#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>

#include "alarm_clock.hpp"
#include "crew.hpp"
#include "wherry/error.hpp"

namespace wherry {

// Hears the answers for a side that sends. In a sending that lasts a thread of its own does so all the time; in a short
// one whoever waits for an answer reads it, for there a thread, and to be woken by it, would cost more than the
// answers. Once it has begun it is to be joined before it is destroyed.
//
// Thread-safety: listen(), end_within() and join() from the thread that sends, or one that stands in for it; the rest
// from any.
class answer_reader {
public:
    // What there is to be done.
    class steps {
    public:
        // Reads what comes next, and deals with it; false if that was the end. Throws if there is nothing more to be
        // read. By one thread at a time, as the next.
        virtual bool read_next() = 0;
        // Once, after the last: false was returned, or `why` was thrown.
        virtual void reading_has_ended(const error* why) noexcept = 0;
        // Has whoever reads or writes fail. From any thread.
        virtual void cut() noexcept = 0;

    protected:
        ~steps() = default;
    };

    // A sending that takes longer than `short_time` lasts.
    answer_reader(steps& what, std::chrono::milliseconds short_time) noexcept;
    answer_reader(const answer_reader&) = delete;
    answer_reader& operator=(const answer_reader&) = delete;

    // From now on there is something to be heard. Idempotent. Throws std::system_error if time cannot be kept.
    void begin();
    // The same, in a sending that will take its time: a thread reads from now on, or once who is reading has heard
    // something. If there is none to be had the link is cut: what is blocked would never hear that it waits in vain.
    void lasts() noexcept;

    // Reads what comes next on this thread. False, and at once, if that is for others to do, or all was read; true at
    // once after interrupt(), unless it goes on regardless of that.
    enum class interrupted { returns, goes_on };
    bool listen(interrupted then = interrupted::returns);

    // What the thread that sends would say if it did not wait: if it is listening, another says it in its place, and
    // the link is cut if it has not heard anything after that for `time`. Otherwise it is for itself to say it. Once.
    void interrupt(std::function<void()> instead, std::chrono::milliseconds time) noexcept;

    // While this lives the link is cut after that time; at once if time cannot be kept.
    class time_limit {
    public:
        time_limit(answer_reader& of, std::chrono::milliseconds time) noexcept;
        ~time_limit();
        time_limit(const time_limit&) = delete;
        time_limit& operator=(const time_limit&) = delete;

    private:
        std::optional<alarm_clock::ticket> alarm_;
    };

    // Reads to the end; after that time the link is cut.
    void end_within(std::chrono::milliseconds time);
    // Reads to the end. REQUIRES: the link was cut, or that end was read already.
    void join();

private:
    enum class reads { nothing_yet, nobody, a_listener, the_thread, no_more };

    bool step() noexcept;
    bool lacks_thread();
    void run() noexcept;
    void start_thread() noexcept;  // under `mutex_`
    void let_go_of_stand_in() noexcept;

    steps& steps_;
    const std::chrono::milliseconds short_time_;
    std::mutex mutex_;  // over all that follows
    reads who_ = reads::nothing_yet;
    bool lasts_ = false;
    bool lacks_thread_ = false;
    bool is_interrupted_ = false;
    bool may_be_stood_in_for_ = false;
    crew::task stand_in_;
    std::optional<time_limit> limit_of_stand_in_;
    crew::task thread_;
    std::optional<alarm_clock::ticket> alarm_;  // of the thread that sends
};

}  // namespace wherry
