// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <utility>

namespace wherry {

// Counts what a receiver has admitted and not ended, and tells whether it still admits. Any thread can thus see when it
// is drained. Thread-safety: all functions from any thread.
class drain_state {
public:
    // Counts one open transfer, or a record that is being handled, for as long as it lives.
    class hold {
    public:
        hold() noexcept = default;
        explicit hold(drain_state& counted) noexcept : counted_(&counted) { ++counted.open_; }
        hold(hold&& other) noexcept : counted_(std::exchange(other.counted_, nullptr)) {}
        hold& operator=(hold&& other) noexcept {
            std::swap(counted_, other.counted_);
            return *this;
        }
        ~hold() {
            if (counted_) --counted_->open_;
        }

    private:
        drain_state* counted_ = nullptr;
    };

    // Admits no more. A thread that admits takes its hold first and asks is_draining() then, so that none is missed.
    void drain() noexcept { is_draining_ = true; }
    bool is_draining() const noexcept { return is_draining_; }
    // True once nothing is open and nothing more is admitted.
    bool is_drained() const noexcept { return is_draining_ && open_ == 0; }

    // Makes must_stop() true, and finishing fail.
    void give_up() noexcept { has_given_up_ = true; }
    bool has_given_up() const noexcept { return has_given_up_; }
    // Returns true if a long loop or a wait must end.
    bool must_stop() const noexcept { return is_draining_ || has_given_up_; }

private:
    std::atomic<bool> is_draining_ = false;
    std::atomic<bool> has_given_up_ = false;
    std::atomic<std::size_t> open_ = 0;
};

}  // namespace wherry
