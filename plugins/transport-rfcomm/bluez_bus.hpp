// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "sdbus_versions.hpp"
#include "socket_connection.hpp"
#include "wherry/error.hpp"

// bluetoothd over the system's D-Bus.
namespace wherry::rfcomm {

using bus_properties = std::map<std::string, sdbus::Variant>;
using bus_interfaces = std::map<std::string, bus_properties>;
using bus_objects = std::map<sdbus::ObjectPath, bus_interfaces>;

inline constexpr const char* bluez_name = "org.bluez";
inline constexpr const char* device_interface = "org.bluez.Device1";

// A connection to the bus on which bluetoothd answers. bluetoothd undoes what was asked of it over a connection
// (discoveries, agents, profiles) when that ends, however it does.
// Thread-safety: one thread at a time. Nothing comes in but in the calls of this class, on the thread that calls.
class bluez_bus {
public:
    // None where there is no bluetoothd to talk to: then *why is what is missing, and what to do, for the end of a
    // sentence: "bluetoothd is not running; start it with systemctl start bluetooth".
    static std::unique_ptr<bluez_bus> try_open(std::string& why);

    // What bluetoothd has: adapters and devices. Throws error.
    bus_objects objects();

    // For calls of methods; a failure of theirs is sdbus::Error, for which as_error() has words.
    std::unique_ptr<sdbus::IProxy> proxy(const std::string& path);
    sdbus::IConnection& connection() noexcept { return *connection_; }

    // Signals of bluetoothd's that match, for as long as the slot lives. `handle` is called from wait(), and may throw:
    // wait() passes it on.
    [[nodiscard]] sdbus::Slot subscribe(const std::string& match, std::function<void(sdbus::Message&)> handle);

    // Deals with what comes in until is_over() (asked after each message), `until`, or `wake` becomes readable (-1:
    // none). True if is_over(). Throws error(errc::disconnected) if the bus or bluetoothd has gone, and what was thrown
    // in a handler.
    bool wait(const deadline& until, const std::function<bool()>& is_over, int wake = -1);

    // For handlers of methods that bluetoothd calls, which must not throw what is not a sdbus::Error: keeps what was
    // thrown for wait() to pass on.
    void keep_failure(std::exception_ptr failure) noexcept;

private:
    explicit bluez_bus(std::unique_ptr<sdbus::IConnection> connection);
    // Throws sdbus::Error.
    bus_objects all_objects();

    std::unique_ptr<sdbus::IConnection> connection_;
    std::unique_ptr<sdbus::IProxy> manager_;
    std::exception_ptr failure_;
    bool is_gone_ = false;
    sdbus::Slot end_of_bluetoothd_;
};

// The path of an adapter ("hci0") and of its device; what an address is in a path.
std::string adapter_path(const std::string& adapter_name);
std::string device_path(const std::string& adapter_name, const std::string& address);

// A property of a map, if it is there and of that type.
template <class Value>
std::optional<Value> property(const bus_properties& all, const std::string& name) {
    const auto found = all.find(name);
    if (found == all.end() || !found->second.containsValueOfType<Value>()) return std::nullopt;
    return found->second.get<Value>();
}

}  // namespace wherry::rfcomm
