// SPDX-License-Identifier: BSD-2-Clause
#include "bluez_discovery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "bluez_failures.hpp"
#include "find_by_name.hpp"
#include "service_lookup.hpp"

namespace wherry::rfcomm {

namespace {

using namespace std::chrono_literals;

constexpr const char* adapter_interface = "org.bluez.Adapter1";

// bluetoothd's stand-in for a name: the address with dashes.
bool is_stand_in(const std::string& alias, const bluetooth_address& address) {
    auto dashed = to_string(address);
    std::replace(dashed.begin(), dashed.end(), ':', '-');
    return alias == dashed;
}

// The address in ".../dev_AA_BB_CC_DD_EE_FF", if it is a device of this adapter.
std::optional<bluetooth_address> address_in(const std::string& path, const adapter& local) {
    const auto begin = adapter_path(local.name) + "/dev_";
    if (!path.starts_with(begin)) return std::nullopt;
    auto text = path.substr(begin.size());
    std::replace(text.begin(), text.end(), '_', ':');
    return bluetooth_address::parse(text);
}

// Stops what it started.
class search {
public:
    search(bluez_bus& bus, const adapter& local) : adapter_(bus.proxy(adapter_path(local.name))) {
        try {
            // Only devices with BR/EDR have RFCOMM. The filter is this connection's.
            const bus_properties filter = {{"Transport", sdbus::Variant(std::string("bredr"))}};
            adapter_->callMethod("SetDiscoveryFilter").onInterface(adapter_interface).withArguments(filter);
            adapter_->callMethod("StartDiscovery").onInterface(adapter_interface);
        } catch (const sdbus::Error& e) {
            throw bluez_failure(e.getName(), e.getMessage(),
                                fmt::format("looking for devices with {} failed", local.name));
        }
    }
    ~search() {
        try {
            adapter_->callMethod("StopDiscovery").onInterface(adapter_interface);
        } catch (const sdbus::Error&) {
            // It ends with the connection at the latest.
        }
    }
    search(const search&) = delete;
    search& operator=(const search&) = delete;

private:
    std::unique_ptr<sdbus::IProxy> adapter_;
};

bool is_low_energy(const bus_properties& device) {
    return property<std::string>(device, "AddressType").value_or("public") == "random";
}

}  // namespace

void read_device(const bus_properties& changed, found_device& device) {
    if (const auto alias = property<std::string>(changed, "Alias"))
        device.name = is_stand_in(*alias, device.address) ? std::string() : *alias;
    if (const auto signal = property<std::int16_t>(changed, "RSSI")) {
        device.signal_dbm = *signal;
        device.is_near = true;
    }
    if (const auto is_connected = property<bool>(changed, "Connected")) device.is_near |= *is_connected;
    if (const auto is_paired = property<bool>(changed, "Paired")) device.is_paired = *is_paired;
    if (const auto number = property<std::uint32_t>(changed, "Class")) device.device_class = *number;
    if (const auto services = property<std::vector<std::string>>(changed, "UUIDs"))
        // That it is missing says nothing: what a device says of itself in passing need not be complete.
        if (std::find(services->begin(), services->end(), service_uuid) != services->end()) device.has_receiver = true;
}

std::vector<found_device> known_devices(const bus_objects& all, const adapter& local) {
    std::vector<found_device> known;
    for (const auto& [path, interfaces] : all) {
        const auto found = interfaces.find(device_interface);
        const auto address = address_in(path, local);
        if (found == interfaces.end() || !address || is_low_energy(found->second)) continue;
        known.emplace_back().address = *address;
        read_device(found->second, known.back());
    }
    return known;
}

void discover_with_bluez(bluez_bus& bus, const adapter& local, device_table& table,
                         const std::function<bool()>& is_over) {
    const auto take = [&](const std::string& path, const bus_properties& changed) {
        const auto address = address_in(path, local);
        if (!address || is_low_energy(changed)) return;
        table.update(*address, [&](found_device& device) { read_device(changed, device); });
    };
    const auto added = bus.subscribe("interface='org.freedesktop.DBus.ObjectManager',member='InterfacesAdded'",
                                     [&](sdbus::Message& message) {
                                         sdbus::ObjectPath path;
                                         bus_interfaces interfaces;
                                         message >> path >> interfaces;
                                         const auto found = interfaces.find(device_interface);
                                         if (found != interfaces.end()) take(path, found->second);
                                     });
    const auto changes =
        bus.subscribe("interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',path_namespace='" +
                          adapter_path(local.name) + "',arg0='" + device_interface + "'",
                      [&](sdbus::Message& message) {
                          std::string interface_name;
                          bus_properties changed;
                          message >> interface_name >> changed;
                          take(message.getPath(), changed);
                      });

    for (auto& one : known_devices(bus.objects(), local)) {
        // What it said when it was near once; whether a receiver runs there now is to be asked.
        if (!one.is_near) one.has_receiver.reset();
        table.update(one.address, [&](found_device& device) { device = one; });
    }
    const search running(bus, local);
    while (!is_over() && table.goes_on()) bus.wait(deadline_after(tick), [&] { return table.is_stopped(); });
}

std::optional<bluetooth_address> paired_by_name(bluez_bus& bus, const adapter& local, std::string_view name) {
    std::vector<bluetooth_address> fitting;
    for (const auto& one : known_devices(bus.objects(), local))
        if (one.name == name && one.is_paired.value_or(false)) fitting.push_back(one.address);
    return only_one(name, fitting);
}

}  // namespace wherry::rfcomm
