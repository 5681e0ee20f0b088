#include "read_ahead.hpp"

#include <utility>

namespace wherry {

namespace {

// Opened, and not yet dealt with.
constexpr std::size_t most_ready = 2;

}  // namespace

read_ahead::read_ahead(record_reader& from) : from_(from), thread_([this] { run(); }) {}

read_ahead::~read_ahead() {
    {
        const std::lock_guard lock(mutex_);
        is_closing_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

std::optional<const_bytes> read_ahead::next() {
    std::unique_lock lock(mutex_);
    if (taken_) {
        spare_.push_back(std::move(taken_->in));
        taken_.reset();
    }
    changed_.wait(lock, [&] { return !ready_.empty() || has_ended_; });
    if (ready_.empty()) {
        if (failure_) std::rethrow_exception(failure_);
        return std::nullopt;
    }
    taken_ = std::move(ready_.front());
    ready_.pop_front();
    changed_.notify_all();
    return taken_->record;
}

bool read_ahead::wait_for_end(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return has_ended_; });
}

void read_ahead::run() noexcept {
    std::exception_ptr failure;
    try {
        while (const auto record = from_.next()) hold(*record);
    } catch (...) {
        failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    has_ended_ = true;
    changed_.notify_all();
}

void read_ahead::hold(const_bytes record) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ready_.size() < most_ready || is_closing_; });
    // Nobody wants it; the link ends soon.
    if (is_closing_) return;
    record_memory with;
    if (!spare_.empty()) {
        with = std::move(spare_.back());
        spare_.pop_back();
    }
    from_.hand_over(with);
    ready_.push_back({std::move(with), record});
    changed_.notify_all();
}

}  // namespace wherry
