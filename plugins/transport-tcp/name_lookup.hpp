// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "endpoint.hpp"
#include "socket_connection.hpp"

namespace wherry::tcp {

// What finds the addresses of a host: resolve(), or a test's.
using resolver = std::function<std::vector<socket_address>(const endpoint&)>;

// Finds the addresses of a host as `resolver` does, but ends when `stop` is raised or `until` has passed. Nothing can
// interrupt the system's resolver, so a name is looked up on a thread of its own, which is left behind then and whose
// late result is dropped. While four such threads run, no further name is looked up. `limit` is for sentences.
// Throws error: as resolve(), cancelled, timed_out, exhausted while four hang.
std::vector<socket_address> look_up(const endpoint& where, const resolver& find, const stop_signal& stop,
                                    const deadline& until, std::chrono::milliseconds limit);

}  // namespace wherry::tcp
