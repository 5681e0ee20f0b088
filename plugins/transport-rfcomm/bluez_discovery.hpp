// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "adapters.hpp"
#include "bluez_bus.hpp"
#include "device_table.hpp"

namespace wherry::rfcomm {

// What a Device1 of bluetoothd's says, all of it or what has changed, put into `device`.
void read_device(const bus_properties& changed, found_device& device);

// The devices that bluetoothd has heard of through this adapter, by their paths below it.
std::vector<found_device> known_devices(const bus_objects& all, const adapter& local);

// Fills `table` with what bluetoothd knows and, until is_over() or the table does not go on, finds over BR/EDR; always
// ends the search that it began. is_over() is asked several times a second.
// Throws error.
void discover_with_bluez(bluez_bus& bus, const adapter& local, device_table& table,
                         const std::function<bool()>& is_over);

// The one device of that name that is paired. Throws error(errc::bad_input) if there are several.
std::optional<bluetooth_address> paired_by_name(bluez_bus& bus, const adapter& local, std::string_view name);

}  // namespace wherry::rfcomm
