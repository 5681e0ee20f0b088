// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <botan/hash.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "wherry/bytes.hpp"
#include "wherry/keys/private_key.hpp"

namespace wherry::hybrid {

using keys::secret_bytes;

inline constexpr std::size_t key_bytes = 32;
using digest = std::array<std::byte, 32>;

inline const std::uint8_t* octets(const_bytes bytes) noexcept {
    return reinterpret_cast<const std::uint8_t*>(bytes.data());
}
inline std::uint8_t* octets(mutable_bytes bytes) noexcept { return reinterpret_cast<std::uint8_t*>(bytes.data()); }

// Everything said so far, as SHA-256.
class transcript {
public:
    // The prologue may have any length, so its length comes first.
    explicit transcript(const_bytes prologue);

    transcript& update(const_bytes bytes);
    digest hash() const;

private:
    std::unique_ptr<Botan::HashFunction> hash_;
};

// What each role signs: a label of its own, a zero byte, the transcript's digest. The labels keep a signature of one
// role from serving in the other.
inline constexpr std::string_view responder_label = "wherry hybrid v1 responder signature";
inline constexpr std::string_view initiator_label = "wherry hybrid v1 initiator signature";
std::vector<std::byte> signed_text(std::string_view label, const digest& said);

// RFC 5869 with SHA-256.
secret_bytes hkdf_extract(const digest& salt, const secret_bytes& secret);
secret_bytes hkdf_expand(const secret_bytes& key, std::string_view info, const_bytes more_info = {});

// Keys of a connection, each used for one purpose and one direction.
class key_schedule {
public:
    // `said`: the transcript up to and with the KEM ciphertext.
    key_schedule(const secret_bytes& kem_secret, const digest& said);

    // Seals the initiator's credentials.
    secret_bytes credentials_key() const;

    struct session_secrets {
        secret_bytes answer_key;       // seals the responder's answer
        secret_bytes initiator_chain;  // whence the record keys of what the initiator sends
        secret_bytes responder_chain;
    };
    // `said`: the transcript up to and with all of message 3, both identities among it.
    session_secrets finish(const digest& said) const;

private:
    secret_bytes extracted_;
};

}  // namespace wherry::hybrid
