// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bluetooth_address.hpp"

// This machine's Bluetooth adapters, as the kernel knows them: what is there, and if nothing is, why.
namespace wherry::rfcomm {

struct adapter {
    int number = -1;   // as in hciN
    std::string name;  // "hci0"
    bluetooth_address address;
    bool is_up = false;
};

// All there are, down or up. Throws error(errc::io) where the kernel has no Bluetooth, or where it is not permitted.
std::vector<adapter> list_adapters();

// The one that is named ("hci1" or its address), or, where `which` is empty, the first that is up.
// Throws error: bad_input if there is none of that name; io if there is none at all, or it is down, with what to do.
adapter usable_adapter(std::string_view which);

// Why it is down, and what to do: "hci0 is blocked (rfkill); do: rfkill unblock bluetooth".
std::string why_down(const adapter& one);

}  // namespace wherry::rfcomm
