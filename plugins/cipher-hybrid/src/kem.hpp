// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>

#include "algorithms.hpp"
#include "key_schedule.hpp"
#include "messages.hpp"
#include "wherry/keys/private_key.hpp"

namespace Botan {
class RandomNumberGenerator;
}

// Key encapsulation: the responder shows a public key, the initiator sends a secret that only the responder can open.
namespace wherry::hybrid {

// The responder's half, for one connection.
class kem_responder {
public:
    virtual ~kem_responder() = default;
    // What message 2 carries; empty where the identity's key serves.
    virtual byte_vector public_key() const = 0;
    // Throws error(errc::protocol) for a ciphertext of the wrong form.
    virtual secret_bytes decapsulate(const_bytes ciphertext, Botan::RandomNumberGenerator& rng) const = 0;
};

// True if a responder with this identity can do it.
bool can_respond(kem which, const keys::public_key& identity) noexcept;

// REQUIRES: can_respond(). `identity` must outlive the result.
std::unique_ptr<kem_responder> make_kem_responder(kem which, const keys::private_key& identity,
                                                  Botan::RandomNumberGenerator& rng);

struct encapsulation {
    byte_vector ciphertext;
    secret_bytes secret;
};

// The initiator's half. Throws error(errc::protocol) for a public key that does not fit the KEM.
encapsulation encapsulate(kem which, const_bytes kem_public_key, const keys::public_key& identity,
                          Botan::RandomNumberGenerator& rng);

// ---- The parts that x25519-mlkem768 is put together from ----

inline constexpr std::size_t x25519_bytes = 32;
inline constexpr std::size_t mlkem_public_key_bytes = 1184;
inline constexpr std::size_t mlkem_ciphertext_bytes = 1088;
inline constexpr std::size_t mlkem_secret_bytes = 32;

class x25519_key {
public:
    explicit x25519_key(Botan::RandomNumberGenerator& rng);
    ~x25519_key();
    byte_vector public_key() const;
    // RFC 7748 section 6.1, with the check for a shared secret of zeros, which a point of small order gives.
    secret_bytes agree(const_bytes peer_public_key, Botan::RandomNumberGenerator& rng) const;

private:
    struct state;
    std::unique_ptr<state> state_;
};

#if WHERRY_HYBRID_HAS_MLKEM
std::unique_ptr<kem_responder> make_mlkem_responder(Botan::RandomNumberGenerator& rng);
encapsulation mlkem_encapsulate(const_bytes kem_public_key, Botan::RandomNumberGenerator& rng);
#endif

}  // namespace wherry::hybrid
