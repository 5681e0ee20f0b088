// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <botan/exceptn.h>

#include <type_traits>
#include <utility>

#include "wherry/error.hpp"

namespace wherry::hybrid {

// Runs Botan over a value that the peer sent. Each version of Botan refuses other values, at other places, and with
// other exceptions, all about an argument or its decoding; these are error(errc::protocol) here. Any other exception,
// such as that random bytes are lacking, is no fault of the peer's and passes.
template <class Work>
std::invoke_result_t<Work> with_peer_value(Work&& work) {
    try {
        return std::forward<Work>(work)();
    } catch (const Botan::Invalid_Algorithm_Name&) {
        throw;  // the name is this side's
    } catch (const Botan::Exception& e) {
        switch (e.error_type()) {
            case Botan::ErrorType::InvalidArgument:
            case Botan::ErrorType::InvalidKeyLength:
            case Botan::ErrorType::DecodingFailure: break;
            default: throw;
        }
        throw error(errc::protocol, "the peer sent a key exchange value that gives no secret");
    }
}

}  // namespace wherry::hybrid
