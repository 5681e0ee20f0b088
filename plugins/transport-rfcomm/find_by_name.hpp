// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string_view>

#include "adapters.hpp"
#include "socket_connection.hpp"

namespace wherry::rfcomm {

// The address of the device that calls itself so: one that is paired, else one that is near, for which it looks for up
// to `limit`; `stop`, if there is one, ends that early. Only an address tells devices apart for certain: anybody can
// take a name, which is why a second one that has it is an error. Throws error: bad_input if several have the name,
// timed_out if none has, cancelled once `stop` is raised; and what discover() throws.
bluetooth_address find_by_name(const adapter& local, std::string_view name, std::chrono::milliseconds limit,
                               const stop_signal* stop = nullptr);

// The one there is, if any; throws error(errc::bad_input) naming them if there are several.
std::optional<bluetooth_address> only_one(std::string_view name, std::span<const bluetooth_address> fitting);

}  // namespace wherry::rfcomm
