// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "bluetooth_address.hpp"
#include "wherry/error.hpp"

// The one place where the errno of a Bluetooth call becomes a sentence with the next step.
namespace wherry::rfcomm {

// A Bluetooth socket could not be made.
[[noreturn]] void fail_socket(int code);

// A device was not reached at all.
[[noreturn]] void fail_reach(const bluetooth_address& device, int code);

// A device was reached, or not, on the way to its channel. `security` is the option's word.
[[noreturn]] void fail_connect(const bluetooth_address& device, std::uint8_t channel, const std::string& security,
                               int code);

// The device was not asked for its services, or did not answer.
[[noreturn]] void fail_lookup(const bluetooth_address& device, int code);

// The device has no wherry receiver among its services.
[[noreturn]] void fail_no_service(const bluetooth_address& device);

// Listening did not begin.
[[noreturn]] void fail_listen(const std::string& where, int code);

}  // namespace wherry::rfcomm
