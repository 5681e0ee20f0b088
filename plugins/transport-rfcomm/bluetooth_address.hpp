// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <bluetooth/bluetooth.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace wherry::rfcomm {

// RFCOMM channels of servers (Bluetooth Core, RFCOMM with TS 07.10, section 5.4); 0 stands for none.
inline constexpr std::uint8_t first_channel = 1, last_channel = 30;

// The address of a device. Unlike bdaddr_t it is a value: it compares, and prints the way people write it.
class bluetooth_address {
public:
    bluetooth_address() noexcept = default;  // any
    explicit bluetooth_address(const bdaddr_t& raw) noexcept : raw_(raw) {}

    // "AA:BB:CC:DD:EE:FF", in either case; nothing else.
    static std::optional<bluetooth_address> parse(std::string_view text) noexcept;

    const bdaddr_t& raw() const noexcept { return raw_; }
    bool is_any() const noexcept { return *this == bluetooth_address(); }

    friend bool operator==(const bluetooth_address& one, const bluetooth_address& other) noexcept;

private:
    bdaddr_t raw_{};
};

// "AA:BB:CC:DD:EE:FF"
std::string to_string(const bluetooth_address& address);

// What a user writes to reach a receiver: "AA:BB:CC:DD:EE:FF[/CHANNEL]" or "NAME[/CHANNEL]".
struct remote_endpoint {
    std::optional<bluetooth_address> device;  // or else
    std::string name;                         // as the device calls itself
    std::uint8_t channel = 0;                 // 0: what the device's service record says
};

// Throws error(errc::bad_input).
remote_endpoint parse_remote(std::string_view text);

// Where to listen: "[ADAPTER][/CHANNEL]".
struct local_endpoint {
    std::string adapter;       // "hci0" or its address; empty: any
    std::uint8_t channel = 0;  // 0: any that is free
};

// Throws error(errc::bad_input).
local_endpoint parse_local(std::string_view text);

// "AA:BB:CC:DD:EE:FF/3"
std::string to_string(const bluetooth_address& address, std::uint8_t channel);

}  // namespace wherry::rfcomm
