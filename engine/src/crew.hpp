#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace wherry {

// Threads that are used again: for work that is short and comes often, as of connections that bring little, to start a
// thread and to end it takes longer than the work. They keep the signal mask of whoever had them started.
// Thread-safety: all functions from any thread.
class crew {
public:
    // The one of the process; it is never destroyed.
    static crew& shared();

    // What is being done. To be joined before it is destroyed, as a std::thread is.
    class task {
    public:
        task() noexcept = default;
        task(task&&) noexcept = default;
        task& operator=(task&&) noexcept = default;
        ~task();

        bool joinable() const noexcept { return end_ != nullptr; }
        // Waits until it is done, and all that it held is gone.
        void join();
        // Waits for that, but no longer than this; false if it is not done then. It is still to be joined.
        bool wait_for(std::chrono::milliseconds time);

    private:
        friend crew;
        struct end {
            std::mutex mutex;
            std::condition_variable changed;
            bool is_there = false;
        };
        explicit task(std::shared_ptr<end> of) noexcept : end_(std::move(of)) {}

        std::shared_ptr<end> end_;
    };

    // Begins `what`, which does not throw, at once, on a thread that nothing else uses until it is done.
    // Throws std::system_error if there is none to be had.
    task run(std::function<void()> what);

private:
    struct job {
        std::function<void()> what;
        std::shared_ptr<task::end> end;
    };
    struct member {
        std::condition_variable is_called;
        job next;
    };

    crew() = default;
    void work(const std::shared_ptr<member>& self, job first) noexcept;
    bool wait_for_next(const std::shared_ptr<member>& self, job& next) noexcept;

    std::mutex mutex_;
    std::vector<std::shared_ptr<member>> idle_;  // the last to come is the first to be called
    pid_t process_ = 0;                          // that they are threads of
};

}  // namespace wherry
