// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "wherry/mutex.hpp"

namespace wherry {

// Does jobs one at a time in the order of post(), unless the next one has waited for `patience`. A further thread then
// takes that one, so that slow jobs keep no other waiting for long. A job that comes behind all before it waits until
// those are done. Jobs that follow one another and can be done together are taken as one group. A thread that has had
// nothing to do for `idle_time` ends.
//
// flush() sends what jobs have left: when no job waits, and at most `patience` after the first of them.
//
// Thread-safety: post() and wait() by one thread at a time. It is destroyed when they have returned.
template <class Job>
class overtaking_queue {
public:
    struct shape {
        std::size_t most_pending;  // waiting or being done; post() waits for room
        std::size_t most_threads;
        std::chrono::milliseconds patience;
        std::size_t most_together = 1;
        std::chrono::milliseconds idle_time{2000};
    };
    // All are called from many threads, also at the same time, and do not throw.
    struct calls {
        std::function<void(std::span<Job>)> work;  // a group
        std::function<void()> flush;
        // Whether two jobs can be of one group.
        std::function<bool(const Job&, const Job&)> go_together = nullptr;
    };

    overtaking_queue(shape limits, calls functions) : shape_(limits), calls_(std::move(functions)) {}

    // Does what was posted before it returns.
    ~overtaking_queue() {
        wait();
        mutex_lock lock(mutex_);
        is_closing_ = true;
        changed_.notify_all();
        room_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return threads_.empty(); });
    }

    enum class place { anywhere, behind_all_before };

    // Waits for room. Without any thread it does the job itself.
    void post(Job job, place where = place::anywhere) {
        mutex_lock lock(mutex_);
        room_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return waiting_.size() + busy_jobs_ < shape_.most_pending; });
        if (standing_by_ == 0 && !start_thread() && threads_.empty()) {
            // The system has none to give.
            lock.unlock();
            calls_.work({&job, 1});
            calls_.flush();
            return;
        }
        waiting_.push_back({std::move(job), clock::now(), where});
        // The thread that looks after the first one sees the others.
        if (waiting_.size() == 1) changed_.notify_one();
    }

    // Waits until everything that was posted is done and flushed.
    void wait() noexcept {
        mutex_lock lock(mutex_);
        room_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) {
            return waiting_.empty() && busy_ == 0 && flushing_ == 0 && !unflushed_since_;
        });
    }

