// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <botan/bigint.h>
#include <botan/pk_keys.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/bytes.hpp"

namespace wherry::keys {

inline constexpr std::string_view ed25519_name = "ssh-ed25519";
inline constexpr std::string_view rsa_name = "ssh-rsa";

inline const std::uint8_t* octets(const_bytes bytes) noexcept {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}
inline const_bytes bytes_of(const std::vector<std::uint8_t>& octets) noexcept {
    return std::as_bytes(std::span(octets));
}

// With padding, without line ends.
std::string to_base64(const_bytes bytes);
// Throws error(errc::bad_input) for anything that to_base64 does not make.
std::vector<std::byte> from_base64(std::string_view text);

// RFC 4253 section 6.6: string "ssh-rsa", mpint e, mpint n.
std::vector<std::byte> rsa_blob(const Botan::BigInt& e, const Botan::BigInt& n);
// RFC 8709 section 4: string "ssh-ed25519", string of 32 bytes.
std::vector<std::byte> ed25519_blob(const_bytes point);
// One of these two. Throws error(errc::bad_input) for a key of another kind.
std::vector<std::byte> blob_of(const Botan::Public_Key& key);

}  // namespace wherry::keys
