// SPDX-License-Identifier: BSD-2-Clause
#include "bluez_bus.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>

#include "bluez_failures.hpp"

namespace wherry::rfcomm {

namespace {

using namespace std::chrono_literals;

// bluetoothd answers at once what it can answer; a machine that has much to do may let it wait.
constexpr std::chrono::microseconds answer_time = 10s;

constexpr const char* no_owner = "org.freedesktop.DBus.Error.NameHasNoOwner";

}  // namespace

std::unique_ptr<bluez_bus> bluez_bus::try_open(std::string& why) {
    std::unique_ptr<sdbus::IConnection> connection;
    try {
        connection = sdbus::createSystemBusConnection();
    } catch (const sdbus::Error& e) {
        why = why_no_bus(e.getMessage());
        return nullptr;
    }
    try {
        connection->setMethodCallTimeout(answer_time);
        // Asked first, for a call would have the bus start bluetoothd, which somebody may have stopped on purpose.
        bool is_there = false;
        make_proxy(*connection, "org.freedesktop.DBus", "/org/freedesktop/DBus")
            ->callMethod("NameHasOwner")
            .onInterface("org.freedesktop.DBus")
            .withArguments(std::string(bluez_name))
            .storeResultsTo(is_there);
        if (!is_there) {
            why = why_no_bluetoothd(no_owner, {});
            return nullptr;
        }
        std::unique_ptr<bluez_bus> bus(new bluez_bus(std::move(connection)));
        bus->all_objects();
        return bus;
    } catch (const sdbus::Error& e) {
        why = why_no_bluetoothd(e.getName(), e.getMessage());
        return nullptr;
    }
}

bluez_bus::bluez_bus(std::unique_ptr<sdbus::IConnection> connection)
    : connection_(std::move(connection)), manager_(make_proxy(*connection_, bluez_name, "/")) {
    end_of_bluetoothd_ = add_match(
        *connection_,
        "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',"
        "arg0='org.bluez'",
        [this](sdbus::Message& message) {
            std::string name, before, after;
            message >> name >> before >> after;
            is_gone_ = is_gone_ || !before.empty();
        });
}

bus_objects bluez_bus::all_objects() {
    bus_objects all;
    manager_->callMethod("GetManagedObjects").onInterface("org.freedesktop.DBus.ObjectManager").storeResultsTo(all);
    return all;
}

bus_objects bluez_bus::objects() {
    try {
        return all_objects();
    } catch (const sdbus::Error& e) {
        throw bluez_failure(e.getName(), e.getMessage(), "bluetoothd does not say which devices it knows");
    }
}

std::unique_ptr<sdbus::IProxy> bluez_bus::proxy(const std::string& path) {
    return make_proxy(*connection_, bluez_name, path);
}

sdbus::Slot bluez_bus::subscribe(const std::string& match, std::function<void(sdbus::Message&)> handle) {
    return add_match(*connection_, "type='signal',sender='org.bluez'," + match,
                     [this, handle = std::move(handle)](sdbus::Message& message) {
                         try {
                             handle(message);
                         } catch (...) {
                             keep_failure(std::current_exception());
                         }
                     });
}

void bluez_bus::keep_failure(std::exception_ptr failure) noexcept {
    if (!failure_) failure_ = std::move(failure);
}

bool bluez_bus::wait(const deadline& until, const std::function<bool()>& is_over, int wake) {
    for (;;) {
        // One message at a time: what is_over() waits for may make the rest unwelcome.
        bool has_more = false;
        try {
            has_more = process_message(*connection_);
        } catch (const sdbus::Error& e) {
            throw error(
                errc::disconnected,
                fmt::format("the connection to the system's D-Bus broke ({}); try again when dbus and bluetoothd run",
                            e.getMessage()));
        }
        if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
        if (is_over()) return true;
        if (is_gone_)
            throw error(errc::disconnected,
                        "bluetoothd has ended; start it with systemctl start bluetooth, and try again");
        if (poll_timeout(until) == 0) return false;
        if (has_more) continue;

        const auto poll_data = connection_->getEventLoopPollData();
        std::array<pollfd, 3> watched{
            {{poll_data.fd, poll_data.events, 0}, {wake, POLLIN, 0}, {event_descriptor(poll_data), POLLIN, 0}}};
        int patience = poll_timeout(until);
        if (const int own = poll_data.getPollTimeout(); own >= 0)
            patience = patience < 0 ? own : std::min(patience, own);
        const int ready = uninterrupted([&] { return ::poll(watched.data(), watched.size(), patience); });
        if (ready < 0) throw error(errc::io, fmt::format("cannot wait for bluetoothd ({})", system_text(errno)), errno);
        if (watched[1].revents != 0) return false;
    }
}

std::string adapter_path(const std::string& adapter_name) { return "/org/bluez/" + adapter_name; }

std::string device_path(const std::string& adapter_name, const std::string& address) {
    std::string plain = address;
    std::replace(plain.begin(), plain.end(), ':', '_');
    return adapter_path(adapter_name) + "/dev_" + plain;
}

}  // namespace wherry::rfcomm
