#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace wherry {

// Jobs that one thread does in the order in which they come, as long as that goes quickly: a job that has waited for
// `patience` is taken by a further thread, so that one that takes long keeps no other waiting. A job that comes behind
// others in meaning, too, waits until all before it are done.
//
// What jobs leave to be sent off together is sent by flush(): when no job is waiting, and never later than `patience`
// after the first of them.
//
// Thread-safety: post() and wait() by one thread, which is also the one that destroys it.
template <class Job>
class overtaking_queue {
public:
    struct shape {
        std::size_t most_pending;  // waiting or being done; post() waits for room
        std::size_t most_threads;
        std::chrono::milliseconds patience;
    };

    // Both are called from many threads, also at the same time, and do not throw.
    overtaking_queue(shape of, std::function<void(Job&&)> work, std::function<void()> flush)
        : shape_(of), work_(std::move(work)), flush_(std::move(flush)) {}

    // Does what was posted before it returns.
    ~overtaking_queue() {
        wait();
        {
            const std::lock_guard lock(mutex_);
            is_closing_ = true;
            changed_.notify_all();
        }
        for (auto& thread : threads_) thread.join();
    }

    enum class place { anywhere, behind_all_before };

    void post(Job job, place where = place::anywhere) {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return waiting_.size() + busy_ < shape_.most_pending; });
        if (standing_by_ == 0 && !start_thread() && threads_.empty()) {
            // The system has none to give.
            lock.unlock();
            work_(std::move(job));
            flush_();
            return;
        }
        waiting_.push_back({std::move(job), clock::now(), where});
        if (busy_ == 0 || waiting_.size() == 1) changed_.notify_one();
    }

    // Until everything that was posted is done, and flushed.
    void wait() noexcept {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return waiting_.empty() && busy_ == 0 && flushing_ == 0 && !unflushed_since_; });
    }

private:
    using clock = std::chrono::steady_clock;

    struct waiting_job {
        Job job;
        clock::time_point since;
        place where;
    };

    // All that follows: with the lock held.

    // A thread is either standing by or busy.
    bool start_thread() {
        if (threads_.size() >= shape_.most_threads) return false;
        try {
            threads_.emplace_back([this] { run(); });
        } catch (const std::exception&) {
            return false;  // no thread to be had, or no memory
        }
        ++standing_by_;
        return true;
    }

    void run() noexcept {
        std::unique_lock lock(mutex_);
        for (;;) {
            const auto now = clock::now();
            const auto overdue = next_overtaking();
            if (!waiting_.empty() && (busy_ == 0 || (overdue && now >= *overdue))) {
                do_next(lock);
            } else if (unflushed_since_ && now >= *unflushed_since_ + shape_.patience) {
                flush(lock);
            } else if (is_closing_ && waiting_.empty()) {
                --standing_by_;
                return;
            } else if (const auto due = next_deadline()) {
                changed_.wait_until(lock, *due);
            } else {
                changed_.wait(lock);
            }
        }
    }

    // When the next job may be taken although others are being done.
    std::optional<clock::time_point> next_overtaking() const {
        if (waiting_.empty() || waiting_.front().where == place::behind_all_before) return std::nullopt;
        return waiting_.front().since + shape_.patience;
    }

    std::optional<clock::time_point> next_deadline() const {
        auto due = next_overtaking();
        if (unflushed_since_)
            due = std::min(due.value_or(clock::time_point::max()), *unflushed_since_ + shape_.patience);
        return due;
    }

    void do_next(std::unique_lock<std::mutex>& lock) {
        auto taken = std::move(waiting_.front().job);
        const bool was_held = waiting_.front().where == place::behind_all_before;
        waiting_.pop_front();
        // What comes behind it has a time by when again.
        if (was_held) changed_.notify_one();
        --standing_by_;
        ++busy_;
        // Somebody has to look after what is left while this job takes its time.
        const bool is_watched = standing_by_ > 0 || (!waiting_.empty() && start_thread());
        if (unflushed_since_ && !is_watched) flush(lock);
        lock.unlock();
        work_(std::move(taken));
        lock.lock();
        const auto now = clock::now();
        if (!unflushed_since_) unflushed_since_ = now;
        if (waiting_.empty() || standing_by_ == 0 || now >= *unflushed_since_ + shape_.patience) flush(lock);
        --busy_;
        ++standing_by_;
        room_.notify_all();
        // What is to be flushed has a time by when.
        if (unflushed_since_) changed_.notify_one();
    }

    void flush(std::unique_lock<std::mutex>& lock) {
        ++flushing_;
        unflushed_since_.reset();
        lock.unlock();
        flush_();
        lock.lock();
        --flushing_;
        room_.notify_all();
    }

    const shape shape_;
    const std::function<void(Job&&)> work_;
    const std::function<void()> flush_;

    std::mutex mutex_;
    std::condition_variable changed_;  // for the threads
    std::condition_variable room_;     // for post() and wait()
    std::deque<waiting_job> waiting_;
    std::size_t busy_ = 0;
    std::size_t standing_by_ = 0;
    std::size_t flushing_ = 0;
    std::optional<clock::time_point> unflushed_since_;
    bool is_closing_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace wherry
