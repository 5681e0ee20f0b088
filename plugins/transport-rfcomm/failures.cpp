// SPDX-License-Identifier: BSD-2-Clause
#include "failures.hpp"

#include <fmt/format.h>

#include <cerrno>

#include "socket_connection.hpp"

namespace wherry::rfcomm {

void fail_socket(int code) {
    switch (code) {
        case EAFNOSUPPORT:
            throw error(errc::io,
                        fmt::format("this kernel has no Bluetooth ({}); load it with modprobe bluetooth, or use a "
                                    "kernel that was built with it",
                                    system_text(code)),
                        code);
        case EPROTONOSUPPORT:
        case ESOCKTNOSUPPORT:
            throw error(errc::io,
                        fmt::format("this kernel has Bluetooth, but no RFCOMM ({}); load it with modprobe rfcomm",
                                    system_text(code)),
                        code);
        case EPERM:
        case EACCES:
            throw error(errc::io,
                        fmt::format("this system does not permit the use of Bluetooth ({}); run outside of the "
                                    "container or sandbox, or let it have Bluetooth sockets",
                                    system_text(code)),
                        code);
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
            throw error(
                errc::exhausted,
                fmt::format("no descriptor or memory is left for a Bluetooth connection ({})", system_text(code)),
                code);
        default: throw error(errc::io, fmt::format("no Bluetooth socket can be made ({})", system_text(code)), code);
    }
}

void fail_reach(const bluetooth_address& device, int code) {
    const auto who = to_string(device);
    const auto why = system_text(code);
    switch (code) {
        case EHOSTDOWN:  // the page timed out
        case ETIMEDOUT:
            throw error(errc::timed_out,
                        fmt::format("{} does not answer ({}); bring it nearer, switch its Bluetooth on, and check the "
                                    "address with wherry devices",
                                    who, why),
                        code);
        case EHOSTUNREACH:
        case ENETDOWN:
        case ENODEV:
            throw error(errc::disconnected,
                        fmt::format("no Bluetooth adapter that is up leads to {} ({}); bluetoothctl show tells its "
                                    "state, and bluetoothctl power on switches it on",
                                    who, why),
                        code);
        case EACCES:
        case EPERM:
        case EKEYREJECTED:
            throw error(errc::disconnected,
                        fmt::format("{0} does not let this device in ({1}); pair the two: wherry pair {0}", who, why),
                        code);
        case EMLINK:
        case EBUSY:
            throw error(
                errc::disconnected,
                fmt::format("the adapter or {} is busy with another connection ({}); try again when that has ended",
                            who, why),
                code);
        case ECONNREFUSED:
        case ECONNRESET:
        case ECONNABORTED:
        case EPIPE:
            throw error(
                errc::disconnected,
                fmt::format("{} broke the connection off ({}); see that it stays near, and try again", who, why), code);
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
            throw error(errc::exhausted, fmt::format("no descriptor or memory is left to connect to {} ({})", who, why),
                        code);
        case EAFNOSUPPORT:
        case EPROTONOSUPPORT: fail_socket(code);
        default:
            throw error(errc::disconnected,
                        fmt::format("{} cannot be reached over Bluetooth ({}); try again", who, why), code);
    }
}

void fail_connect(const bluetooth_address& device, std::uint8_t channel, const std::string& security, int code) {
    const auto who = to_string(device);
    const auto why = system_text(code);
    switch (code) {
        case ECONNREFUSED:
            throw error(errc::disconnected,
                        fmt::format("{} is there, but nothing listens on its channel {} ({}); start wherry receive "
                                    "--transport rfcomm there, or leave the channel out",
                                    who, channel, why),
                        code);
        // What a peer that wants a pairing, or whose key is another, answers differs from one controller to the next.
        case EACCES:
        case EPERM:
        case EKEYREJECTED:
            throw error(errc::disconnected,
                        fmt::format("{0} does not agree on link security '{1}' ({2}); pair the two: wherry pair {0}, "
                                    "or lower --rfcomm.security on both sides",
                                    who, security, why),
                        code);
        case ECONNRESET:
        case ECONNABORTED:
            throw error(errc::disconnected,
                        fmt::format("{0} broke the connection off before it stood ({1}); if they are not paired (at "
                                    "security '{2}' they have to be), do: wherry pair {0}",
                                    who, why, security),
                        code);
        case EBUSY:
            throw error(errc::disconnected,
                        fmt::format("this machine has a connection to channel {} of {} already, and there can be one "
                                    "only ({}); wait for it to end",
                                    channel, who, why),
                        code);
        default: fail_reach(device, code);
    }
}

void fail_lookup(const bluetooth_address& device, int code) {
    if (code == ECONNREFUSED || code == ECONNRESET)
        throw error(errc::disconnected,
                    fmt::format("{0} is there, but does not tell its services ({1}); see that bluetoothd runs there, "
                                "or name the receiver's channel: rfcomm://{0}/CHANNEL",
                                to_string(device), system_text(code)),
                    code);
    fail_reach(device, code);
}

void fail_no_service(const bluetooth_address& device) {
    throw error(errc::disconnected,
                fmt::format("{0} is there, but offers no wherry receiver; start wherry receive --transport rfcomm "
                            "there, or name the channel it shows: rfcomm://{0}/CHANNEL",
                            to_string(device)));
}

void fail_listen(const std::string& where, int code) {
    const auto why = system_text(code);
    switch (code) {
        case EADDRINUSE:
            throw error(errc::bad_input,
                        fmt::format("cannot listen at {} ({}); choose another channel, none for any that is free, or "
                                    "stop the program that has it",
                                    where, why),
                        code);
        case EINVAL:
            throw error(errc::io,
                        fmt::format("no RFCOMM channel is free at {} ({}); stop a program that has one", where, why),
                        code);
        case EADDRNOTAVAIL:
        case ENODEV:
            throw error(errc::io,
                        fmt::format("cannot listen at {} ({}); is the adapter up? See bluetoothctl show", where, why),
                        code);
        case EACCES:
        case EPERM:
            throw error(errc::io, fmt::format("this system does not permit to listen at {} ({})", where, why), code);
        default: throw error(errc::io, fmt::format("cannot listen at {} ({})", where, why), code);
    }
}

}  // namespace wherry::rfcomm
