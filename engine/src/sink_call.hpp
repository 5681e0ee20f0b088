// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <exception>
#include <utility>

#include "wherry/as_error.hpp"

namespace wherry {

// Calls a sink, be it a plugin's or one of the program's own. Turns any exception into an error, which ends the
// delivery and not the connection.
template <class Call>
auto call_sink(Call&& call) {
    try {
        return std::forward<Call>(call)();
    } catch (const std::exception& e) {
        throw as_error(e, "the receiver is out of memory");
    } catch (...) {
        throw error(errc::internal, "the sink failed with an exception of unknown type");
    }
}

}  // namespace wherry
