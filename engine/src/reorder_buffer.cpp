// SPDX-License-Identifier: BSD-2-Clause
#include "reorder_buffer.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include "wherry/as_error.hpp"

namespace wherry {

class reorder_buffer::lane {
public:
    explicit lane(std::shared_ptr<connection> link) : link_(std::move(link)) {}

private:
    friend class reorder_buffer;
    enum class state { reads, holds, is_dealt_with, has_ended };

    // The buffer's mutex guards what follows, which an annotation here cannot name.
    std::shared_ptr<connection> link_;  // null for the first, and once it has ended
    state state_ = state::reads;
    std::uint64_t number_ = 0;  // of the record that it holds
    std::uint64_t least_ = 0;   // what it may hold next
    const_bytes record_;
    condition changed_;
};

reorder_buffer::reorder_buffer(std::shared_ptr<last_heard> heard)
    : heard_(std::move(heard)), first_(std::make_shared<lane>(nullptr)), taken_(first_) {
    first_->state_ = lane::state::is_dealt_with;
    lanes_.push_back(first_);
}

reorder_buffer::~reorder_buffer() = default;

std::shared_ptr<reorder_buffer::lane> reorder_buffer::add(std::shared_ptr<connection> link) {
    const mutex_lock lock(mutex_);
    if (is_closed_ || is_ending_ || failure_) throw error(errc::refused, "what it was to join has ended");
    return lanes_.emplace_back(std::make_shared<lane>(std::move(link)));
}

void reorder_buffer::read(lane& lane, record_reader& records) {
    try {
        {
            // The first one's reader still has a record that is being dealt with.
            mutex_lock lock(mutex_);
            lane.changed_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) {
                return lane.state_ == lane::state::reads || is_dropping_ || is_closed_;
            });
        }
        while (const auto record = records.next()) {
            if (heard_) *heard_ = std::chrono::steady_clock::now();
            hold(lane, *record);
            const mutex_lock lock(mutex_);
            if (is_closed_) return;
        }
        const mutex_lock lock(mutex_);
        lane.state_ = lane::state::has_ended;
        lane.link_.reset();
        changed_.notify_all();
        if (&lane == first_.get() || is_ending_ || is_closed_) return;
        throw error(errc::disconnected, "the peer closed one of its connections in the middle; try again");
    } catch (const std::exception& e) {
        fail(as_error(e));
        const mutex_lock lock(mutex_);
        lane.state_ = lane::state::has_ended;
        lane.link_.reset();
        changed_.notify_all();
        if (!is_ending_ && !is_closed_) throw;
    }
}

// Offers the record to next(), and waits until it has been dealt with.
void reorder_buffer::hold(lane& lane, const_bytes record) {
    const auto numbered = take_order(record);
    if (!numbered) return require_only_pings(record);
    mutex_lock lock(mutex_);
    if (is_dropping_) return;
    if (numbered->number < std::max(lane.least_, next_) || find(numbered->number))
        throw error(errc::protocol, "the peer sent a record with a number that has been");
    lane.number_ = numbered->number;
    lane.least_ = numbered->number + 1;
    lane.record_ = numbered->rest;
    lane.state_ = lane::state::holds;
    changed_.notify_all();
    lane.changed_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) {
        return lane.state_ == lane::state::reads || is_dropping_ || is_closed_;
    });
}

std::optional<const_bytes> reorder_buffer::next() {
    mutex_lock lock(mutex_);
    release_taken();
    for (;;) {
        if (auto* const found = find(next_)) {
            ++next_;
            found->state_ = lane::state::is_dealt_with;
            taken_ = *std::find_if(lanes_.begin(), lanes_.end(), [&](const auto& one) { return one.get() == found; });
            return found->record_;
        }
        if (failure_) throw *failure_;
        if (first_->state_ == lane::state::has_ended) return std::nullopt;
        if (is_stuck()) throw error(errc::protocol, "the peer left out the number of a record");
        changed_.wait(lock);
    }
}

void reorder_buffer::release_taken() noexcept {
    if (!taken_) return;
    if (taken_->state_ == lane::state::is_dealt_with) taken_->state_ = lane::state::reads;
    taken_->changed_.notify_all();
    taken_.reset();
}

reorder_buffer::lane* reorder_buffer::find(std::uint64_t number) noexcept {
    const auto found = std::find_if(lanes_.begin(), lanes_.end(), [&](const auto& one) {
        return one->state_ == lane::state::holds && one->number_ == number;
    });
    return found == lanes_.end() ? nullptr : found->get();
}

// Each connection has its records in ascending order, so none of them has the next one still to come.
bool reorder_buffer::is_stuck() const noexcept {
    return std::all_of(lanes_.begin(), lanes_.end(), [](const auto& one) { return one->state_ == lane::state::holds; });
}

void reorder_buffer::fail(const error& why) noexcept {
    const mutex_lock lock(mutex_);
    if (!failure_) failure_ = why;
    changed_.notify_all();
}

void reorder_buffer::expect_end() noexcept {
    const mutex_lock lock(mutex_);
    is_ending_ = true;
    // What was taken last was the BYE, and is dealt with: its connection may go on to its end.
    release_taken();
}

void reorder_buffer::drop_rest() noexcept {
    const mutex_lock lock(mutex_);
    is_dropping_ = true;
    for (const auto& one : lanes_) one->changed_.notify_all();
}

bool reorder_buffer::wait_for_first(std::chrono::milliseconds time) {
    mutex_lock lock(mutex_);
    return changed_.wait_for(lock, time,
                             [&]() WHERRY_REQUIRES(mutex_) { return first_->state_ == lane::state::has_ended; });
}

void reorder_buffer::close() noexcept {
    const mutex_lock lock(mutex_);
    is_closed_ = true;
    for (const auto& one : lanes_) {
        if (one->link_) one->link_->abort();
        one->changed_.notify_all();
    }
    changed_.notify_all();
}

}  // namespace wherry
