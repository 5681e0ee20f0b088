// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace wherry::tcp {

struct options {
    // Where no port is given. For listening, 0 takes any free one.
    std::uint16_t port = 9417;
    // For all addresses of a name together, the look-up of the name included.
    std::chrono::milliseconds connect_timeout{10'000};
    // Silence after which the system asks whether the peer is still there; it gives up after half as long again. Zero:
    // never.
    std::chrono::milliseconds keepalive{60'000};
    // The system's buffers for one connection; 0 leaves them to the system, which adapts them to the link.
    std::size_t send_buffer = 0;
    std::size_t receive_buffer = 0;
    // Larger records cost less each, smaller ones let progress move more often.
    std::size_t record_bytes = 256 * 1024;
};

}  // namespace wherry::tcp
