#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

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

}  // namespace wherry::fuzz
