// SPDX-License-Identifier: BSD-2-Clause
#include "failures.hpp"

#include <cerrno>

#include "socket_connection.hpp"

namespace wherry::rfcomm {

namespace {

std::string why(int code) { return " (" + system_text(code) + ")"; }

}  // namespace

void fail_socket(int code) {
    switch (code) {
        case EAFNOSUPPORT:
            throw error(errc::unsupported,
                        "this kernel has no Bluetooth" + why(code) +
                            "; load it with modprobe bluetooth, or use a kernel that was built with it",
                        code);
        case EPROTONOSUPPORT:
        case ESOCKTNOSUPPORT:
            throw error(errc::unsupported,
                        "this kernel has Bluetooth, but no RFCOMM" + why(code) + "; load it with modprobe rfcomm",
                        code);
        case EPERM:
        case EACCES:
            throw error(errc::io,
                        "this system does not permit the use of Bluetooth" + why(code) +
                            "; run outside of the container or sandbox, or let it have Bluetooth sockets",
                        code);
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
            throw error(errc::exhausted, "no descriptor or memory is left for a Bluetooth connection" + why(code),
                        code);
        default: throw error(errc::io, "no Bluetooth socket can be made" + why(code), code);
    }
}

void fail_reach(const bluetooth_address& device, int code) {
    const auto who = to_string(device);
    switch (code) {
        case EHOSTDOWN:  // the page timed out
        case ETIMEDOUT:
            throw error(errc::timed_out,
                        who + " does not answer" + why(code) +
                            "; bring it nearer, switch its Bluetooth on, and check the address with wherry devices",
                        code);
        case EHOSTUNREACH:
        case ENETDOWN:
        case ENODEV:
            throw error(errc::disconnected,
                        "no Bluetooth adapter that is up leads to " + who + why(code) +
                            "; bluetoothctl show tells its state, and bluetoothctl power on switches it on",
                        code);
        case EACCES:
        case EPERM:
        case EKEYREJECTED:
            throw error(errc::disconnected,
                        who + " does not let this device in" + why(code) + "; pair the two: wherry pair " + who, code);
        case EMLINK:
        case EBUSY:
            throw error(errc::disconnected,
                        "the adapter or " + who + " is busy with another connection" + why(code) +
                            "; try again when that has ended",
                        code);
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case EPIPE:
            throw error(errc::disconnected,
                        who + " broke the connection off" + why(code) + "; see that it stays near, and try again",
                        code);
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
            throw error(errc::exhausted, "no descriptor or memory is left to connect to " + who + why(code), code);
        case EAFNOSUPPORT:
        case EPROTONOSUPPORT: fail_socket(code);
        default:
            throw error(errc::disconnected, who + " cannot be reached over Bluetooth" + why(code) + "; try again",
                        code);
    }
}

void fail_connect(const bluetooth_address& device, std::uint8_t channel, const std::string& security, int code) {
    const auto who = to_string(device);
    switch (code) {
        case ECONNREFUSED:
            throw error(errc::disconnected,
                        who + " is there, but nothing listens on its channel " + std::to_string(channel) + why(code) +
                            "; start wherry receive --transport rfcomm there, or leave the channel out",
                        code);
        // What a peer that wants a pairing, or whose key is another, answers differs from one controller to the next.
        case EACCES:
        case EPERM:
        case EKEYREJECTED:
            throw error(errc::disconnected,
                        who + " does not agree on link security '" + security + "'" + why(code) +
                            "; pair the two: wherry pair " + who + ", or lower --rfcomm.security on both sides",
                        code);
        case ECONNRESET:
        case ECONNABORTED:
            throw error(errc::disconnected,
                        who + " broke the connection off before it stood" + why(code) +
                            "; if they are not paired (at " + "security '" + security +
                            "' they have to be), do: wherry pair " + who,
                        code);
        case EBUSY:
            throw error(errc::disconnected,
                        "this machine has a connection to channel " + std::to_string(channel) + " of " + who +
                            " already, and there can be one only" + why(code) + "; wait for it to end",
                        code);
        default: fail_reach(device, code);
    }
}

void fail_lookup(const bluetooth_address& device, int code) {
    const auto who = to_string(device);
    if (code == ECONNREFUSED || code == ECONNRESET)
        throw error(errc::disconnected,
                    who + " is there, but does not tell its services" + why(code) +
                        "; see that bluetoothd runs there, or name the receiver's channel: rfcomm://" + who +
                        "/CHANNEL",
                    code);
    fail_reach(device, code);
}

void fail_no_service(const bluetooth_address& device) {
    const auto who = to_string(device);
    throw error(errc::disconnected, who +
                                        " is there, but offers no wherry receiver; start wherry receive --transport "
                                        "rfcomm there, or name the channel it shows: rfcomm://" +
                                        who + "/CHANNEL");
}

void fail_listen(const std::string& where, int code) {
    switch (code) {
        case EADDRINUSE:
            throw error(errc::bad_input,
                        "cannot listen at " + where + why(code) +
                            "; choose another channel, none for any that is free, or stop the program that has it",
                        code);
        case EINVAL:
            throw error(errc::io, "no RFCOMM channel is free at " + where + why(code) + "; stop a program that has one",
                        code);
        case EADDRNOTAVAIL:
        case ENODEV:
            throw error(errc::io,
                        "cannot listen at " + where + why(code) + "; is the adapter up? See bluetoothctl show", code);
        case EACCES:
        case EPERM: throw error(errc::io, "this system does not permit to listen at " + where + why(code), code);
        default: throw error(errc::io, "cannot listen at " + where + why(code), code);
    }
}

}  // namespace wherry::rfcomm
