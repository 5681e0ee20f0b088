#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>

#include "wherry/error.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry {

// Keeps some of this process's descriptors for what must not fail: looks at keys, and deliveries that have come whole.
// The kernel gives the lowest number that is free. So a descriptor whose number is within the last ones of the limit
// says that what is free is all reserve.
// Thread-safety: all functions from any thread.
class descriptor_reserve {
public:
    // For the limit that the process has now, or for another one.
    descriptor_reserve();
    explicit descriptor_reserve(std::size_t limit);

    std::size_t limit() const noexcept { return limit_; }

    // How many may be taken before only the reserve is left.
    std::size_t free_beside() const noexcept;
    // Whether at least half of the reserve is free. A server accepts up to there.
    bool is_half_free() const noexcept;

    // Held by who takes a few, from before it takes them until it has them.
    class taking {
    public:
        explicit taking(const descriptor_reserve& from) noexcept : from_(&from) { ++from.being_taken_; }
        taking(taking&& other) noexcept : from_(std::exchange(other.from_, nullptr)) {}
        taking& operator=(taking&&) = delete;
        ~taking() {
            if (from_) --from_->being_taken_;
        }

    private:
        const descriptor_reserve* from_;
    };
    // Nothing where that would touch the reserve. Costs next to nothing while many are free.
    std::optional<taking> take_few() const noexcept;

private:
    // What a new descriptor would be numbered; the limit if there is none.
    std::size_t next_number() const noexcept;
    // Beside the reserve and what is just being taken; negative where that is not there.
    std::ptrdiff_t left() const noexcept;

    const std::size_t limit_, reserve_;
    mutable std::mutex looking_;
    mutable unique_fd probe_;
    mutable std::atomic<std::ptrdiff_t> unlooked_{0};  // that may be taken before the next look
    mutable std::atomic<std::size_t> being_taken_{0};
};

// Whether it failed for want of descriptors, which others give back.
bool is_want_of_descriptors(const error& e) noexcept;

}  // namespace wherry
