// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cerrno>
#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "wherry/error.hpp"

namespace wherry {

// As as_error(), with a sentence for a person: what could not be had, and what to do, where the system has no more
// memory or threads; "this should not happen" for what only a bug throws.
inline error failure_of(const std::exception& caught) {
    if (const auto* const known = dynamic_cast<const error*>(&caught)) return *known;
    if (dynamic_cast<const std::bad_alloc*>(&caught) != nullptr)
        return error(errc::exhausted, "no more memory can be had; raise the limit (ulimit -v), or free some", ENOMEM);
    if (const auto* const system = dynamic_cast<const std::system_error*>(&caught)) {
        const int code = system->code().value();
        // What std::thread says.
        if (code == EAGAIN)
            return error(errc::exhausted,
                         std::string("no further thread can be started (") + system->code().message() +
                             "); raise the limits of processes (ulimit -u, TasksMax= of a systemd service) and of "
                             "memory (ulimit -v)",
                         code);
        return error(errc::io, std::string("the system says: ") + system->what(), code);
    }
    return error(errc::internal, std::string("this should not happen: ") + caught.what());
}

}  // namespace wherry
