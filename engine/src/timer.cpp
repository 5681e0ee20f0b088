// SPDX-License-Identifier: BSD-2-Clause
#include "timer.hpp"

#include <pthread.h>

#include <atomic>
#include <thread>
#include <utility>

namespace wherry {

timer& timer::shared() {
    static std::atomic<timer*> of_this_process = nullptr;
    // What was to ring before a fork is the parent's, and so is the thread.
    static const int is_told_of_forks = ::pthread_atfork(nullptr, nullptr, [] { of_this_process = nullptr; });
    (void)is_told_of_forks;
    if (auto* const known = of_this_process.load()) return *known;
    // Its thread may still wait when the program ends, so what that waits on stays.
    auto* const fresh = new timer;
    timer* other = nullptr;
    if (of_this_process.compare_exchange_strong(other, fresh)) return *fresh;
    delete fresh;
    return *other;
}

timer::ticket timer::set(std::chrono::milliseconds delay, std::function<void()> ring) {
    std::call_once(start_, [this] { std::jthread([this] { run(); }).detach(); });
    const mutex_lock lock(mutex_);
    const auto when = clock::now() + delay;
    const auto which = ++last_;
    const auto known = times_.emplace(which, when).first;
    try {
        due_.emplace(key{when, which}, std::move(ring));
    } catch (...) {
        times_.erase(known);
        throw;
    }
    if (when < awaited_) changed_.notify_one();
    return which;
}

void timer::cancel(ticket which) noexcept {
    mutex_lock lock(mutex_);
    if (const auto found = times_.find(which); found != times_.end()) {
        due_.erase({found->second, which});
        times_.erase(found);
    }
    has_rung_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return ringing_ != which; });
}

void timer::run() noexcept {
    mutex_lock lock(mutex_);
    for (;;) {
        const auto first = due_.begin();
        const auto next = first == due_.end() ? clock::time_point::max() : first->first.first;
        if (first == due_.end() || clock::now() < next) {
            awaited_ = next;
            // A clock's last moment is too far for some to wait until.
            if (first == due_.end())
                changed_.wait(lock);
            else
                changed_.wait_until(lock, next);
            awaited_ = clock::time_point::min();
        } else {
            const auto ring = std::move(first->second);
            ringing_ = first->first.second;
            times_.erase(ringing_);
            due_.erase(first);
            lock.unlock();
            ring();
            lock.lock();
            ringing_ = 0;
            has_rung_.notify_all();
        }
    }
}

}  // namespace wherry
