// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "memory_stream.hpp"

namespace wherry::test {

// A listener whose peers connect in memory. Thread-safety: all functions from any thread.
class memory_listener final : public listener {
public:
    // A new peer; its end of the link.
    std::unique_ptr<memory_stream> connect() {
        memory_link link;
        const std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(link.responder));
        changed_.notify_all();
        return std::move(link.initiator);
    }

    // A peer whose end is elsewhere.
    void connect(std::unique_ptr<connection> responder) {
        const std::lock_guard lock(mutex_);
        waiting_.push_back(std::move(responder));
        changed_.notify_all();
    }

    // The next accept() throws this.
    void fail_next(error why) {
        const std::lock_guard lock(mutex_);
        failure_ = std::make_unique<error>(std::move(why));
        changed_.notify_all();
    }

    std::size_t waiting() const {
        const std::lock_guard lock(mutex_);
        return waiting_.size();
    }

    std::unique_ptr<connection> accept() override {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return aborted_ || failure_ || !waiting_.empty(); });
        if (aborted_) throw error(errc::cancelled, "the memory listener was aborted");
        if (failure_) throw error(*std::exchange(failure_, nullptr));
        auto next = std::move(waiting_.front());
        waiting_.pop_front();
        return next;
    }
    std::string_view address() const noexcept override { return "memory"; }
    void abort() noexcept override {
        const std::lock_guard lock(mutex_);
        aborted_ = true;
        changed_.notify_all();
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::unique_ptr<connection>> waiting_;
    std::unique_ptr<error> failure_;
    bool aborted_ = false;
};

}  // namespace wherry::test
