// SPDX-License-Identifier: BSD-2-Clause
#include "algorithms.hpp"

#include <botan/block_cipher.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "wherry/error.hpp"

namespace wherry::hybrid {

namespace {

std::optional<kem> find_kem(std::string_view name) noexcept {
    for (const auto which : {kem::x25519, kem::rsa_oaep_sha256, kem::x25519_mlkem768})
        if (name_of(which) == name) return which;
    return std::nullopt;
}

kem parse_kem(std::string_view name) {
    const auto found = find_kem(name);
    if (!found)
        throw error(errc::bad_input, fmt::format("there is no key exchange '{}'; choose from {}", name, default_kems));
    if (*found == kem::x25519_mlkem768 && !WHERRY_HYBRID_HAS_MLKEM)
        throw error(errc::unsupported,
                    fmt::format("x25519-mlkem768 needs a build with Botan 3; choose from {}", default_kems));
    return *found;
}

// Botan names what runs AES: "base" and "vperm" are software.
bool processor_has_aes() {
    const auto cipher = Botan::BlockCipher::create("AES-256");
    if (!cipher) return false;
    const auto provider = cipher->provider();
    return provider != "base" && provider != "vperm";
}

}  // namespace

std::string name_of(kem which) {
    switch (which) {
        case kem::x25519: return "x25519";
        case kem::rsa_oaep_sha256: return "rsa-oaep-sha256";
        case kem::x25519_mlkem768: return "x25519-mlkem768";
    }
    return fmt::format("number {}", static_cast<unsigned>(which));
}

std::string name_of(aead which) {
    switch (which) {
        case aead::aes_256_gcm: return "aes-256-gcm";
        case aead::chacha20_poly1305: return "chacha20-poly1305";
    }
    return fmt::format("number {}", static_cast<unsigned>(which));
}

key_exchange kind_of(kem which) noexcept {
    return which == kem::x25519_mlkem768 ? key_exchange::post_quantum : key_exchange::classical;
}

std::vector<kem> parse_kems(std::string_view list) {
    std::vector<kem> kems;
    for (auto rest = list;;) {
        const auto comma = rest.find(',');
        const auto which = parse_kem(rest.substr(0, comma));
        if (std::find(kems.begin(), kems.end(), which) != kems.end())
            throw error(errc::bad_input, fmt::format("the key exchange {} is listed twice", name_of(which)));
        kems.push_back(which);
        if (comma == rest.npos) return kems;
        rest.remove_prefix(comma + 1);
    }
}

std::vector<aead> parse_aeads(std::string_view choice) {
    if (choice == "aes-256-gcm") return {aead::aes_256_gcm};
    if (choice == "chacha20-poly1305") return {aead::chacha20_poly1305};
    if (choice != "auto")
        throw error(errc::bad_input,
                    fmt::format("there is no cipher '{}'; choose auto, aes-256-gcm or chacha20-poly1305", choice));
    if (processor_has_aes()) return {aead::aes_256_gcm, aead::chacha20_poly1305};
    return {aead::chacha20_poly1305, aead::aes_256_gcm};
}

}  // namespace wherry::hybrid
