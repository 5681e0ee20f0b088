// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace wherry {

using transfer_id = std::uint32_t;  // on one connection

// Identifies one delivery on every connection that it is offered on. It is random, and only the two sides know it.
using delivery_id = std::array<std::byte, 16>;

}  // namespace wherry
