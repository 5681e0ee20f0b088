// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "wherry/bytes.hpp"

namespace wherry::conformance {

// Bytes that do not repeat and do not compress, the same for the same seed.
inline std::vector<std::byte> noise(std::size_t size, std::uint64_t seed = 1) {
    std::vector<std::byte> bytes(size);
    auto state = seed * 0x9E3779B97F4A7C15u + 1;
    for (auto& byte : bytes) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        byte = static_cast<std::byte>(state >> 56);
    }
    return bytes;
}

// The same of printable ASCII, in lines.
inline std::string noise_text(std::size_t size, std::uint64_t seed = 1) {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    std::string text;
    for (const auto byte : noise(size, seed)) text += letters[std::to_integer<std::size_t>(byte) % letters.size()];
    for (std::size_t at = 63; at < text.size(); at += 64) text[at] = '\n';
    return text;
}

// Calls take(piece) for successive pieces of `step` bytes, the last of what is left.
template <class Take>
void in_steps(const_bytes bytes, std::size_t step, Take&& take) {
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min(step, bytes.size()));
        take(piece);
        bytes = bytes.subspan(piece.size());
    }
}

}  // namespace wherry::conformance
