// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "timer.hpp"
#include "wherry/mutex.hpp"

namespace wherry {

// Says PING where nothing was written for a while, on a thread that starts when the connection is that old: most have
// ended by then. The same thread says BYE for callers that must not wait for the link.
class keepalive {
public:
    // The thread calls them. What `ping` or `bye` throws ends it, after it has called `cut`. If no thread can start,
    // the timer's thread or that of say_bye_soon() calls `cut`.
    struct calls {
        std::function<std::chrono::steady_clock::time_point()> last_written;
        std::function<void()> ping, bye;
        std::function<void()> cut;  // the link; does not throw
    };

    keepalive(std::chrono::milliseconds interval, calls calls);
    // Waits for a call that is being made.
    ~keepalive();

    // From any thread.
    void say_bye_soon() noexcept;

private:
    void start() noexcept WHERRY_REQUIRES(mutex_);
    void run();

    const std::chrono::milliseconds interval_;
    const calls calls_;
    mutex mutex_;
    condition changed_;
    bool wants_bye_ WHERRY_GUARDED_BY(mutex_) = false;
    bool is_ending_ WHERRY_GUARDED_BY(mutex_) = false;
    std::jthread thread_ WHERRY_GUARDED_BY(mutex_);
    timer::ticket due_;  // starts the thread; last: it uses the rest
};

}  // namespace wherry
