// SPDX-License-Identifier: BSD-2-Clause
#include "space_ledger.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {

namespace {

std::uint64_t with_entry(std::uint64_t content_bytes) {
    return content_bytes + std::min(entry_bytes, std::numeric_limits<std::uint64_t>::max() - content_bytes);
}

}  // namespace

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
                    fmt::format("needs {} but only {} is left of the quota of {} for {}, which counts {} for each file "
                                "and folder besides its content",
                                human_bytes(bytes), human_bytes(left()), human_bytes(quota_), shown_folder_,
                                human_bytes(entry_bytes)));
    promised_ += bytes;
}

space_ledger::share space_ledger::reserve(std::uint64_t content_bytes, std::string partial,
                                          std::optional<std::uint64_t> stored_before) {
    if (quota_ == 0) return {};
    const auto bytes = with_entry(content_bytes);
    const mutex_lock lock(mutex_);
    const auto moved = stored_before ? std::min({with_entry(*stored_before), bytes, stored_}) : 0;
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

void space_ledger::share::grow_to(std::uint64_t content_bytes) {
    const auto bytes = with_entry(content_bytes);
    if (ledger_ == nullptr || bytes <= bytes_) return;
    const mutex_lock lock(ledger_->mutex_);
    ledger_->take(bytes - bytes_);
    bytes_ = bytes;
}

void space_ledger::share::store(std::uint64_t content_bytes) noexcept { end(with_entry(content_bytes)); }

void space_ledger::share::end(std::uint64_t stored_bytes) noexcept {
    if (ledger_ == nullptr) return;
    const mutex_lock lock(ledger_->mutex_);
    ledger_->under_way_.erase(ledger_->under_way_.find(partial_));
    ledger_->promised_ -= bytes_;
    ledger_->stored_ += stored_bytes;
    ledger_ = nullptr;
    bytes_ = 0;
}

}  // namespace wherry::filesystem
