// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <condition_variable>
#include <mutex>

// Mutexes that Clang checks: with -Wthread-safety it refuses code that touches a member without its lock. Other
// compilers read past these words.
#if defined(__clang__)
#define WHERRY_THREAD_SAFETY(word) __attribute__((word))
#else
#define WHERRY_THREAD_SAFETY(word)
#endif

// Behind a member: the mutex that every access to it must hold.
#define WHERRY_GUARDED_BY(mutex) WHERRY_THREAD_SAFETY(guarded_by(mutex))
// Behind a function's or a lambda's parameters: the mutex that its caller must hold, or must not hold.
#define WHERRY_REQUIRES(...) WHERRY_THREAD_SAFETY(requires_capability(__VA_ARGS__))
#define WHERRY_EXCLUDES(...) WHERRY_THREAD_SAFETY(locks_excluded(__VA_ARGS__))
// Behind a function that holds as many locks as it has arguments, which Clang cannot follow: it is not checked.
#define WHERRY_UNCHECKED_LOCKS WHERRY_THREAD_SAFETY(no_thread_safety_analysis)

namespace wherry {

// A std::mutex, which the standard library's own does not let Clang check.
class WHERRY_THREAD_SAFETY(capability("mutex")) mutex {
public:
    void lock() WHERRY_THREAD_SAFETY(acquire_capability()) { native_.lock(); }
    void unlock() WHERRY_THREAD_SAFETY(release_capability()) { native_.unlock(); }
    bool try_lock() WHERRY_THREAD_SAFETY(try_acquire_capability(true)) { return native_.try_lock(); }

private:
    friend class mutex_lock;
    std::mutex native_;
};

// Holds a mutex until its end. unlock() and lock() release it in between, as std::unique_lock does.
class WHERRY_THREAD_SAFETY(scoped_lockable) mutex_lock {
public:
    explicit mutex_lock(mutex& held) WHERRY_THREAD_SAFETY(acquire_capability(held)) : native_(held.native_) {}
    ~mutex_lock() WHERRY_THREAD_SAFETY(release_capability()) {}
    mutex_lock(const mutex_lock&) = delete;
    mutex_lock& operator=(const mutex_lock&) = delete;

    void lock() WHERRY_THREAD_SAFETY(acquire_capability()) { native_.lock(); }
    void unlock() WHERRY_THREAD_SAFETY(release_capability()) { native_.unlock(); }

private:
    friend class condition;
    std::unique_lock<std::mutex> native_;
};

// A std::condition_variable for mutex_lock. A lambda that reads guarded members says WHERRY_REQUIRES(the mutex).
class condition {
public:
    void notify_one() noexcept { native_.notify_one(); }
    void notify_all() noexcept { native_.notify_all(); }

    void wait(mutex_lock& lock) { native_.wait(lock.native_); }
    template <class Predicate>
    void wait(mutex_lock& lock, Predicate is_met) {
        native_.wait(lock.native_, is_met);
    }
    // Both return as their namesakes in the standard library.
    template <class Duration, class... Predicate>
    auto wait_for(mutex_lock& lock, const Duration& duration, Predicate... is_met) {
        return native_.wait_for(lock.native_, duration, is_met...);
    }
    template <class Time, class... Predicate>
    auto wait_until(mutex_lock& lock, const Time& time, Predicate... is_met) {
        return native_.wait_until(lock.native_, time, is_met...);
    }

private:
    std::condition_variable native_;
};

}  // namespace wherry
