#pragma once

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "wherry/error.hpp"
#include "wherry/plugin.h"

// The two directions in which a failure crosses the C line. Both sides of it use these: sdk.hpp and the host.
namespace wherry::abi {

inline wherry_status fill(wherry_error& out, errc code, std::string_view text, int system_error = 0) noexcept {
    out.status = static_cast<wherry_status>(code);
    out.system_error = system_error;
    const auto length = std::min(text.size(), sizeof out.text - 1);
    std::memcpy(out.text, text.data(), length);
    out.text[length] = '\0';
    return out.status;
}

// Runs `body`; whatever it throws becomes a status and a filled error, for exceptions must not cross the line.
template <class Body>
wherry_status guard(wherry_error* out, Body&& body) noexcept {
    wherry_error ignored;
    wherry_error& target = out ? *out : ignored;
    try {
        std::forward<Body>(body)();
        return WHERRY_OK;
    } catch (const error& e) {
        return fill(target, e.code(), e.what(), e.system_error());
    } catch (const std::bad_alloc&) {
        return fill(target, errc::exhausted, "out of memory");
    } catch (const std::system_error& e) {
        return fill(target, errc::io, e.what(), e.code().value());
    } catch (const std::exception& e) {
        return fill(target, errc::internal, e.what());
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
