// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <botan/exceptn.h>

#include <type_traits>
#include <utility>

#include "wherry/error.hpp"

namespace wherry::hybrid {

// Runs Botan over a value that the peer sent. Each version of Botan refuses other values, at other places, and with
// other exceptions; here all of that is error(errc::protocol).
template <class Work>
std::invoke_result_t<Work> with_peer_value(Work&& work) {
    try {
        return std::forward<Work>(work)();
    } catch (const Botan::Exception& e) {
        // Random bytes that the system does not give are not the peer's fault.
        if (e.error_type() == Botan::ErrorType::SystemError) throw;
        throw error(errc::protocol, "the peer sent a key exchange value that gives no secret");
    }
}

}  // namespace wherry::hybrid
