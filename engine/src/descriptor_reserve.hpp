// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <optional>
#include <utility>

#include "wherry/error.hpp"
#include "wherry/mutex.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry {

// Reserves some of this process's descriptors for reads of key files and for deliveries that have come whole.
// The kernel assigns the lowest free number. So if a new descriptor's number is one of the last below the limit, only
// the reserve is free.
// Thread-safety: all functions from any thread.
class descriptor_reserve {
public:
    // Uses the process's present limit, or the given one.
    descriptor_reserve();
    explicit descriptor_reserve(std::size_t limit);

    std::size_t limit() const noexcept { return limit_; }

    // Returns how many more may be opened before only the reserve is free.
    std::size_t free_beyond_reserve() const noexcept;
    // Whether at least half of the reserve is free. A server accepts connections only then.
    bool is_half_free() const noexcept;

    // Counts a caller that is about to open a few descriptors, until it has opened them.
    class taking {
    public:
        explicit taking(const descriptor_reserve& reserve) noexcept : owner_(&reserve) { ++reserve.being_taken_; }
        taking(taking&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
        taking& operator=(taking&&) = delete;
        ~taking() {
            if (owner_) --owner_->being_taken_;
        }

    private:
        const descriptor_reserve* owner_;
    };
    // Returns nothing if the reserve would be touched. Most calls make no system call while many descriptors are free.
    std::optional<taking> take_few() const noexcept;

private:
    // Returns the number that a new descriptor would get; the limit if none is free.
    std::size_t next_number() const noexcept;
    // Returns how many are free beyond the reserve and beyond those being taken; negative if they are too few.
    std::ptrdiff_t left() const noexcept;

    const std::size_t limit_, reserve_;
    mutable mutex looking_;
    mutable unique_fd probe_ WHERRY_GUARDED_BY(looking_);
    mutable std::atomic<std::ptrdiff_t> unchecked_{0};  // calls of take_few() until the next check
    mutable std::atomic<std::size_t> being_taken_{0};
};

// Whether the failure was a lack of descriptors. Other deliveries release theirs when they end.
bool is_out_of_descriptors(const error& e) noexcept;

}  // namespace wherry
