// SPDX-License-Identifier: BSD-2-Clause
#include "space_ledger.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {

space_ledger::space_ledger(std::uint64_t quota, std::string shown_folder, counter count)
    : quota_(quota), shown_folder_(std::move(shown_folder)), count_(std::move(count)) {
    if (quota_ != 0) count_again();
}

void space_ledger::count_again() {
    using clock = std::chrono::steady_clock;
    const auto begun = clock::now();
    stored_ = count_(under_way_);
    // A peer that offers too much again and again must not keep the disk busy with counting.
    const auto ended = clock::now();
    next_count_ = ended + 10 * (ended - begun);
}

std::uint64_t space_ledger::left() const { return quota_ - std::min(quota_, stored_ + promised_); }

void space_ledger::take(std::uint64_t bytes) {
    if (bytes > left() && std::chrono::steady_clock::now() >= next_count_) count_again();
    if (bytes > left())
        throw error(errc::exhausted,
                    fmt::format("needs {} but only {} is left of the quota of {} for {}", human_bytes(bytes),
                                human_bytes(left()), human_bytes(quota_), shown_folder_));
    promised_ += bytes;
}

space_ledger::share space_ledger::reserve(std::uint64_t bytes, std::string partial, std::uint64_t stored_before) {
    if (quota_ == 0) return {};
    const mutex_lock lock(mutex_);
    const auto moved = std::min({stored_before, bytes, stored_});
    const auto mine = under_way_.insert(partial);
    stored_ -= moved;
    promised_ += moved;
    try {
        take(bytes - moved);
    } catch (...) {
        under_way_.erase(mine);
        stored_ += moved;
        promised_ -= moved;
        throw;
    }
    return {*this, bytes, std::move(partial)};
}

void space_ledger::share::grow_to(std::uint64_t bytes) {
    if (ledger_ == nullptr || bytes <= bytes_) return;
    const mutex_lock lock(ledger_->mutex_);
    ledger_->take(bytes - bytes_);
    bytes_ = bytes;
}

void space_ledger::share::store(std::uint64_t bytes) noexcept {
    if (ledger_ == nullptr) return;
    const mutex_lock lock(ledger_->mutex_);
    ledger_->under_way_.erase(ledger_->under_way_.find(partial_));
    ledger_->promised_ -= bytes_;
    ledger_->stored_ += bytes;
    ledger_ = nullptr;
    bytes_ = 0;
}

}  // namespace wherry::filesystem
