// SPDX-License-Identifier: BSD-2-Clause
#include "record_spreader.hpp"

#include <utility>

namespace wherry {

namespace {

// For each writer: the record that it writes, and one that waits for it.
constexpr std::size_t buffers_for_each_writer = 2;

}  // namespace

record_spreader::record_spreader(std::size_t record_bytes, std::size_t overhead) noexcept
    : record_bytes_(record_bytes), overhead_(overhead) {}

bool record_spreader::number_directly(record_buffer& record) {
    const mutex_lock lock(mutex_);
    if (is_spreading_) return false;
    record.set_number(next_number_++);
    return true;
}

bool record_spreader::is_spreading() const {
    const mutex_lock lock(mutex_);
    return is_spreading_;
}

void record_spreader::put(record_buffer& record) {
    mutex_lock lock(mutex_);
    has_free_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return !free_.empty() || failure_; });
    if (failure_) throw *failure_;
    free_.back()->take_over(record);  // may throw, and then it stays free
    auto taken = std::move(free_.back());
    free_.pop_back();
    ready_.push_back({std::move(taken), next_number_++});
    has_ready_.notify_one();
}

void record_spreader::serve(writer& lane, const write& output) {
    mutex_lock lock(mutex_);
    has_let_in_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return lane.is_in_ || failure_; });
    for (;;) {
        has_ready_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return !ready_.empty() || failure_; });
        if (failure_) return;
        auto next = std::move(ready_.front());
        ready_.pop_front();
        lock.unlock();
        next.record->set_number(next.number);
        output(*next.record);
        lock.lock();
        free_.push_back(std::move(next.record));
        has_free_.notify_one();
    }
}

void record_spreader::let_in(const std::vector<writer*>& lanes) {
    std::vector<std::unique_ptr<record_buffer>> fresh(buffers_for_each_writer * lanes.size());
    for (auto& one : fresh)
        one = std::make_unique<record_buffer>(record_bytes_, overhead_, record_buffer::numbering::ordered);
    const mutex_lock lock(mutex_);
    for (auto& one : fresh) free_.push_back(std::move(one));
    for (auto* const one : lanes) one->is_in_ = true;
    is_spreading_ = true;
    has_let_in_.notify_all();
    has_free_.notify_all();
}

void record_spreader::fail(const error& why) noexcept {
    const mutex_lock lock(mutex_);
    if (!failure_) failure_ = why;
    has_ready_.notify_all();
    has_free_.notify_all();
    has_let_in_.notify_all();
}

}  // namespace wherry
