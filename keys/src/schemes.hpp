#pragma once

#include <botan/version.h>

#include "wherry/keys/public_key.hpp"

namespace wherry::keys {

// Botan's names for the schemes in use; the salt's length is part of the name, so that no other verifies.
inline const char* signature_scheme(key_type type) noexcept {
#if BOTAN_VERSION_MAJOR >= 3
    constexpr const char* pss = "PSS(SHA-256,MGF1,32)";
#else
    constexpr const char* pss = "EMSA4(SHA-256,MGF1,32)";
#endif
    return type == key_type::rsa ? pss : "Pure";
}

inline constexpr const char* oaep_scheme = "OAEP(SHA-256)";

}  // namespace wherry::keys
