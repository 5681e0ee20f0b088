// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>

#include "frame.hpp"
#include "reorder_buffer.hpp"
#include "wherry/cipher.hpp"
#include "wherry/limits.hpp"
#include "wherry/mutex.hpp"

namespace wherry {

// Which receivers of a server extra connections may join. Thread-safety: all functions from any thread.
class join_registry {
public:
    // Each receiver may have so many connections, the first included; at least 1 and at most limits::max_streams.
    explicit join_registry(std::size_t max_streams) noexcept
        : max_streams_(std::clamp<std::size_t>(max_streams, 1, limits::max_streams)) {}

    std::size_t max_streams() const noexcept { return max_streams_; }

    // Permits as many connections of this peer to join, until clocks::join_lifetime has passed or the receiver has
    // withdrawn it. `number` is what the receiver is known by.
    join_token grant(std::shared_ptr<reorder_buffer> buffer, const identity& peer, std::size_t count,
                     std::uint64_t number);
    void withdraw(const reorder_buffer& buffer) noexcept;

    struct place {
        std::shared_ptr<reorder_buffer> buffer;
        std::uint64_t number = 0;
    };
    // Uses a permission up. Throws error(errc::auth_failed) if there is none with this token for this peer; it does not
    // say which of the two was wrong, nor does how long it takes.
    place redeem(const join_token& token, const identity& peer);

private:
    struct permission {
        join_token token;
        place destination;
        identity peer;
        std::size_t left;
        std::chrono::steady_clock::time_point until;
    };

    const std::size_t max_streams_;
    mutex mutex_;
    std::list<permission> permissions_ WHERRY_GUARDED_BY(mutex_);
};

}  // namespace wherry
