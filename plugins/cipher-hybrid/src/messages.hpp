// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "algorithms.hpp"
#include "wherry/bytes.hpp"
#include "wherry/keys/public_key.hpp"

// The handshake's messages: what they hold, and their bytes. Parsing accepts exactly what encoding makes and throws
// error(errc::protocol) for everything else; it knows bytes and bounds, not whether a choice is wise.
namespace wherry::hybrid {

inline constexpr std::size_t random_bytes = 32;
inline constexpr std::size_t tag_bytes = 16;
inline constexpr std::size_t max_list_entries = 16;
inline constexpr std::size_t max_kem_public_key_bytes = 1216;  // x25519-mlkem768
inline constexpr std::size_t max_signature_bytes = keys::max_rsa_bits / 8;
inline constexpr std::size_t max_kem_ciphertext_bytes = keys::max_rsa_bits / 8;
inline constexpr std::size_t max_reason_bytes = 512;

enum class message_type : std::uint8_t { hello = 1, choice = 2, proof = 3, answer = 4, alert = 255 };

inline constexpr std::size_t message_header_bytes = 3;  // u8 type, u16 length of the body
inline constexpr std::size_t max_list_bytes = 1 + 2 * max_list_entries;
inline constexpr std::size_t max_hello_bytes = 3 * max_list_bytes + random_bytes;
inline constexpr std::size_t max_choice_bytes =
    6 + random_bytes + (2 + max_kem_public_key_bytes) + (2 + keys::max_key_blob_bytes) + (2 + max_signature_bytes);
inline constexpr std::size_t max_credentials_bytes = (2 + keys::max_key_blob_bytes) + (2 + max_signature_bytes);
inline constexpr std::size_t max_proof_bytes = (2 + max_kem_ciphertext_bytes) + max_credentials_bytes + tag_bytes;
inline constexpr std::size_t max_answer_bytes = 1 + max_reason_bytes + tag_bytes;
inline constexpr std::size_t max_alert_bytes = 2 + max_list_bytes;

// The largest body that a message of this type may have; 0 for a type that there is not.
constexpr std::size_t max_body_bytes(message_type type) noexcept {
    switch (type) {
        case message_type::hello: return max_hello_bytes;
        case message_type::choice: return max_choice_bytes;
        case message_type::proof: return max_proof_bytes;
        case message_type::answer: return max_answer_bytes;
        case message_type::alert: return max_alert_bytes;
    }
    return 0;
}

using random_value = std::array<std::byte, random_bytes>;
using byte_vector = std::vector<std::byte>;

inline byte_vector copy(const_bytes bytes) { return {bytes.begin(), bytes.end()}; }

// 1, initiator: what it can do, best first. Lists are not empty and hold nothing twice; unknown numbers stay.
struct hello {
    std::vector<std::uint16_t> versions;
    std::vector<kem> kems;
    std::vector<aead> aeads;
    random_value random{};

    static hello parse(const_bytes body);
    byte_vector encode() const;
};

// 2, responder: what it chose, and the proof of its identity.
struct choice {
    std::uint16_t version = 0;
    kem chosen_kem{};
    aead chosen_aead{};
    random_value random{};
    byte_vector kem_public_key;  // empty where the identity's key serves
    byte_vector identity;
    byte_vector signature;

    static choice parse(const_bytes body);
    byte_vector encode() const;
    // The length of the body's end that holds the signature, which cannot sign itself.
    std::size_t signature_field_bytes() const noexcept { return 2 + signature.size(); }
};

// Inside 3: the proof of the initiator's identity.
struct credentials {
    byte_vector identity;
    byte_vector signature;

    static credentials parse(const_bytes plain);
    byte_vector encode() const;
};

// 3, initiator.
struct proof {
    byte_vector kem_ciphertext;
    byte_vector sealed_credentials;

    static proof parse(const_bytes body);
    byte_vector encode() const;
};

// Inside 4, responder.
struct answer {
    enum class verdict : std::uint8_t { accepted = 0, refused = 1 };
    verdict says = verdict::accepted;
    std::string reason;  // printable ASCII; empty if accepted

    static answer parse(const_bytes plain);
    byte_vector encode() const;
};

// In place of 2, 3 or 4, in the clear and from anybody: why the handshake ends. It can do no more than end it.
struct alert {
    enum class reason : std::uint16_t { no_version = 1, no_kem = 2, no_aead = 3, failed = 4, untrusted = 5 };
    reason why = reason::failed;
    std::vector<std::uint16_t> allowed;  // what this side could have agreed to, for the first three

    static alert parse(const_bytes body);
    byte_vector encode() const;
};

// Text of a peer, or for one, with '?' for all that is not printable ASCII, cut at max_reason_bytes.
std::string plain_reason(std::string_view text);

}  // namespace wherry::hybrid
