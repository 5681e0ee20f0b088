// SPDX-License-Identifier: BSD-2-Clause
#include "kem.hpp"

#include <botan/pubkey.h>
#include <botan/rng.h>
#if __has_include(<botan/x25519.h>)
#include <botan/x25519.h>
#else
#include <botan/curve25519.h>
#endif

#include "peer_value.hpp"
#include "wherry/error.hpp"

namespace wherry::hybrid {

namespace {

constexpr std::size_t wrapped_secret_bytes = 32;

[[noreturn]] void wrong_form() {
    throw error(errc::protocol, "the peer sent a key exchange value of the wrong length");
}

byte_vector to_bytes(const std::vector<std::uint8_t>& octets) {
    const auto view = std::as_bytes(std::span(octets));
    return {view.begin(), view.end()};
}

class x25519_responder final : public kem_responder {
public:
    explicit x25519_responder(Botan::RandomNumberGenerator& rng) : key_(rng) {}
    byte_vector public_key() const override { return key_.public_key(); }
    secret_bytes decapsulate(const_bytes ciphertext, Botan::RandomNumberGenerator& rng) const override {
        return key_.agree(ciphertext, rng);
    }

private:
    x25519_key key_;
};

class rsa_responder final : public kem_responder {
public:
    explicit rsa_responder(const keys::private_key& identity) noexcept : identity_(identity) {}
    byte_vector public_key() const override { return {}; }
    secret_bytes decapsulate(const_bytes ciphertext, Botan::RandomNumberGenerator& rng) const override {
        if (ciphertext.size() != identity_.public_part().signature_bytes()) wrong_form();
        // A ciphertext that does not decrypt gives random bytes, and the credentials then fail to open: from outside
        // all failures look the same.
        return identity_.oaep_decrypt(ciphertext, wrapped_secret_bytes, rng);
    }

private:
    const keys::private_key& identity_;
};

encapsulation x25519_encapsulate(const_bytes peer, Botan::RandomNumberGenerator& rng) {
    const x25519_key key(rng);
    return {key.public_key(), key.agree(peer, rng)};
}

encapsulation rsa_encapsulate(const_bytes kem_public_key, const keys::public_key& identity,
                              Botan::RandomNumberGenerator& rng) {
    if (!kem_public_key.empty()) wrong_form();
    if (identity.type() != keys::key_type::rsa)
        throw error(errc::protocol, "the peer chose rsa-oaep-sha256 without an RSA key");
    secret_bytes secret(wrapped_secret_bytes);
    rng.randomize(secret.data(), secret.size());
    auto ciphertext = with_peer_value([&] { return identity.oaep_encrypt(std::as_bytes(std::span(secret)), rng); });
    return {std::move(ciphertext), std::move(secret)};
}

}  // namespace

struct x25519_key::state {
    Botan::X25519_PrivateKey key;
};

x25519_key::x25519_key(Botan::RandomNumberGenerator& rng)
    : state_(std::make_unique<state>(state{Botan::X25519_PrivateKey(rng)})) {}

x25519_key::~x25519_key() = default;

byte_vector x25519_key::public_key() const { return to_bytes(state_->key.public_value()); }

secret_bytes x25519_key::agree(const_bytes peer_public_key, Botan::RandomNumberGenerator& rng) const {
    if (peer_public_key.size() != x25519_bytes) wrong_form();
    const Botan::PK_Key_Agreement agreement(state_->key, rng, "Raw");
    const auto secret = with_peer_value([&] {
        return agreement.derive_key(x25519_bytes, octets(peer_public_key), peer_public_key.size(), nullptr, 0);
    });
    auto bytes = secret.bits_of();
    unsigned any = 0;
    for (const auto byte : bytes) any |= byte;
    if (any == 0) throw error(errc::protocol, "the peer sent a key exchange value that gives no secret");
    return bytes;
}

bool can_respond(kem which, const keys::public_key& identity) noexcept {
    switch (which) {
        case kem::x25519: return true;
        case kem::rsa_oaep_sha256: return identity.type() == keys::key_type::rsa;
        case kem::x25519_mlkem768: return WHERRY_HYBRID_HAS_MLKEM != 0;
    }
    return false;
}

std::unique_ptr<kem_responder> make_kem_responder(kem which, const keys::private_key& identity,
                                                  Botan::RandomNumberGenerator& rng) {
    switch (which) {
        case kem::x25519: return std::make_unique<x25519_responder>(rng);
        case kem::rsa_oaep_sha256: return std::make_unique<rsa_responder>(identity);
        case kem::x25519_mlkem768:
#if WHERRY_HYBRID_HAS_MLKEM
            return make_mlkem_responder(rng);
#else
            break;
#endif
    }
    throw error(errc::internal, "a key exchange was chosen that this side cannot do");
}

encapsulation encapsulate(kem which, const_bytes kem_public_key, const keys::public_key& identity,
                          Botan::RandomNumberGenerator& rng) {
    switch (which) {
        case kem::x25519: return x25519_encapsulate(kem_public_key, rng);
        case kem::rsa_oaep_sha256: return rsa_encapsulate(kem_public_key, identity, rng);
        case kem::x25519_mlkem768:
#if WHERRY_HYBRID_HAS_MLKEM
            return mlkem_encapsulate(kem_public_key, rng);
#else
            break;
#endif
    }
    throw error(errc::internal, "a key exchange was chosen that this side cannot do");
}

}  // namespace wherry::hybrid
