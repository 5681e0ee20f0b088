// SPDX-License-Identifier: BSD-2-Clause
// The ML-KEM half of x25519-mlkem768 against published values and, where OpenSSL has ML-KEM, against that.
#include "algorithms.hpp"

#if WHERRY_HYBRID_HAS_MLKEM

#include <botan/hash.h>
#include <botan/hex.h>
#include <botan/rng.h>
#include <botan/xof.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "error_of.hpp"
#include "kem.hpp"
#if WHERRY_TEST_OPENSSL_MLKEM
#include "openssl_key.hpp"
#endif

namespace wherry::hybrid {
namespace {

using octet_vector = std::vector<std::uint8_t>;

constexpr std::size_t seed_bytes = 64, message_bytes = 32;

const_bytes view(const octet_vector& octets) { return std::as_bytes(std::span(octets)); }

// Gives the bytes it was given, and no others.
class prepared_rng final : public Botan::RandomNumberGenerator {
public:
    explicit prepared_rng(octet_vector bytes) : bytes_(std::move(bytes)) {}

    std::string name() const override { return "prepared for a test"; }
    bool accepts_input() const override { return false; }
    bool is_seeded() const override { return true; }
    void clear() override {}

private:
    void fill_bytes_with_input(std::span<std::uint8_t> out, std::span<const std::uint8_t>) override {
        if (out.size() > bytes_.size()) throw std::runtime_error("more random bytes are taken than were prepared");
        const auto end = bytes_.begin() + static_cast<std::ptrdiff_t>(out.size());
        std::copy(bytes_.begin(), end, out.begin());
        bytes_.erase(bytes_.begin(), end);
    }

    octet_vector bytes_;
};

// What the X25519 half takes, which is not looked at here: a private key, and the public key of u = 9.
octet_vector with_private_curve_key(octet_vector bytes) {
    bytes.insert(bytes.end(), x25519_bytes, 1);
    return bytes;
}

byte_vector with_curve_point(const_bytes bytes) {
    byte_vector joined(bytes.begin(), bytes.end());
    joined.push_back(std::byte{9});
    joined.resize(joined.size() + x25519_bytes - 1);
    return joined;
}

// The responder's half, of the key from a seed d ‖ z.
class mlkem_key {
public:
    explicit mlkem_key(const octet_vector& seed)
        : rng_(with_private_curve_key(seed)), responder_(make_mlkem_responder(rng_)) {}

    octet_vector public_key() const {
        const auto key = responder_->public_key();
        return {octets(key), octets(key) + mlkem_public_key_bytes};
    }

