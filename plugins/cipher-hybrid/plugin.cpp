// SPDX-License-Identifier: BSD-2-Clause
#include "hybrid_cipher.hpp"
#include "wherry/sdk.hpp"

namespace {

constexpr wherry_option options[] = {
    wherry::path_option("identity", nullptr, "private key of this side (default: identity in wherry's home folder)"),
    wherry::string_option("kem", wherry::hybrid::default_kems, "key exchanges to offer or allow, best first"),
    wherry::choice_option("aead", "auto|aes-256-gcm|chacha20-poly1305", wherry::hybrid::default_aead,
                          "what protects records; auto: both, first the one that suits this processor"),
    wherry::choice_option("provider", "auto|botan|openssl", wherry::hybrid::default_provider,
                          "whose code seals records, the same bytes either way; auto: the faster here"),
};

}  // namespace

WHERRY_PLUGIN(wherry::hybrid::hybrid_cipher, "hybrid", "0.1.0",
              "signed key exchange between Ed25519 or RSA identities, then AES-256-GCM or ChaCha20-Poly1305", options)
