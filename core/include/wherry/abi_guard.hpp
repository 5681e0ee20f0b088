// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include "wherry/as_error.hpp"
#include "wherry/plugin.h"

// The two directions in which a failure crosses the C line. Both sides of it use these: sdk.hpp and the host.
namespace wherry::abi {

inline wherry_status fill(wherry_error& target, errc code, std::string_view text, int system_error = 0) noexcept {
    target.status = static_cast<wherry_status>(code);
    target.system_error = system_error;
    const auto length = std::min(text.size(), sizeof target.text - 1);
    std::memcpy(target.text, text.data(), length);
    target.text[length] = '\0';
    return target.status;
}

// Runs `body`; whatever it throws becomes a status and a filled error, for exceptions must not cross the line.
template <class Body>
wherry_status guard(wherry_error* result, Body&& body) noexcept {
    wherry_error ignored;
    wherry_error& target = result ? *result : ignored;
    try {
        std::forward<Body>(body)();
        return WHERRY_OK;
    } catch (const std::exception& e) {
        return translate(
            e, [&](errc code, const char* text, int system_error) { return fill(target, code, text, system_error); });
    } catch (...) {
        return fill(target, errc::internal, "an exception of unknown type");
    }
}

// Calls a function of the other side and turns its status back into an exception. `call` gets a wherry_error*.
// `who` (a plugin's name), if not empty, begins the text.
template <class Call>
void checked(std::string_view who, Call&& call) {
    wherry_error failure;
    failure.status = WHERRY_OK;
    failure.system_error = 0;
    failure.text[0] = '\0';
    const wherry_status status = std::forward<Call>(call)(&failure);
    if (status == WHERRY_OK) return;
    failure.text[sizeof failure.text - 1] = '\0';
    const std::string text = failure.text[0] ? failure.text : "failed without saying why";
    throw error(to_errc(status), who.empty() ? text : std::string(who) + ": " + text, failure.system_error);
}

}  // namespace wherry::abi
