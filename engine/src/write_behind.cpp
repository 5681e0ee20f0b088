#include "write_behind.hpp"

#include <exception>
#include <utility>

#include "as_error.hpp"

namespace wherry {

write_behind::write_behind(std::vector<record_buffer> buffers, write to)
    : write_(std::move(to)), buffers_(std::move(buffers)) {
    for (auto& one : buffers_) free_.push_back(&one);
    thread_ = std::thread([this] { run(); });
}

write_behind::~write_behind() {
    {
        const std::lock_guard lock(mutex_);
        is_closing_ = true;
        has_work_.notify_all();
    }
    thread_.join();
}

void write_behind::put(record_buffer& record) {
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [&] { return !free_.empty() || failure_; });
    if (failure_) throw *failure_;
    auto* const taken = free_.front();
    taken->take_over(record);  // may throw, and then it stays free
    free_.pop_front();
    waiting_.push_back(taken);
    has_work_.notify_one();
}

void write_behind::drain() {
    std::unique_lock lock(mutex_);
    has_room_.wait(lock, [&] { return (waiting_.empty() && !is_writing_) || failure_; });
    if (failure_) throw *failure_;
}

void write_behind::run() noexcept {
    std::unique_lock lock(mutex_);
    for (;;) {
        has_work_.wait(lock, [&] { return !waiting_.empty() || is_closing_; });
        if (is_closing_) return;
        auto* const next = waiting_.front();
        waiting_.pop_front();
        is_writing_ = true;
        lock.unlock();
        std::optional<error> failure;
        try {
            write_(*next);
        } catch (const std::exception& e) {
            failure = as_error(e);
        }
        lock.lock();
        is_writing_ = false;
        failure_ = std::move(failure);
        if (!failure_) free_.push_back(next);
        has_room_.notify_all();
        if (failure_) return;
    }
}

}  // namespace wherry
