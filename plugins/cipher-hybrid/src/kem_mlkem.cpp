// SPDX-License-Identifier: BSD-2-Clause
// x25519-mlkem768: the secret holds while either of its halves does. Public key, ciphertext and secret are those of
// ML-KEM-768 (FIPS 203) followed by those of X25519.
#include "kem.hpp"

#if WHERRY_HYBRID_HAS_MLKEM

#include <botan/ml_kem.h>
#include <botan/pubkey.h>
#include <botan/rng.h>

#include "peer_value.hpp"
#include "wherry/error.hpp"

namespace wherry::hybrid {

namespace {

static_assert(mlkem_public_key_bytes + x25519_bytes == max_kem_public_key_bytes);

byte_vector joined(std::span<const std::uint8_t> first, const_bytes second) {
    byte_writer writer;
    return writer.bytes(std::as_bytes(first)).bytes(second).take();
}

secret_bytes joined_secret(const secret_bytes& first, const secret_bytes& second) {
    secret_bytes joined(first);
    joined.insert(joined.end(), second.begin(), second.end());
    return joined;
}

void check_length(const_bytes value, std::size_t expected) {
    if (value.size() != expected) throw error(errc::protocol, "the peer sent a key exchange value of the wrong length");
}

class mlkem_responder final : public kem_responder {
public:
    explicit mlkem_responder(Botan::RandomNumberGenerator& rng)
        : lattice_(rng, Botan::ML_KEM_Mode::ML_KEM_768), curve_(rng) {}

    byte_vector public_key() const override { return joined(lattice_.public_key_bits(), curve_.public_key()); }

    secret_bytes decapsulate(const_bytes ciphertext, Botan::RandomNumberGenerator& rng) const override {
        check_length(ciphertext, mlkem_ciphertext_bytes + x25519_bytes);
        Botan::PK_KEM_Decryptor decryptor(lattice_, rng, "Raw");
        const auto first = with_peer_value([&] {
            return decryptor.decrypt(std::span(octets(ciphertext), mlkem_ciphertext_bytes), mlkem_secret_bytes);
        });
        return joined_secret(first, curve_.agree(ciphertext.subspan(mlkem_ciphertext_bytes), rng));
    }

private:
    Botan::ML_KEM_PrivateKey lattice_;
    x25519_key curve_;
};

}  // namespace

std::unique_ptr<kem_responder> make_mlkem_responder(Botan::RandomNumberGenerator& rng) {
    return std::make_unique<mlkem_responder>(rng);
}

encapsulation mlkem_encapsulate(const_bytes kem_public_key, Botan::RandomNumberGenerator& rng) {
    check_length(kem_public_key, mlkem_public_key_bytes + x25519_bytes);
    const auto first = with_peer_value([&] {
        const Botan::ML_KEM_PublicKey lattice(std::span(octets(kem_public_key), mlkem_public_key_bytes),
                                              Botan::ML_KEM_Mode::ML_KEM_768);
        return Botan::PK_KEM_Encryptor(lattice, "Raw").encrypt(rng, mlkem_secret_bytes);
    });
    const x25519_key curve(rng);
    return {joined(first.encapsulated_shared_key(), curve.public_key()),
            joined_secret(first.shared_key(), curve.agree(kem_public_key.subspan(mlkem_public_key_bytes), rng))};
}

}  // namespace wherry::hybrid

#endif
