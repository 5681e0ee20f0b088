// SPDX-License-Identifier: BSD-2-Clause
#include "encoding.hpp"

#include <botan/base64.h>
#include <botan/ed25519.h>
#include <botan/rsa.h>
#include <botan/version.h>
#include <fmt/format.h>

#include "wherry/error.hpp"

namespace wherry::keys {

namespace {

std::vector<std::uint8_t> magnitude(const Botan::BigInt& number) {
    std::vector<std::uint8_t> bytes(number.bytes());
#if BOTAN_VERSION_CODE >= BOTAN_VERSION_CODE_FOR(3, 5, 0)
    number.serialize_to(bytes);
#else
    number.binary_encode(bytes.data());
#endif
    return bytes;
}

// RFC 4251 section 5: two's complement, so a number whose top bit is set gets a zero byte before it.
void append_mpint(byte_writer& writer, const Botan::BigInt& number) {
    auto bytes = magnitude(number);
    if (!bytes.empty() && (bytes.front() & 0x80)) bytes.insert(bytes.begin(), 0);
    writer.sized<std::uint32_t>(bytes_of(bytes));
}

}  // namespace

std::string to_base64(const_bytes bytes) { return Botan::base64_encode(octets(bytes), bytes.size()); }

std::vector<std::byte> from_base64(std::string_view text) {
    constexpr bool ignore_blanks = false;
    std::vector<std::byte> bytes(Botan::base64_decode_max_output(text.size()));
    try {
        bytes.resize(
            Botan::base64_decode(reinterpret_cast<std::uint8_t*>(bytes.data()), std::string(text), ignore_blanks));
    } catch (const Botan::Exception&) {
        throw error(errc::bad_input, "the key is not in base64; copy the whole line");
    }
    // Bits that decoding drops would make two texts of one key.
    if (to_base64(bytes) != text) throw error(errc::bad_input, "the key's base64 is damaged; copy the whole line");
    return bytes;
}

std::vector<std::byte> rsa_blob(const Botan::BigInt& e, const Botan::BigInt& n) {
    byte_writer writer;
    writer.sized<std::uint32_t>(as_bytes(rsa_name));
    append_mpint(writer, e);
    append_mpint(writer, n);
    return writer.take();
}

std::vector<std::byte> ed25519_blob(const_bytes point) {
    byte_writer writer;
    writer.sized<std::uint32_t>(as_bytes(ed25519_name)).sized<std::uint32_t>(point);
    return writer.take();
}

std::vector<std::byte> blob_of(const Botan::Public_Key& key) {
    if (const auto* rsa = dynamic_cast<const Botan::RSA_PublicKey*>(&key)) return rsa_blob(rsa->get_e(), rsa->get_n());
    if (const auto* edwards = dynamic_cast<const Botan::Ed25519_PublicKey*>(&key))
        return ed25519_blob(bytes_of(edwards->get_public_key()));
    throw error(errc::bad_input, fmt::format("keys of type {} are not supported; use Ed25519 or RSA", key.algo_name()));
}

}  // namespace wherry::keys
