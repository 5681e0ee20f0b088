// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <functional>

#include "adapters.hpp"
#include "wherry/transport.hpp"

namespace wherry::rfcomm {

// transport::discover() through one adapter, with bluetoothd, or without where it does not run. First it listens
// around, then it asks those found for a wherry receiver; both within `limit`. Paired devices are told whether they are
// near or not; only those that are have a signal.
// found() is called on this thread, now and then with an empty address.
void discover(const adapter& local, std::chrono::milliseconds limit,
              const std::function<bool(const discovered_peer&)>& found);

}  // namespace wherry::rfcomm
