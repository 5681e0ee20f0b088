#pragma once

#include <exception>

#include "wherry/error.hpp"

namespace wherry {

// What was caught, as the one kind of error that crosses threads and connections here: anything else is a bug.
inline error as_error(const std::exception& e) {
    const auto* const known = dynamic_cast<const error*>(&e);
    return known ? *known : error(errc::internal, e.what());
}

}  // namespace wherry
