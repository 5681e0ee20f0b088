// SPDX-License-Identifier: BSD-2-Clause
#include "digest.hpp"

#include <botan/hash.h>

namespace wherry {

struct content_digest::state {
    std::unique_ptr<Botan::HashFunction> hash = Botan::HashFunction::create_or_throw("SHA-256");
};

content_digest::content_digest() : state_(std::make_unique<state>()) {}
content_digest::~content_digest() = default;
content_digest::content_digest(content_digest&&) noexcept = default;
content_digest& content_digest::operator=(content_digest&&) noexcept = default;

void content_digest::update(const_bytes bytes) {
    state_->hash->update(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

sha256_digest content_digest::value() const {
    sha256_digest digest;
    state_->hash->copy_state()->final(reinterpret_cast<std::uint8_t*>(digest.data()));
    return digest;
}

}  // namespace wherry
