// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "wherry/bytes.hpp"

namespace wherry {

// Tells whether content is the same as before, at a small part of the cost of a cryptographic hash. Its key is random
// and stays in this process, so that nobody can choose content for which it errs.
class quick_digest {
public:
    // Throws error(errc::internal) if the system gives no random bytes.
    quick_digest();

    void update(const_bytes bytes) noexcept;
    // Returns the digest of everything so far; more may follow.
    std::array<std::uint64_t, 4> value() const noexcept;
    // Returns one with the same key that has seen nothing: only such are comparable.
    quick_digest begun_anew() const noexcept;

private:
    using block = std::array<std::uint64_t, 4>;

    void mix(const std::byte* bytes) noexcept;

    block key_{};
    block lanes_{};
    std::array<std::byte, sizeof(block)> tail_{};
    std::uint64_t count_ = 0;  // bytes so far
};

}  // namespace wherry
