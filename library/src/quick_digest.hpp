// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "wherry/bytes.hpp"

namespace wherry {

// Tells whether content is the same as before, at a small part of the cost of a cryptographic hash: XXH3, with a secret
// that is random and stays in this process, so that nobody can choose content for which it errs.
class quick_digest {
public:
    // Throws error(errc::internal) if the system gives no random bytes.
    quick_digest();
    ~quick_digest();

    void update(const_bytes bytes) noexcept;
    // Returns the digest of everything so far; more may follow.
    std::array<std::uint64_t, 2> value() const noexcept;
    // Forgets everything so far.
    void restart() noexcept;

private:
    struct state;

    std::unique_ptr<state> state_;
};

}  // namespace wherry
