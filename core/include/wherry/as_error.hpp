// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <exception>
#include <new>
#include <system_error>

#include "wherry/error.hpp"

namespace wherry {

// Calls `use` with the code, the text and the errno that `caught` stands for, and returns what it returns. An error
// keeps its own; a lack of memory is errc::exhausted, a failure of the system errc::io, anything else, a bug,
// errc::internal. Allocates nothing itself; the text lives as long as `caught`.
template <class Use>
auto translate(const std::exception& caught, Use&& use, const char* no_memory = "out of memory") {
    if (const auto* const known = dynamic_cast<const error*>(&caught))
        return use(known->code(), known->what(), known->system_error());
    if (dynamic_cast<const std::bad_alloc*>(&caught)) return use(errc::exhausted, no_memory, 0);
    if (const auto* const system = dynamic_cast<const std::system_error*>(&caught))
        return use(errc::io, system->what(), system->code().value());
    return use(errc::internal, caught.what(), 0);
}

// The same as an error, the one kind that crosses threads and connections.
inline error as_error(const std::exception& caught, const char* no_memory = "out of memory") {
    return translate(
        caught, [](errc code, const char* text, int system_error) { return error(code, text, system_error); },
        no_memory);
}

}  // namespace wherry
