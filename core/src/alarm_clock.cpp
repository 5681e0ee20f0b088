#include "alarm_clock.hpp"

#include <thread>

namespace wherry {

alarm_clock& alarm_clock::shared() {
    // Its thread may still wait when the program ends, so what that waits on stays.
    static auto* const only = new alarm_clock;
    return *only;
}

alarm_clock::alarm_clock() {
    std::thread([this] { run(); }).detach();
}

alarm_clock::ticket alarm_clock::set(std::chrono::milliseconds after, std::function<void()> ring) {
    const std::lock_guard lock(mutex_);
    const auto when = clock::now() + after;
    const auto which = ++last_;
    const auto known = times_.emplace(which, when).first;
    try {
        const auto place = due_.emplace(key{when, which}, std::move(ring)).first;
        if (place == due_.begin()) changed_.notify_one();
    } catch (...) {
        times_.erase(known);
        throw;
    }
    return which;
}

void alarm_clock::cancel(ticket which) noexcept {
    std::unique_lock lock(mutex_);
    if (const auto found = times_.find(which); found != times_.end()) {
        due_.erase({found->second, which});
        times_.erase(found);
    }
    has_rung_.wait(lock, [&] { return ringing_ != which; });
}

void alarm_clock::run() noexcept {
    std::unique_lock lock(mutex_);
    for (;;) {
        if (due_.empty()) {
            changed_.wait(lock);
        } else if (const auto first = due_.begin(); clock::now() < first->first.first) {
            changed_.wait_until(lock, key(first->first).first);
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
