// SPDX-License-Identifier: BSD-2-Clause
#include "keepalive.hpp"

#include <exception>
#include <utility>

namespace wherry {

using clock = std::chrono::steady_clock;

keepalive::keepalive(std::chrono::milliseconds interval, calls calls)
    : interval_(interval), calls_(std::move(calls)), due_(timer::shared().set(interval, [this] {
          const mutex_lock lock(mutex_);
          start();
      })) {}

keepalive::~keepalive() {
    timer::shared().cancel(due_);
    {
        const mutex_lock lock(mutex_);
        is_ending_ = true;
        changed_.notify_all();
    }
    // The timer is cancelled, so start() is not called again.
    if (thread_.joinable()) thread_.join();
}

void keepalive::start() noexcept {
    if (thread_.joinable()) return;
    try {
        thread_ = std::jthread([this] { run(); });
    } catch (const std::exception&) {
        // No thread is to be had: a peer that hears nothing would wait in vain.
        calls_.cut();
    }
}

void keepalive::say_bye_soon() noexcept {
    const mutex_lock lock(mutex_);
    wants_bye_ = true;
    start();
    changed_.notify_all();
}

void keepalive::run() {
    for (;;) {
        bool wants_bye = false;
        {
            mutex_lock lock(mutex_);
            changed_.wait_until(lock, calls_.last_written() + interval_,
                                [this]() WHERRY_REQUIRES(mutex_) { return wants_bye_ || is_ending_; });
            if (is_ending_) return;
            wants_bye = std::exchange(wants_bye_, false);
        }
        try {
            if (wants_bye)
                calls_.bye();
            else if (clock::now() - calls_.last_written() >= interval_)
                calls_.ping();
        } catch (const std::exception&) {
            // Nothing can be written after it, and the reader must not wait for an answer to what never went out.
            calls_.cut();
            return;
        }
    }
}

}  // namespace wherry
