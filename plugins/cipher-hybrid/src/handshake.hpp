// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "algorithms.hpp"
#include "key_schedule.hpp"
#include "wherry/cipher.hpp"
#include "wherry/keys/private_key.hpp"

namespace Botan {
class RandomNumberGenerator;
}

// The handshake, up to the point where a side may send records.
namespace wherry::hybrid {

// What one side brings. Borrowed for the handshake.
struct party {
    const keys::private_key& identity;
    const policy& allowed;
    Botan::RandomNumberGenerator& rng;
};

// What both agreed on.
struct agreement {
    kem chosen_kem{};
    aead chosen_aead{};
    wherry::identity peer;
    key_schedule::session_secrets secrets;
};

// Sends 1, reads 2, sends 3. What the responder says to it, read_answer() reads.
agreement initiate(const party& self, const_bytes prologue, stream& link, const peer_verifier& verify);

// Reads 1, sends 2, reads 3, sends 4: if `verify` refuses, 4 gives its reason, and its error is thrown.
agreement respond(const party& self, const_bytes prologue, stream& link, const peer_verifier& verify);

// Reads 4. Throws error(errc::auth_failed) with the responder's reason if it refuses.
void read_answer(stream& link, aead algorithm, const secret_bytes& answer_key);

}  // namespace wherry::hybrid
