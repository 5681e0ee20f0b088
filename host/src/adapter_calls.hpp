// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "call_note.hpp"
#include "plugin_adapters.hpp"
#include "wherry/abi_guard.hpp"

// How the adapters call a plugin's functions.
namespace wherry {

// As abi::checked. A C++ exception that a plugin lets out, which it must not, is a failure of this call, where the
// plugin's own frames can be unwound; nobody can promise more.
template <class Call>
void checked(const plugin_instance& instance, plugin_function which, Call&& call) {
    constexpr const char* complaint = "let a C++ exception out, which is a bug in the plugin: ";
    abi::checked(instance.name, [&](wherry_error* e) -> wherry_status {
        const call_note note(instance.calls, which);
        try {
            return call(e);
        } catch (const std::exception& thrown) {
            return abi::fill(*e, errc::internal, complaint + std::string(thrown.what()));
        } catch (...) {
            return abi::fill(*e, errc::internal, complaint + std::string("one of unknown type"));
        }
    });
}

// The same for a function that cannot fail.
template <class Call>
auto noted(const plugin_instance& instance, plugin_function which, Call&& call) {
    const call_note note(instance.calls, which);
    return call();
}

inline std::string text_or_empty(const char* text) { return text ? text : ""; }

}  // namespace wherry
