// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "algorithms.hpp"
#include "key_schedule.hpp"
#include "messages.hpp"
#include "record_aead.hpp"
#include "wherry/bytes.hpp"

namespace wherry::hybrid {

// The most plaintext that one record may carry.
inline constexpr std::size_t max_record_plain_bytes = std::size_t{1} << 24;

// When a direction goes on to its next key: before the record that would come after so many records or bytes under
// one. Both sides count, so nothing is said about it. The bytes keep AES-GCM far from where its 128-bit blocks begin
// to collide.
struct rekey_limits {
    std::uint64_t records = std::uint64_t{1} << 16;
    std::uint64_t plain_bytes = std::uint64_t{1} << 34;
};

// One direction of a session: a chain of keys, and a counter under each.
// Thread-safety: lock outside. After a failure the object must not be used again; that of the other direction may.
class record_chain {
public:
    using direction = hybrid::direction;

    record_chain(aead algorithm, direction which, secret_bytes chain, rekey_limits limits = {},
                 provider_choice choice = provider_choice::automatic);

    // In place, on what is `plain_bytes` of text and room for the tag. REQUIRES: sealing; record.size() is their sum.
    void seal(mutable_bytes record, std::size_t plain_bytes);

    // In place. Returns the plaintext, the first part of `record`. Throws error(errc::integrity), and the record is
    // then wiped: what was decrypted while the tag was not yet known goes with it. REQUIRES: opening.
    mutable_bytes open(mutable_bytes record);

private:
    using nonce = std::array<std::byte, nonce_bytes>;

    void next_key();
    nonce begin_record(std::size_t plain_bytes);

    std::unique_ptr<record_aead> aead_;
    secret_bytes chain_;  // whence the next key
    rekey_limits limits_;
    std::uint64_t records_ = 0;  // under this key; also the next nonce
    std::uint64_t bytes_ = 0;
};

// A single message under a key that is used for nothing else, with a nonce of zeros: the handshake's sealed parts.
byte_vector seal_once(aead algorithm, const secret_bytes& key, const_bytes plain);
// Throws error(errc::integrity).
byte_vector open_once(aead algorithm, const secret_bytes& key, const_bytes sealed);

}  // namespace wherry::hybrid
