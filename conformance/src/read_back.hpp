// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <optional>
#include <string>

namespace wherry::conformance {

// What the author's command, run by /bin/sh with WHERRY_NAME, writes to standard output; nothing if it fails.
std::optional<std::string> read_back(const std::string& command, const std::string& name);

}  // namespace wherry::conformance
