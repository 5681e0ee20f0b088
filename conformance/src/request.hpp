// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>
#include <string_view>

#include "wherry/conformance.hpp"

// What a case's process is told by the one that starts it.
namespace wherry::conformance {

struct request {
    subject what;
    std::string name;  // of the case
};

std::string to_text(const request& from);
request request_from(std::string_view text);

}  // namespace wherry::conformance
