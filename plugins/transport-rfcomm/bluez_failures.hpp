// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "bluetooth_address.hpp"
#include "wherry/error.hpp"

// The one place where what D-Bus and bluetoothd answer becomes a sentence with the next step.
namespace wherry::rfcomm {

// Why there is no bluetoothd to talk to, for the end of a sentence. `cause` is the system's word.
std::string why_no_bus(const std::string& cause);
// The same where the bus is there. `name` is the D-Bus error's.
std::string why_no_bluetoothd(const std::string& name, const std::string& message);

// A call that failed, whatever it was; `what` begins the sentence.
error bluez_failure(const std::string& name, const std::string& message, const std::string& what);

// Device1.Pair that failed.
error pairing_failure(const std::string& name, const std::string& message, const bluetooth_address& device);

}  // namespace wherry::rfcomm
