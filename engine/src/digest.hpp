// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>

#include "frame.hpp"
#include "wherry/bytes.hpp"

namespace wherry {

// SHA-256 of content, as it goes by.
class content_digest {
public:
    content_digest();
    ~content_digest();
    content_digest(content_digest&&) noexcept;
    content_digest& operator=(content_digest&&) noexcept;

    void update(const_bytes bytes);
    // Returns the digest of everything so far; more may follow.
    sha256_digest value() const;

private:
    struct state;
    std::unique_ptr<state> state_;
};

}  // namespace wherry
