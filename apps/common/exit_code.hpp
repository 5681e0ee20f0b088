// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "wherry/error.hpp"

namespace wherry::app {

// What the program tells the shell; docs/command-line.md has the same table.
enum class exit_code : int {
    delivered = 0,      // all of it
    internal = 1,       // a bug
    usage = 2,          // an option, an argument or the configuration is wrong
    partly = 3,         // some delivered, some failed
    refused = 4,        // the receiver or its sink said no
    not_trusted = 5,    // not authorised, an unknown or a changed key
    link = 6,           // not reached, lost, or silent for too long
    local_io = 7,       // a source or a key file cannot be read, nothing can be written, listened on, or no Bluetooth
    integrity = 8,      // altered on the way, or not the protocol
    nonconforming = 9,  // a plugin fails its check
    plugin = 10,        // a plugin ended the program, or kept it from ending
    unchecked = 11,     // a plugin fails nothing, but not all that its kind has to do could be checked
    interrupted = 130   // SIGINT or SIGTERM ended it before it was done
};

enum class side { here, remote };

// For a failure that nothing was delivered after.
constexpr exit_code exit_code_for(errc failure, side said_by) noexcept {
    const bool remote = said_by == side::remote;
    switch (failure) {
        case errc::auth_failed: return exit_code::not_trusted;
        case errc::disconnected: return exit_code::link;
        // What a receiver's sink waited for in vain is no lost link.
        case errc::timed_out: return remote ? exit_code::refused : exit_code::link;
        case errc::integrity:
        case errc::protocol: return exit_code::integrity;
        case errc::refused: return exit_code::refused;
        case errc::bad_input: return remote ? exit_code::refused : exit_code::usage;
        case errc::unsupported: return remote ? exit_code::refused : exit_code::usage;
        case errc::exhausted:
        case errc::io: return remote ? exit_code::refused : exit_code::local_io;
        case errc::cancelled: return remote ? exit_code::refused : exit_code::interrupted;
        case errc::internal: return remote ? exit_code::refused : exit_code::internal;
    }
    return exit_code::internal;
}

constexpr int to_status(exit_code code) noexcept { return static_cast<int>(code); }

}  // namespace wherry::app
