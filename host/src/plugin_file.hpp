// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <string>

namespace wherry {

// Throws error(errc::unsupported): "FILE why".
[[noreturn]] void refuse_plugin(const std::filesystem::path& file, const std::string& why);

// Throws error where another user could change the file, or swap it: errc::unsupported, or errc::io if it cannot tell.
// Returns the file behind the links, which nobody else can swap: that is the one to look at and to load. Who can write
// the folder that was searched could lead a link elsewhere in between.
std::filesystem::path require_safe(const std::filesystem::path& file);

}  // namespace wherry
