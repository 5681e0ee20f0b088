// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "wherry/mutex.hpp"

namespace wherry {

// Calls functions after a delay, all on one thread of the process. It saves short-lived objects a thread of their own
// that only waits.
// Thread-safety: all functions from any thread.
class timer {
public:
    // Returns the timer of this process; a forked child gets its own. It is never destroyed.
    static timer& shared();

    using ticket = std::uint64_t;
    // Calls ring() once, after `delay`. It must return soon and not throw. Throws std::system_error if no thread can be
    // had for it.
    ticket set(std::chrono::milliseconds delay, std::function<void()> ring);
    // Cancels a call, and waits for it if it is running. REQUIRES: not called from ring().
    void cancel(ticket which) noexcept;

private:
    using clock = std::chrono::steady_clock;
    // In the order of their times.
    using key = std::pair<clock::time_point, ticket>;

    timer() = default;
    void run() noexcept;

    std::once_flag start_;
    mutex mutex_;
    condition changed_;  // for the thread
    condition has_rung_;
    // What the thread sleeps until: the latest time there is if nothing is due, the earliest while it is awake.
    clock::time_point awaited_ WHERRY_GUARDED_BY(mutex_) = clock::time_point::min();
    std::map<key, std::function<void()>> due_ WHERRY_GUARDED_BY(mutex_);
    std::map<ticket, clock::time_point> times_ WHERRY_GUARDED_BY(mutex_);
    ticket last_ WHERRY_GUARDED_BY(mutex_) = 0;
    ticket ringing_ WHERRY_GUARDED_BY(mutex_) = 0;
};

}  // namespace wherry
