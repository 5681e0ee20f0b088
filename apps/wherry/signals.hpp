#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "wherry/unique_fd.hpp"

namespace wherry::app {

// Hears SIGINT, SIGTERM and SIGHUP for the whole program. What is to be done then runs on a thread of its own, where
// ordinary code may run; another thread hears them, and ends the program where that code, or all the rest, does not
// come back. SIGPIPE and SIGXFSZ are ignored from then on, and all of them after its end. One at a time.
class signal_watcher {
public:
    // `otherwise` is called, with how many signals have come, while no scope is active and no end was set. It may end
    // the program.
    explicit signal_watcher(std::function<void(unsigned count)> otherwise);
    ~signal_watcher();
    signal_watcher(const signal_watcher&) = delete;
    signal_watcher& operator=(const signal_watcher&) = delete;

    // How many have come.
    unsigned count() const;
    bool is_interrupted() const { return count() > 0; }
    // Which of them is, or was the last to be, handled; 0: none. Also from a handler.
    int latest() const noexcept { return latest_; }

    // The program is to end, and cuts off by itself what it does, when `grace` is over. What keeps it from that then is
    // left behind, as ending_watch says. Of several calls the earliest end counts, and a signal outside of all
    // scopes makes it now. From any thread, also a handler's.
    void end_within(std::chrono::milliseconds grace) noexcept;

    // While it lives, signals go to `handler`, with how many have come since it began; its destructor returns when the
    // handler is not running. If signals had come before, the handler is called at once. Where a handler does not
    // return, and a further signal waits for it, the process ends without it.
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

    void hear();
    void handle_all();
    void stop_handling();

    mutable std::mutex mutex_;  // held while a handler runs; never taken by the thread that hears
    std::function<void(unsigned)> otherwise_;
    std::function<void(unsigned)> handler_;
    std::atomic<int> latest_{0};
    unsigned count_ = 0;
    unsigned count_in_scope_ = 0;

    // Between the thread that hears and the one that handles.
    std::mutex waiting_mutex_;
    std::condition_variable has_news_;
    std::vector<int> waiting_;   // signals that are not handled yet
    std::uint64_t handled_ = 0;  // the one that is being handled included
    bool is_handling_ = false;
    bool is_over_ = false;

    std::atomic<clock::rep> end_at_{std::numeric_limits<clock::rep>::max()};
    unique_fd read_end_;
    unique_fd write_end_;
    std::thread handling_thread_, hearing_thread_;
};

}  // namespace wherry::app
