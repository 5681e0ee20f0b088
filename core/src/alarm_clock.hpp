#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace wherry {

// Calls functions after some time, all on one thread of the process, for what is too short-lived, mostly, to have a
// thread of its own only to wait.
// Thread-safety: all functions from any thread.
class alarm_clock {
public:
    // The one of the process; it is never destroyed. Throws std::system_error if its thread cannot be had.
    static alarm_clock& shared();

    using ticket = std::uint64_t;
    // Calls ring() once, `after` that time. It must return soon and not throw.
    ticket set(std::chrono::milliseconds after, std::function<void()> ring);
    // When this returns, that one rings no more and is not ringing. Not to be called by what rings.
    void cancel(ticket which) noexcept;

private:
    using clock = std::chrono::steady_clock;
    // In the order of their times.
    using key = std::pair<clock::time_point, ticket>;

    alarm_clock();
    void run() noexcept;

    std::mutex mutex_;
    std::condition_variable changed_;  // for the thread
    std::condition_variable has_rung_;
    std::map<key, std::function<void()>> due_;
    std::map<ticket, clock::time_point> times_;
    ticket last_ = 0;
    ticket ringing_ = 0;
};

}  // namespace wherry
