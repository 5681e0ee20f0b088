#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "wherry/unique_fd.hpp"

namespace wherry::app {

// Hears SIGINT, SIGTERM and SIGHUP for the whole program, on a thread of its own, where ordinary code may run. SIGPIPE
// and SIGXFSZ are ignored from then on, and all of them after its end. One at a time.
class signal_watcher {
public:
    // `otherwise` is called, with how many signals have come, while no scope is active. It may end the program.
    explicit signal_watcher(std::function<void(unsigned count)> otherwise);
    ~signal_watcher();
    signal_watcher(const signal_watcher&) = delete;
    signal_watcher& operator=(const signal_watcher&) = delete;

    // How many have come.
    unsigned count() const;
    bool is_interrupted() const { return count() > 0; }
    // Which of them came last; 0: none has. Also from a handler.
    int latest() const noexcept { return latest_; }

    // While it lives, signals go to `handler`, with how many have come since it began; its destructor returns when the
    // handler is not running. If signals had come before, the handler is called at once.
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
    void watch();

    mutable std::mutex mutex_;
    std::function<void(unsigned)> otherwise_;
    std::function<void(unsigned)> handler_;
    std::atomic<int> latest_{0};
    unsigned count_ = 0;
    unsigned count_in_scope_ = 0;
    unique_fd read_end_;
    unique_fd write_end_;
    std::thread thread_;
};

}  // namespace wherry::app
