#include "crew.hpp"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <thread>
#include <utility>

namespace wherry {

namespace {

// How many wait for something to do, and for how long: as many as a receiver has connections, usually.
constexpr std::size_t most_idle = 256;
constexpr std::chrono::seconds idle_time{2};

}  // namespace

crew& crew::shared() {
    // Members may still wait when the program ends, so what they wait on stays.
    static auto* const only = [] {
        auto* const made = new crew;
        made->idle_.reserve(most_idle);
        return made;
    }();
    return *only;
}

crew::task::~task() {
    if (joinable()) std::terminate();
}

void crew::task::join() {
    std::unique_lock lock(end_->mutex);
    end_->changed.wait(lock, [this] { return end_->is_there; });
    lock.unlock();
    end_.reset();
}

bool crew::task::wait_for(std::chrono::milliseconds time) {
    std::unique_lock lock(end_->mutex);
    return end_->changed.wait_for(lock, time, [this] { return end_->is_there; });
}

crew::task crew::run(std::function<void()> what) {
    job one{std::move(what), std::make_shared<task::end>()};
    task begun(one.end);
    std::shared_ptr<member> called;
    {
        const std::lock_guard lock(mutex_);
        // A process that was forked has none of them.
        if (const auto here = ::getpid(); std::exchange(process_, here) != here) idle_.clear();
        if (!idle_.empty()) {
            called = std::move(idle_.back());
            idle_.pop_back();
            called->next = std::move(one);
        }
    }
    if (called) {
        // Without the lock, which it would only wake up to wait for.
        called->is_called.notify_one();
        return begun;
    }
    try {
        auto self = std::make_shared<member>();
        std::thread([this, self = std::move(self), first = std::move(one)]() mutable {
            work(self, std::move(first));
        }).detach();
    } catch (...) {
        begun.end_.reset();
        throw;
    }
    return begun;
}

void crew::work(const std::shared_ptr<member>& self, job first) noexcept {
    auto current = std::move(first);
    do {
        current.what();
        current.what = nullptr;
        const auto end = std::move(current.end);
        {
            const std::lock_guard lock(end->mutex);
            end->is_there = true;
        }
        end->changed.notify_all();
    } while (wait_for_next(self, current));
}

// False if this one is not needed any more.
bool crew::wait_for_next(const std::shared_ptr<member>& self, job& next) noexcept {
    std::unique_lock lock(mutex_);
    if (idle_.size() >= most_idle) return false;
    idle_.push_back(self);
    if (!self->is_called.wait_for(lock, idle_time, [&] { return self->next.what != nullptr; })) {
        std::erase(idle_, self);
        return false;
    }
    next = std::exchange(self->next, {});
    return true;
}

}  // namespace wherry
