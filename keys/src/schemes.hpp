// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "wherry/keys/public_key.hpp"

namespace wherry::keys {

// Botan's names for the schemes in use, the same in versions 2 and 3. The salt's length is part of the name, so that no
// other verifies.
inline const char* signature_scheme(key_type type) noexcept {
    return type == key_type::rsa ? "PSS(SHA-256,MGF1,32)" : "Pure";
}

inline constexpr const char* oaep_scheme = "OAEP(SHA-256)";

}  // namespace wherry::keys
