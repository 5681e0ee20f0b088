// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/keys/public_key.hpp"

#include <botan/ed25519.h>
#include <botan/hash.h>
#include <botan/pubkey.h>
#include <botan/rsa.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "encoding.hpp"
#include "key_lines.hpp"
#include "schemes.hpp"

namespace wherry::keys {

namespace {

constexpr std::size_t ed25519_point_bytes = 32;
constexpr std::size_t max_algorithm_bytes = 32;
constexpr std::size_t max_rsa_number_bytes = max_rsa_bits / 8 + 1;
constexpr std::size_t max_rsa_exponent_bits = 32;

using point = std::array<std::uint8_t, ed25519_point_bytes>;

// The y coordinates, little-endian, of the eight points whose order divides 8. For such a "key" there are signatures
// that hold for many messages and that anyone can make.
constexpr point small_order_y[] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

// y < 2^255 - 19, as RFC 8032 section 5.1.3 demands of an encoding.
bool is_reduced(const point& y) noexcept {
    const bool high = y[31] == 0x7f && std::all_of(y.begin() + 1, y.end() - 1, [](auto b) { return b == 0xff; });
    return !high || y[0] < 0xed;
}

void check_point(const_bytes bytes) {
    point y;
    std::memcpy(y.data(), bytes.data(), y.size());
    y[31] &= 0x7f;  // without the sign of x
    if (!is_reduced(y)) throw error(errc::bad_input, "the Ed25519 key is not a canonical point");
    if (std::find(std::begin(small_order_y), std::end(small_order_y), y) != std::end(small_order_y))
        throw error(errc::bad_input, "the Ed25519 key is a point of small order, which protects nothing");
}

void check_rsa(const Botan::BigInt& e, const Botan::BigInt& n) {
    if (n.bits() < min_rsa_bits)
        throw error(errc::bad_input,
                    fmt::format("the RSA key has {} bits, fewer than {}; make a longer one", n.bits(), min_rsa_bits));
    if (n.bits() > max_rsa_bits)
        throw error(errc::bad_input, fmt::format("the RSA key has more than {} bits", max_rsa_bits));
    if (n.is_even()) throw error(errc::bad_input, "the RSA key has an even modulus: it is damaged");
    // FIPS 186-5 section A.1.1 wants 2^16 < e; the upper bound keeps verification cheap.
    if (e.is_even() || e <= 65536 || e.bits() > max_rsa_exponent_bits)
        throw error(errc::bad_input, "the RSA key's exponent is not an odd number above 65536 of at most 32 bits");
}

Botan::BigInt big_int(const_bytes bytes) { return Botan::BigInt(octets(bytes), bytes.size()); }

std::shared_ptr<const Botan::Public_Key> read_ed25519(byte_reader& reader) {
    const auto bytes = reader.sized<std::uint32_t>(ed25519_point_bytes);
    reader.finish();
    if (bytes.size() != ed25519_point_bytes) reader.fail("is cut short");
    check_point(bytes);
    return std::make_shared<Botan::Ed25519_PublicKey>(octets(bytes), bytes.size());
}

std::shared_ptr<const Botan::Public_Key> read_rsa(byte_reader& reader) {
    const auto e = big_int(reader.sized<std::uint32_t>(max_rsa_number_bytes));
    const auto n = big_int(reader.sized<std::uint32_t>(max_rsa_number_bytes));
    reader.finish();
    check_rsa(e, n);
    return std::make_shared<Botan::RSA_PublicKey>(n, e);
}

std::pair<key_type, std::shared_ptr<const Botan::Public_Key>> read_blob(const_bytes blob) {
    byte_reader reader(blob, "the public key");
    const auto algorithm = as_text(reader.sized<std::uint32_t>(max_algorithm_bytes));
    if (algorithm == ed25519_name) return {key_type::ed25519, read_ed25519(reader)};
    if (algorithm == rsa_name) return {key_type::rsa, read_rsa(reader)};
    throw error(errc::bad_input, "the public key is of a type that is not supported; use ssh-ed25519 or ssh-rsa");
}

}  // namespace

std::string_view to_string(key_type type) noexcept { return type == key_type::rsa ? "rsa" : "ed25519"; }

key_type parse_key_type(std::string_view word) {
    if (word == "ed25519") return key_type::ed25519;
    if (word == "rsa") return key_type::rsa;
    throw error(errc::bad_input, "there is no key type of that name; choose ed25519 or rsa");
}

public_key::public_key(key_type type, std::vector<std::byte> blob,
                       std::shared_ptr<const Botan::Public_Key> key) noexcept
    : type_(type), blob_(std::move(blob)), key_(std::move(key)) {}

public_key public_key::from_blob(const_bytes blob) {
    if (blob.size() > max_key_blob_bytes) throw error(errc::bad_input, "the public key is too long");
    try {
        auto [type, key] = read_blob(blob);
        auto canonical = blob_of(*key);
        if (!std::equal(canonical.begin(), canonical.end(), blob.begin(), blob.end()))
            throw error(errc::bad_input, "the public key is not encoded canonically");
        return public_key(type, std::move(canonical), std::move(key));
    } catch (const Botan::Exception& e) {
        throw error(errc::bad_input, fmt::format("the public key cannot be used: {}", e.what()));
    } catch (const error& e) {
        throw error(errc::bad_input, e.what());
    }
}

std::string_view public_key::algorithm() const noexcept { return type_ == key_type::rsa ? rsa_name : ed25519_name; }

std::size_t public_key::bits() const noexcept { return type_ == key_type::rsa ? key_->key_length() : 256; }

std::string public_key::line(std::string_view comment) const {
    check_comment(comment);
    std::string text = std::string(algorithm()) + ' ' + to_base64(blob_);
    if (!comment.empty()) text.append(1, ' ').append(comment);
    return text;
}

std::string public_key::fingerprint() const {
    const auto hash = Botan::HashFunction::create_or_throw("SHA-256");
    hash->update(octets(blob_), blob_.size());
    const auto digest = hash->final();
    auto text = to_base64(std::as_bytes(std::span(digest)));
    text.erase(text.find_last_not_of('=') + 1);
    return "SHA256:" + text;
}

wherry::identity public_key::identity(std::string label) const {
    return {std::string(algorithm()), line(), fingerprint(), std::move(label)};
}

std::size_t public_key::signature_bytes() const noexcept {
    constexpr std::size_t ed25519_signature_bytes = 64;
    return type_ == key_type::rsa ? (key_->key_length() + 7) / 8 : ed25519_signature_bytes;
}

bool public_key::verify(const_bytes message, const_bytes signature) const {
    if (signature.size() != signature_bytes()) return false;
    try {
        Botan::PK_Verifier verifier(*key_, signature_scheme(type_));
        return verifier.verify_message(octets(message), message.size(), octets(signature), signature.size());
    } catch (const Botan::Exception&) {
        return false;
    }
}

std::vector<std::byte> public_key::oaep_encrypt(const_bytes message, Botan::RandomNumberGenerator& rng) const {
    assert(type_ == key_type::rsa);
    const Botan::PK_Encryptor_EME encryptor(*key_, rng, oaep_scheme);
    const auto sealed = encryptor.encrypt(octets(message), message.size(), rng);
    const auto view = bytes_of(sealed);
    return {view.begin(), view.end()};
}

}  // namespace wherry::keys
