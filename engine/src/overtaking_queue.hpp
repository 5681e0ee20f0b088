#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "crew.hpp"

namespace wherry {

// Jobs that one thread does in the order in which they come, as long as that goes quickly: a job that has waited for
// `patience` is taken by a further thread, so that one that takes long keeps no other waiting. A job that comes behind
// others in meaning, too, waits until all before it are done. Jobs that follow one another and can be done together are
// taken as one group.
//
// What jobs leave to be sent off together is sent by flush(): when no job is waiting, and never later than `patience`
// after the first of them.
//
// To wake a thread costs as much as many a job. So post() does not as long as one looks after what comes, which one
// does for `patience` after each job; who has posted a few calls begin(). Should that be long in coming, for the poster
// may wait for what only these jobs bring about, they are begun after `patience` at the latest.
//
// Thread-safety: post(), begin() and wait() by one thread at a time. It is destroyed when they have returned.
template <class Job>
class overtaking_queue {
public:
    struct shape {
        std::size_t most_pending;  // waiting or being done; post() waits for room
        std::size_t most_threads;
        std::chrono::milliseconds patience;
        std::size_t most_together = 1;
    };
    // All are called from many threads, also at the same time, and do not throw.
    struct calls {
        std::function<void(std::span<Job>)> work;  // a group
        std::function<void()> flush;
        // Whether two jobs can be of one group.
        std::function<bool(const Job&, const Job&)> go_together = nullptr;
    };

    overtaking_queue(shape of, calls to) : shape_(of), calls_(std::move(to)) {}

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

    // To be done once begin() was called, or there is no more room, or `patience` is over.
    void post(Job job, place where = place::anywhere) {
        std::unique_lock lock(mutex_);
        if (!has_room()) {
            wake_one();
            await(lock, [&] { return has_room(); });
        }
        if (standing_by_ == 0 && !start_thread() && threads_.empty()) {
            // The system has none to give.
            if (where == place::behind_all_before) await(lock, [&] { return busy_ == 0; });
            lock.unlock();
            calls_.work({&job, 1});
            calls_.flush();
            return;
        }
        waiting_.push_back({std::move(job), clock::now(), where});
        if (!is_watched_ && !std::exchange(is_woken_, true)) changed_.notify_one();
    }

    void begin() noexcept {
        const std::lock_guard lock(mutex_);
        wake_one();
    }

    // Until everything that was posted is done, and flushed.
    void wait() noexcept {
        std::unique_lock lock(mutex_);
        wake_one();
        await(lock, [&] { return waiting_.empty() && busy_ == 0 && flushing_ == 0 && !unflushed_since_; });
    }

private:
    using clock = std::chrono::steady_clock;

    struct waiting_job {
        Job job;
        clock::time_point since;
        place where;
    };

    // All that follows: with the lock held.

    bool has_room() const noexcept { return waiting_.size() + busy_jobs_ < shape_.most_pending; }

    template <class Condition>
    void await(std::unique_lock<std::mutex>& lock, Condition&& holds) {
        is_awaited_ = true;
        room_.wait(lock, std::forward<Condition>(holds));
        is_awaited_ = false;
    }

    // Only where nobody would look of himself: one that is busy looks when it is done, and one that watches looks when
    // the next job is due, which is never before what it knows of.
    void wake_one() noexcept {
        if (waiting_.empty() && !unflushed_since_) return;
        if (busy_ == 0 || !is_watched_) changed_.notify_one();
    }

    // A thread is either standing by or busy.
    bool start_thread() {
        if (threads_.size() >= shape_.most_threads) return false;
        try {
            const auto group = std::make_shared<std::vector<Job>>();
            group->reserve(1);
            threads_.reserve(threads_.size() + 1);
            threads_.push_back(crew::shared().run([this, group] { run(*group); }));
        } catch (const std::exception&) {
            return false;  // no thread to be had, or no memory
        }
        ++standing_by_;
        return true;
    }

    // `group` has room for one.
    void run(std::vector<Job>& group) noexcept {
        std::unique_lock lock(mutex_);
        for (;;) {
            is_woken_ = false;
            const auto now = clock::now();
            const auto overdue = next_overtaking();
            if (!waiting_.empty() && (busy_ == 0 || (overdue && now >= *overdue))) {
                do_next(lock, group);
            } else if (unflushed_since_ && now >= *unflushed_since_ + shape_.patience) {
                flush(lock);
            } else if (is_closing_ && waiting_.empty()) {
                --standing_by_;
                return;
            } else if (const auto due = next_look(now); due && !is_watched_) {
                is_watched_ = true;
                changed_.wait_until(lock, *due);
                is_watched_ = false;
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

    std::optional<clock::time_point> next_look(clock::time_point now) const {
        auto due = next_overtaking();
        if (unflushed_since_)
            due = std::min(due.value_or(clock::time_point::max()), *unflushed_since_ + shape_.patience);
        if (!due && now < last_done_ + shape_.patience) due = last_done_ + shape_.patience;
        return due;
    }

    void take_group(std::vector<Job>& group) {
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

    void do_next(std::unique_lock<std::mutex>& lock, std::vector<Job>& group) {
        take_group(group);
        --standing_by_;
        ++busy_;
        busy_jobs_ += group.size();
        // Somebody has to look after what is left while this takes its time.
        const bool is_looked_after = standing_by_ > 0 || (!waiting_.empty() && start_thread());
        if (!waiting_.empty() && is_looked_after) wake_one();
        if (unflushed_since_ && !is_looked_after) flush(lock);
        lock.unlock();
        calls_.work(group);
        lock.lock();
        const auto now = clock::now();
        last_done_ = now;
        if (!unflushed_since_) unflushed_since_ = now;
        if (waiting_.empty() || standing_by_ == 0 || now >= *unflushed_since_ + shape_.patience) flush(lock);
        --busy_;
        busy_jobs_ -= group.size();
        ++standing_by_;
        if (is_awaited_) room_.notify_all();
        // What a job holds may take its time to let go of.
        lock.unlock();
        group.clear();
        lock.lock();
    }

    void flush(std::unique_lock<std::mutex>& lock) {
        ++flushing_;
        unflushed_since_.reset();
        lock.unlock();
        calls_.flush();
        lock.lock();
        --flushing_;
        if (is_awaited_) room_.notify_all();
    }

    const shape shape_;
    const calls calls_;

    std::mutex mutex_;
    std::condition_variable changed_;  // for the threads
    std::condition_variable room_;     // for post() and wait()
    bool is_awaited_ = false;          // by one of these two
    std::deque<waiting_job> waiting_;
    std::size_t busy_ = 0;  // threads
    std::size_t busy_jobs_ = 0;
    std::size_t standing_by_ = 0;
    bool is_watched_ = false;  // one of those waits only until the next job is due
    bool is_woken_ = false;    // one has been told to look, and nobody has yet
    clock::time_point last_done_{};
    std::size_t flushing_ = 0;
    std::optional<clock::time_point> unflushed_since_;
    bool is_closing_ = false;
    std::vector<crew::task> threads_;
};

}  // namespace wherry
