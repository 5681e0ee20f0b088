// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <thread>
#include <vector>

#include "wherry/mutex.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::app {

// Handles SIGINT, SIGTERM and SIGHUP for the whole program, but for those that are ignored when it begins. A handler
// runs on a thread of its own, where ordinary code may run. A second thread watches for signals, and ends the program
// if a handler, or the program itself, hangs. SIGPIPE and SIGXFSZ are ignored from then on, and all of these signals
// after its end. One at a time.
class signal_watcher {
public:
    // `otherwise` is called with the number of signals so far, while no scope is active and end_within() was not
    // called. It may end the program.
    explicit signal_watcher(std::function<void(unsigned count)> otherwise);
    ~signal_watcher();
    signal_watcher(const signal_watcher&) = delete;
    signal_watcher& operator=(const signal_watcher&) = delete;

    // How many have come.
    unsigned count() const;
    bool is_interrupted() const { return count() > 0; }
    // Returns the signal that is being handled, or was handled last; 0: none. Also from a handler.
    int latest() const noexcept { return latest_; }

    // Tells that the program will cut its transfers after `grace`, and then end. If it does not end, ending_watch ends
    // it. The earliest end of several calls counts; a signal outside of all scopes sets it to now. From any thread,
    // also a handler's.
    void end_within(std::chrono::milliseconds grace) noexcept;

    // While it lives, signals go to `handler`, with how many have come since it began; its destructor returns when the
    // handler is not running. If signals had come before, the handler is called at once. If a handler hangs and a
    // further signal waits, ending_watch ends the process.
    class scope {
    public:
        scope(signal_watcher& watcher, std::function<void(unsigned count)> handler);
        ~scope();
        scope(const scope&) = delete;
        scope& operator=(const scope&) = delete;

    private:
        signal_watcher& watcher_;
    };

private:
    using clock = std::chrono::steady_clock;

    void watch();
    void handle_all();
    void stop_handling();

    mutable mutex mutex_;  // held while a handler runs; never taken by the watching thread
    std::function<void(unsigned)> otherwise_;
    std::function<void(unsigned)> handler_ WHERRY_GUARDED_BY(mutex_);
    std::atomic<int> latest_{0};
    unsigned count_ WHERRY_GUARDED_BY(mutex_) = 0;
    unsigned count_in_scope_ WHERRY_GUARDED_BY(mutex_) = 0;

    // Shared by the watching thread and the handling one.
    mutex waiting_mutex_;
    condition has_news_;
    std::vector<int> waiting_ WHERRY_GUARDED_BY(waiting_mutex_);   // signals that are not handled yet
    std::uint64_t handled_ WHERRY_GUARDED_BY(waiting_mutex_) = 0;  // how many, including the one that is being handled
    bool is_handling_ WHERRY_GUARDED_BY(waiting_mutex_) = false;
    bool is_over_ WHERRY_GUARDED_BY(waiting_mutex_) = false;

    std::atomic<clock::rep> end_at_{std::numeric_limits<clock::rep>::max()};
    unique_fd read_end_;
    unique_fd write_end_;
    std::jthread handling_thread_, watching_thread_;
};

}  // namespace wherry::app
