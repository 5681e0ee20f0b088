// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <botan/build.h>
#include <botan/version.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/cipher.hpp"

#if BOTAN_VERSION_MAJOR >= 3 && defined(BOTAN_HAS_ML_KEM)
#define WHERRY_HYBRID_HAS_MLKEM 1
#else
#define WHERRY_HYBRID_HAS_MLKEM 0
#endif

namespace wherry::hybrid {

// Numbers on the wire; doc/hybrid-v1.md has them, too. A number that is not known here may come from a peer.
enum class kem : std::uint16_t { x25519 = 1, rsa_oaep_sha256 = 2, x25519_mlkem768 = 3 };
enum class aead : std::uint16_t { aes_256_gcm = 1, chacha20_poly1305 = 2 };

inline constexpr std::uint16_t protocol_version = 1;

// What the options are unless they are given. The plugin's table shows the same.
#if WHERRY_HYBRID_HAS_MLKEM
inline constexpr const char* default_kems = "x25519-mlkem768,x25519,rsa-oaep-sha256";
#else
inline constexpr const char* default_kems = "x25519,rsa-oaep-sha256";
#endif
inline constexpr const char* default_aead = "auto";
inline constexpr const char* default_provider = "auto";

// "x25519", ...; "number 7" for one that is not known.
std::string name_of(kem which);
std::string name_of(aead which);
key_exchange kind_of(kem which) noexcept;

// From the options: "x25519,rsa-oaep-sha256" and "auto" or a name. Throw error: bad_input, unsupported.
std::vector<kem> parse_kems(std::string_view list);
std::vector<aead> parse_aeads(std::string_view choice);

// What one side offers or allows, best first.
struct policy {
    std::vector<kem> kems;
    std::vector<aead> aeads;
};

}  // namespace wherry::hybrid
