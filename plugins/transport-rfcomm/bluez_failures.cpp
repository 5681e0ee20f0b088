// SPDX-License-Identifier: BSD-2-Clause
#include "bluez_failures.hpp"

#include <string_view>

#include "wherry/text.hpp"

namespace wherry::rfcomm {

namespace {

constexpr std::string_view bluez_prefix = "org.bluez.Error.";
constexpr std::string_view bus_prefix = "org.freedesktop.DBus.Error.";

// "AuthenticationFailed" of "org.bluez.Error.AuthenticationFailed"; "" if it is another's.
std::string_view told_by(std::string_view prefix, std::string_view name) {
    return name.starts_with(prefix) ? name.substr(prefix.size()) : std::string_view();
}

std::string in_brackets(const std::string& name, const std::string& message) {
    const auto last = name.substr(name.rfind('.') + 1);
    return " (" + printable(message.empty() || message == last ? last : last + ": " + message) + ")";
}

bool is_no_answer(std::string_view bus_error) {
    return bus_error == "NoReply" || bus_error == "Timeout" || bus_error == "TimedOut" || bus_error == "Disconnected";
}

constexpr const char* make_it_run = "install bluez and start it with systemctl start bluetooth";

}  // namespace

std::string why_no_bus(const std::string& cause) {
    return "this system has no D-Bus that answers (" + printable(cause) +
           "), over which bluetoothd is reached; install dbus and bluez, and start them with systemctl start dbus "
           "bluetooth";
}

std::string why_no_bluetoothd(const std::string& name, const std::string& message) {
    const auto bus = told_by(bus_prefix, name);
    if (bus == "AccessDenied")
        return "this user may not talk to bluetoothd" + in_brackets(name, message) +
               "; join the group bluetooth, or run as root";
    if (is_no_answer(bus)) return "bluetoothd does not answer; restart it with systemctl restart bluetooth";
    // ServiceUnknown, and what it is called when the bus tried to start it.
    return std::string("bluetoothd is not running; ") + make_it_run;
}

error bluez_failure(const std::string& name, const std::string& message, const std::string& what) {
    const auto why = in_brackets(name, message);
    const auto bluez = told_by(bluez_prefix, name);
    const auto bus = told_by(bus_prefix, name);
    if (bluez == "NotReady")
        return error(errc::io, what + why + ": the Bluetooth adapter is off; do: bluetoothctl power on");
    if (bluez == "InProgress" || bluez == "Busy")
        return error(errc::io, what + why + ": the Bluetooth adapter is at work for another program; try again soon");
    if (bluez == "NotAuthorized" || bluez == "NotPermitted" || bus == "AccessDenied")
        return error(errc::io, what + why + ": this user may not; join the group bluetooth, or run as root");
    if (is_no_answer(bus))
        return error(errc::timed_out,
                     what + why + ": bluetoothd does not answer; restart it with systemctl restart bluetooth");
    if (bus == "ServiceUnknown" || bus == "NameHasNoOwner")
        return error(errc::disconnected, what + why + ": bluetoothd has ended; " + make_it_run);
    if (bus == "UnknownObject" || bus == "UnknownMethod" || bus == "UnknownInterface")
        return error(errc::io, what + why + ": bluetoothd does not know the Bluetooth adapter; see bluetoothctl list");
    return error(errc::io, what + why + "; bluetoothd's log may say more: journalctl -u bluetooth");
}

error pairing_failure(const std::string& name, const std::string& message, const bluetooth_address& device) {
    const auto who = to_string(device);
    const auto why = in_brackets(name, message);
    const auto bluez = told_by(bluez_prefix, name);
    const auto bus = told_by(bus_prefix, name);
    const auto what = "pairing with " + who + " failed";
    if (bluez == "AuthenticationRejected")
        return error(errc::refused, who + " refused to pair" + why +
                                        "; accept it there: a pairing agent has to run (the desktop's Bluetooth "
                                        "settings, or bluetoothctl), and the device to be pairable");
    if (bluez == "AuthenticationCanceled")
        return error(errc::refused,
                     "the pairing with " + who + " was called off" + why + "; try again, and accept it on both sides");
    if (bluez == "AuthenticationFailed")
        return error(errc::auth_failed,
                     what + why +
                         ": the codes differed, it was declined there, or nobody was asked there, for which a pairing "
                         "agent has to run (the desktop's Bluetooth settings, or bluetoothctl); if it is paired on "
                         "that side only, forget it there, and try again");
    if (bluez == "AuthenticationTimeout")
        return error(errc::timed_out,
                     what + why + ": it was not confirmed in time; try again, and accept it on both sides");
    if (bluez == "ConnectionAttemptFailed")
        return error(errc::timed_out, who + " does not answer" + why +
                                          "; bring it nearer, switch its Bluetooth on, and check the address with "
                                          "wherry devices");
    if (bluez == "InProgress")
        return error(errc::io, what + why + ": another pairing is under way; try again when that has ended");
    if (bluez == "DoesNotExist" || bus == "UnknownObject" || bus == "UnknownMethod")
        return error(errc::disconnected, what + why + ": it was near and is gone; try again");
    return bluez_failure(name, message, what);
}

}  // namespace wherry::rfcomm
