// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>

#include "algorithms.hpp"
#include "records.hpp"
#include "wherry/keys/private_key.hpp"
#include "wherry/sdk.hpp"

namespace Botan {
class RandomNumberGenerator;
}

namespace wherry::hybrid {

// The cipher that doc/hybrid-v1.md describes.
class hybrid_cipher final : public cipher {
public:
    // Reads the identity, and asks for its passphrase if it has one.
    hybrid_cipher(const settings& options, const host_services& host);

    // With everything given, for tests. `rng` must outlive the cipher.
    hybrid_cipher(keys::private_key identity, policy allowed, Botan::RandomNumberGenerator& rng,
                  rekey_limits limits = {}, provider_choice choice = provider_choice::automatic);

    std::unique_ptr<cipher_session> handshake(role side, const_bytes prologue, stream& link,
                                              const peer_verifier& verify) override;

private:
    keys::private_key identity_;
    policy allowed_;
    Botan::RandomNumberGenerator& rng_;
    rekey_limits limits_;
    provider_choice provider_;
};

}  // namespace wherry::hybrid
