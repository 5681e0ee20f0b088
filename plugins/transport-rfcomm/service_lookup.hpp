// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "bluetooth_address.hpp"
#include "socket_connection.hpp"

namespace wherry::rfcomm {

// The service class of a wherry receiver (Bluetooth Core, Service Discovery Protocol, section 2.5).
inline constexpr const char* service_uuid = "54312c3e-dd09-43e0-8418-9a23e5bd040e";

// Asks the device for its wherry receiver's channel by SDP; none: it has no such service.
// `local` is the local adapter, or any; `stop`, if there is one, ends it early. Throws error: disconnected or timed_out
// if the device is not reached, protocol if what it answers makes no sense, cancelled once `stop` is raised.
std::optional<std::uint8_t> lookup_channel(const bluetooth_address& local, const bluetooth_address& device,
                                           const deadline& until, const stop_signal* stop = nullptr);

// A record's attribute with the address of the one adapter that it is about, as text. bluetoothd gives a machine's
// records out on all of its adapters, and a receiver need not listen on all of them.
inline constexpr std::uint16_t adapter_attribute = 0x0300;

// The channel in the answer of `device` (a data element sequence of records, section 4.7.2), of the first record that
// is about it. Untrusted bytes.
std::optional<std::uint8_t> channel_in(std::span<const std::uint8_t> records, const bluetooth_address& device);

}  // namespace wherry::rfcomm