    octet_vector decapsulate(const octet_vector& ciphertext) {
        const auto secret = responder_->decapsulate(with_curve_point(view(ciphertext)), rng_);
        return {secret.begin(), secret.begin() + mlkem_secret_bytes};
    }

private:
    prepared_rng rng_;
    std::unique_ptr<kem_responder> responder_;
};

struct encapsulated {
    octet_vector ciphertext, secret;
};

encapsulated encapsulate_for(const octet_vector& public_key, const octet_vector& m) {
    prepared_rng rng(with_private_curve_key(m));
    const auto made = mlkem_encapsulate(with_curve_point(view(public_key)), rng);
    const auto* ciphertext = octets(made.ciphertext);
    return {{ciphertext, ciphertext + mlkem_ciphertext_bytes},
            {made.secret.begin(), made.secret.begin() + mlkem_secret_bytes}};
}

std::string digest(std::string_view algorithm, const octet_vector& bytes) {
    const auto hash = Botan::HashFunction::create_or_throw(algorithm);
    hash->update(bytes);
    return Botan::hex_encode(hash->final(), false);
}

// Octets that anyone can make again: the output of SHAKE-128 for no input.
class shake_stream {
public:
    octet_vector take(std::size_t count) { return xof_->output_stdvec(count); }

private:
    std::unique_ptr<Botan::XOF> xof_ = Botan::XOF::create_or_throw("SHAKE-128");
};

struct published_key {
    const char* d;
    const char* z;
    const char* digest;  // of the encapsulation key, SHAKE-256 of 128 bits
};

// Seeds of NIST's ACVP server (ML-KEM-keyGen-FIPS203, ML-KEM-768), and digests of its keys as Botan 3 stores them
// (src/tests/data/pubkey/ml_kem_acvp_keygen.vec).
constexpr published_key published_keys[] = {
    {"E34A701C4C87582F42264EE422D3C684D97611F2523EFE0C998AF05056D693DC",
     "A85768F3486BD32A01BF9A8F21EA938E648EAE4E5448C34C3EB88820B159EEDD", "4d7f7325503c06f0cbfac8cd8744894f"},
    {"444F032DD19AE7518C4B35B0732A41DC567845ABA8BD7B04A9C413A0CF2DE0B5",
     "DF0F282411F4A071489A8F618E2AE5AEF40131CAC5233D6D731522720C2FEB1C", "2046a7caa354b453064251b1777f037a"},
    {"092271D05CA63C60880AF404D60BC4BB9539E2EA12969581898D56E0AC9A5A68",
     "5AA6DC620A6E9A60CF19A7B4F0FF805BDA8219522A548EE5857C3FF6060C7A2F", "5986fd55afae16f81b979672ba173858"},
    {"BBF7574CF5F32BE49E1F39CE33870D9D6384056D60D223003B6B0C10D5C42180",
     "7CF50F7237A97072F03F31CFD59FA8E863BCA3AF7375E0CA698FF665661C24CF", "e9cffe92856b0dee4e3b144ea5b17aa9"},
    {"D21D5AFED9AFAA3B49FB45245B2BCA1505E4000CDC29094A3600F5CAA49A7B3A",
     "4DD0E86091649A0A08EA44DAB85DF56797F8BF46222C2DBA7DEC6374B9B2268E", "e0445c831a82fadc1149102e1a3dd9e2"},
};

TEST(mlkem, keys_of_published_seeds_are_the_published_ones) {
    for (const auto& published : published_keys) {
        const auto seed = Botan::hex_decode(std::string(published.d) + published.z);
        EXPECT_EQ(digest("SHAKE-256(128)", mlkem_key(seed).public_key()), published.digest) << published.d;
    }
}

// Keys, encapsulations, decapsulations and implicit rejections of a hundred rounds have the digest that the authors of
// Go's crypto/mlkem publish (TestAccumulated in src/crypto/mlkem/mlkem_test.go; the method is of C2SP's CCTV).
TEST(mlkem, a_hundred_rounds_have_the_published_digest) {
    shake_stream random;
    octet_vector results;
    const auto append = [&](const octet_vector& bytes) { results.insert(results.end(), bytes.begin(), bytes.end()); };
    for (int round = 0; round < 100; ++round) {
        mlkem_key key(random.take(seed_bytes));
        append(key.public_key());
        const auto made = encapsulate_for(key.public_key(), random.take(message_bytes));
        append(made.ciphertext);
        append(made.secret);
        EXPECT_EQ(key.decapsulate(made.ciphertext), made.secret) << round;
        append(key.decapsulate(random.take(mlkem_ciphertext_bytes)));
    }
    EXPECT_EQ(digest("SHAKE-128(256)", results), "1114b1b6699ed191734fa339376afa7e285c9e6acf6ff0177d346696ce564415");
}

// A coefficient takes 12 bits (FIPS 203, algorithm 5).
void set_coefficient(octet_vector& key, std::size_t index, unsigned value) {
    auto* pair = &key[index / 2 * 3];
    if (index % 2 == 0) {
        pair[0] = static_cast<std::uint8_t>(value);
        pair[1] = static_cast<std::uint8_t>((pair[1] & 0xf0) | (value >> 8));
    } else {
        pair[1] = static_cast<std::uint8_t>((pair[1] & 0x0f) | ((value & 0x0f) << 4));
        pair[2] = static_cast<std::uint8_t>(value >> 4);
    }
}

constexpr unsigned modulus = 3329;
constexpr std::size_t coefficients = 3 * 256;

// FIPS 203, section 7.2: what is not the encoding of numbers below the modulus is no key.
TEST(mlkem, a_key_with_a_coefficient_beyond_the_modulus_is_refused) {
    shake_stream random;
    const auto good = mlkem_key(random.take(seed_bytes)).public_key();
    const auto m = random.take(message_bytes);
    for (std::size_t index = 0; index < coefficients; ++index) {
        for (const auto value : {modulus, 4095u}) {
            auto key = good;
            set_coefficient(key, index, value);
            const auto failure = test::error_of([&] { encapsulate_for(key, m); });
            ASSERT_EQ(failure.code(), errc::protocol) << index << ' ' << failure.what();
        }
    }
    for (const std::size_t index : {0u, 1u, 766u, 767u}) {
        auto key = good;
        set_coefficient(key, index, modulus - 1);
        EXPECT_NO_THROW(encapsulate_for(key, m)) << index;
    }
}

#if WHERRY_TEST_OPENSSL_MLKEM
TEST(mlkem, openssl_has_the_same_keys_ciphertexts_and_secrets) {
    shake_stream random;
    const auto as_octets = [](const std::vector<std::byte>& bytes) {
        return octet_vector(octets(const_bytes(bytes)), octets(const_bytes(bytes)) + bytes.size());
    };
    for (int round = 0; round < 20; ++round) {
        const auto seed = random.take(seed_bytes), m = random.take(message_bytes);
        mlkem_key key(seed);
        const test::openssl_key other("ML-KEM-768", OSSL_PKEY_PARAM_ML_KEM_SEED, view(seed));
        EXPECT_EQ(as_octets(other.public_key()), key.public_key());

        const auto made = encapsulate_for(key.public_key(), m);
        const auto [ciphertext, secret] = other.encapsulate(view(m));
        EXPECT_EQ(as_octets(ciphertext), made.ciphertext);
        EXPECT_EQ(as_octets(secret), made.secret);
        EXPECT_EQ(as_octets(other.decapsulate(view(made.ciphertext))), made.secret);

        auto altered = made.ciphertext;
        altered[static_cast<std::size_t>(round)] ^= 1;  // rejected implicitly: another secret, the same for both
        EXPECT_NE(key.decapsulate(altered), made.secret);
        EXPECT_EQ(as_octets(other.decapsulate(view(altered))), key.decapsulate(altered));
    }
}
#endif

}  // namespace
}  // namespace wherry::hybrid

#endif
