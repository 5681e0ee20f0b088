// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "adapters.hpp"
#include "device_table.hpp"

// Looking for devices without bluetoothd: by commands to the adapter itself.
namespace wherry::rfcomm {

// Reads what an adapter reports while it listens around (Bluetooth Core, Host Controller Interface, section 7.7), as
// found_device with what the report tells; other events tell none. Untrusted bytes: what is cut short or overlong is
// passed over.
void read_inquiry_event(std::span<const std::uint8_t> packet, const std::function<void(const found_device&)>& tell);

// Fills `table` until is_over() or the table does not go on. is_over() is asked several times a second. Throws error.
void discover_with_hci(const adapter& local, device_table& table, const std::function<bool()>& is_over);

// Asks those that have not told their names, one after the other, until is_over() or the table does not go on.
void ask_names_with_hci(const adapter& local, device_table& table, const std::function<bool()>& is_over);

}  // namespace wherry::rfcomm
