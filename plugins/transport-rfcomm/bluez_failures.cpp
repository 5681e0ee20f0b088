// SPDX-License-Identifier: BSD-2-Clause
#include "bluez_failures.hpp"

#include <fmt/format.h>

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

std::string in_short(const std::string& name, const std::string& message) {
    const auto last = name.substr(name.rfind('.') + 1);
    return printable(message.empty() || message == last ? last : last + ": " + message);
}

bool is_no_answer(std::string_view bus_error) {
    return bus_error == "NoReply" || bus_error == "Timeout" || bus_error == "TimedOut" || bus_error == "Disconnected";
}

}  // namespace

std::string why_no_bus(const std::string& cause) {
    return fmt::format(
        "this system has no D-Bus that answers ({}), over which bluetoothd is reached; install dbus and bluez, and "
        "start them with systemctl start dbus bluetooth",
        printable(cause));
}

std::string why_no_bluetoothd(const std::string& name, const std::string& message) {
    const auto bus = told_by(bus_prefix, name);
    if (bus == "AccessDenied")
        return fmt::format("this user may not talk to bluetoothd ({}); join the group bluetooth, or run as root",
                           in_short(name, message));
    if (is_no_answer(bus)) return "bluetoothd does not answer; restart it with systemctl restart bluetooth";
    // ServiceUnknown, and what it is called when the bus tried to start it.
    return "bluetoothd is not running; install bluez and start it with systemctl start bluetooth";
}

error bluez_failure(const std::string& name, const std::string& message, const std::string& what) {
    const auto why = in_short(name, message);
    const auto bluez = told_by(bluez_prefix, name);
    const auto bus = told_by(bus_prefix, name);
    if (bluez == "NotReady")
        return error(errc::io,
                     fmt::format("{} ({}): the Bluetooth adapter is off; do: bluetoothctl power on", what, why));
    if (bluez == "InProgress" || bluez == "Busy")
        return error(
            errc::io,
            fmt::format("{} ({}): the Bluetooth adapter is at work for another program; try again soon", what, why));
    if (bluez == "NotAuthorized" || bluez == "NotPermitted" || bus == "AccessDenied")
        return error(errc::io,
                     fmt::format("{} ({}): this user may not; join the group bluetooth, or run as root", what, why));
    if (is_no_answer(bus))
        return error(
            errc::timed_out,
            fmt::format("{} ({}): bluetoothd does not answer; restart it with systemctl restart bluetooth", what, why));
    if (bus == "ServiceUnknown" || bus == "NameHasNoOwner")
        return error(
            errc::disconnected,
            fmt::format("{} ({}): bluetoothd has ended; install bluez and start it with systemctl start bluetooth",
                        what, why));
    if (bus == "UnknownObject" || bus == "UnknownMethod" || bus == "UnknownInterface")
        return error(
            errc::io,
            fmt::format("{} ({}): bluetoothd does not know the Bluetooth adapter; see bluetoothctl list", what, why));
    return error(errc::io, fmt::format("{} ({}); bluetoothd's log may say more: journalctl -u bluetooth", what, why));
}

error pairing_failure(const std::string& name, const std::string& message, const bluetooth_address& device) {
    const auto who = to_string(device);
    const auto why = in_short(name, message);
    const auto bluez = told_by(bluez_prefix, name);
    const auto bus = told_by(bus_prefix, name);
    const auto what = fmt::format("pairing with {} failed", who);
    if (bluez == "AuthenticationRejected")
        return error(errc::refused,
                     fmt::format("{} refused to pair ({}); accept it there: a pairing agent has to run (the desktop's "
                                 "Bluetooth settings, or bluetoothctl), and the device to be pairable",
                                 who, why));
    if (bluez == "AuthenticationCanceled")
        return error(
            errc::refused,
            fmt::format("the pairing with {} was called off ({}); try again, and accept it on both sides", who, why));
    if (bluez == "AuthenticationFailed")
        return error(errc::auth_failed,
                     fmt::format("{} ({}): the codes differed, it was declined there, or nobody was asked there, for "
                                 "which a pairing agent has to run (the desktop's Bluetooth settings, or "
                                 "bluetoothctl); if it is paired on that side only, forget it there, and try again",
                                 what, why));
    if (bluez == "AuthenticationTimeout")
        return error(
            errc::timed_out,
            fmt::format("{} ({}): it was not confirmed in time; try again, and accept it on both sides", what, why));
    if (bluez == "ConnectionAttemptFailed")
        return error(errc::timed_out, fmt::format("{} does not answer ({}); bring it nearer, switch its Bluetooth on, "
                                                  "and check the address with wherry devices",
                                                  who, why));
    if (bluez == "InProgress")
        return error(errc::io,
                     fmt::format("{} ({}): another pairing is under way; try again when that has ended", what, why));
    if (bluez == "DoesNotExist" || bus == "UnknownObject" || bus == "UnknownMethod")
        return error(errc::disconnected, fmt::format("{} ({}): it was near and is gone; try again", what, why));
    return bluez_failure(name, message, what);
}

}  // namespace wherry::rfcomm