private:
    using clock = std::chrono::steady_clock;

    struct waiting_job {
        Job job;
        clock::time_point since;
        place where;
    };

    using thread_place = std::list<std::jthread>::iterator;

    // Starts a thread, which then stands by. Returns false at most_threads, or if none is to be had.
    bool start_thread() WHERRY_REQUIRES(mutex_) {
        ended_.clear();
        if (threads_.size() >= shape_.most_threads) return false;
        try {
            std::vector<Job> group;
            group.reserve(1);
            std::list<std::jthread> fresh(1);
            const auto self = fresh.begin();
            *self = std::jthread([this, self, group = std::move(group)]() mutable { run(self, group); });
            threads_.splice(threads_.end(), fresh);
        } catch (const std::exception&) {
            return false;  // no thread to be had, or no memory
        }
        ++standing_by_;
        return true;
    }

    // `group` has room for one.
    void run(thread_place self, std::vector<Job>& group) noexcept {
        mutex_lock lock(mutex_);
        auto idle_since = clock::now();
        for (;;) {
            const auto now = clock::now();
            const auto overdue = next_overtaking();
            if (!waiting_.empty() && (busy_ == 0 || (overdue && now >= *overdue))) {
                do_next(group);
                idle_since = clock::now();
            } else if (unflushed_since_ && now >= *unflushed_since_ + shape_.patience) {
                flush();
            } else if (waiting_.empty() && !unflushed_since_) {
                if (is_closing_ || now >= idle_since + shape_.idle_time) break;
                changed_.wait_until(lock, idle_since + shape_.idle_time);
            } else if (const auto due = next_look()) {
                changed_.wait_until(lock, *due);
            } else {
                changed_.wait(lock);
            }
        }
        --standing_by_;
        ended_.splice(ended_.end(), threads_, self);
        room_.notify_all();
    }

    // Returns when the next job may overtake those that are being done; nothing if it may not.
    std::optional<clock::time_point> next_overtaking() const WHERRY_REQUIRES(mutex_) {
        if (waiting_.empty() || waiting_.front().where == place::behind_all_before) return std::nullopt;
        return waiting_.front().since + shape_.patience;
    }

    std::optional<clock::time_point> next_look() const WHERRY_REQUIRES(mutex_) {
        auto due = next_overtaking();
        if (unflushed_since_)
            due = std::min(due.value_or(clock::time_point::max()), *unflushed_since_ + shape_.patience);
        return due;
    }

    void take_group(std::vector<Job>& group) WHERRY_REQUIRES(mutex_) {
        const bool is_alone = waiting_.front().where == place::behind_all_before;
        group.push_back(std::move(waiting_.front().job));
        waiting_.pop_front();
        if (is_alone || !calls_.go_together) return;
        while (!waiting_.empty() && group.size() < shape_.most_together && waiting_.front().where == place::anywhere &&
               calls_.go_together(group.front(), waiting_.front().job)) {
            try {
                if (group.size() == group.capacity()) group.reserve(2 * group.size());
            } catch (const std::exception&) {
                return;  // no memory for more; the rest is the next group
            }
            group.push_back(std::move(waiting_.front().job));
            waiting_.pop_front();
        }
    }

    // Releases the mutex while the jobs are done.
    void do_next(std::vector<Job>& group) WHERRY_REQUIRES(mutex_) {
        take_group(group);
        --standing_by_;
        ++busy_;
        busy_jobs_ += group.size();
        // Another thread must watch the waiting jobs and the flush during this work.
        const bool is_looked_after = standing_by_ > 0 || (!waiting_.empty() && start_thread());
        if (is_looked_after && (!waiting_.empty() || unflushed_since_)) changed_.notify_one();
        if (unflushed_since_ && !is_looked_after) flush();
        mutex_.unlock();
        calls_.work(group);
        mutex_.lock();
        const auto now = clock::now();
        if (!unflushed_since_) unflushed_since_ = now;
        if (waiting_.empty() || standing_by_ == 0 || now >= *unflushed_since_ + shape_.patience) flush();
        --busy_;
        busy_jobs_ -= group.size();
        ++standing_by_;
        room_.notify_all();
        // Destroying a job may take long, so the mutex is free meanwhile.
        mutex_.unlock();
        group.clear();
        mutex_.lock();
    }

    // Releases the mutex meanwhile.
    void flush() WHERRY_REQUIRES(mutex_) {
        ++flushing_;
        unflushed_since_.reset();
        mutex_.unlock();
        calls_.flush();
        mutex_.lock();
        --flushing_;
        room_.notify_all();
    }

    const shape shape_;
    const calls calls_;

    mutex mutex_;
    condition changed_;  // for the threads
    condition room_;     // for post(), wait() and the destructor
    std::deque<waiting_job> waiting_ WHERRY_GUARDED_BY(mutex_);
    std::size_t busy_ WHERRY_GUARDED_BY(mutex_) = 0;  // threads; the others stand by
    std::size_t busy_jobs_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::size_t standing_by_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::size_t flushing_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::optional<clock::time_point> unflushed_since_ WHERRY_GUARDED_BY(mutex_);
    bool is_closing_ WHERRY_GUARDED_BY(mutex_) = false;
    std::list<std::jthread> threads_ WHERRY_GUARDED_BY(mutex_);
    std::list<std::jthread> ended_ WHERRY_GUARDED_BY(mutex_);  // are joined by the next to start, or with the queue
};

}  // namespace wherry
