// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "wherry/bytes.hpp"

// For fuzz targets.
namespace wherry::fuzz {

inline const_bytes bytes_of(const std::uint8_t* data, std::size_t size) noexcept {
    return {reinterpret_cast<const std::byte*>(data), size};
}

// What must hold for every input.
inline void require(bool holds) {
    if (!holds) std::abort();
}

// The text with one blank for each run of blanks and tabs.
inline std::string with_single_blanks(std::string_view text) {
    std::string single;
    for (const char c : text) {
        const bool is_gap = c == ' ' || c == '\t';
        if (!is_gap || single.empty() || single.back() != ' ') single += is_gap ? ' ' : c;
    }
    return single;
}

}  // namespace wherry::fuzz
