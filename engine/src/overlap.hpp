#pragma once

#include <sched.h>

#include <cstdint>
#include <thread>

#include "wherry/session.hpp"

namespace wherry {

// What has gone over a connection before it is worth a thread: below that there is nothing to gain.
inline constexpr std::uint64_t least_bytes_to_overlap = std::uint64_t{4} << 20;

// Processors that this process may use.
inline unsigned usable_processors() noexcept {
    cpu_set_t usable;
    if (::sched_getaffinity(0, sizeof usable, &usable) == 0) return static_cast<unsigned>(CPU_COUNT(&usable));
    return std::thread::hardware_concurrency();
}

// With two processors the other side of a loopback, or the system's own work for the link, has the second.
inline bool overlaps(overlapping how) noexcept {
    switch (how) {
        case overlapping::never: return false;
        case overlapping::always: return true;
        case overlapping::automatic: break;
    }
    static const bool has_processors_to_spare = usable_processors() > 2;
    return has_processors_to_spare;
}

}  // namespace wherry
