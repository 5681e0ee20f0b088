// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>

#include "adapters.hpp"
#include "wherry/transport.hpp"

namespace wherry::rfcomm {

// transport::pair() through bluetoothd. A device that it has not heard of has to show itself in a search. It is not
// made "trusted": that would open the other services of this machine to it, unasked, while wherry
// needs no more than the pairing.
// Throws error: io without bluetoothd; disconnected or timed_out if the device is not reached; refused if a
// person at either end said no; auth_failed if the codes differed; and what the agent throws.
void pair(const adapter& local, const bluetooth_address& device, std::chrono::milliseconds limit,
          pairing_agent& person);

}  // namespace wherry::rfcomm
