// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <botan/system_rng.h>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "hybrid_cipher.hpp"
#include "memory_stream.hpp"
#include "test_data.hpp"
#include "wherry/cipher.hpp"
#include "wherry/keys/private_key.hpp"

// Two sides of the hybrid cipher over a memory link, each in a thread of its own.
namespace wherry::test {

// Number 0 or 1 of each type, from tests/data/keys: to make RSA keys takes long.
inline keys::private_key test_identity(keys::key_type type, int number = 0) {
    const auto name = (type == keys::key_type::rsa ? "rsa3072-" : "ed25519-") + std::string(number == 0 ? "a" : "b");
    return keys::private_key::from_pem(test_data("keys/" + name + ".pem"), name, {});
}

inline hybrid::policy default_policy() {
    return {{hybrid::kem::x25519, hybrid::kem::rsa_oaep_sha256},
            {hybrid::aead::aes_256_gcm, hybrid::aead::chacha20_poly1305}};
}

struct side_setup {
    keys::private_key identity = test_identity(keys::key_type::ed25519);
    hybrid::policy allowed = default_policy();
    peer_verifier verify = [](const wherry::identity&) { return std::string("a friend"); };
    std::string prologue = "prologue";
    hybrid::rekey_limits limits{};
    Botan::RandomNumberGenerator* rng = nullptr;
};

struct side_result {
    std::unique_ptr<cipher_session> session;  // null if the handshake failed
    std::optional<error> failure;

    bool ok() const noexcept { return session != nullptr; }
    std::optional<errc> code() const { return failure ? std::optional(failure->code()) : std::nullopt; }
    std::string text() const { return failure ? failure->what() : ""; }
};

// The whole handshake of one side, finish_handshake included; on failure the stream is closed, as a host does.
inline side_result run_side(role side, const side_setup& setup, std::unique_ptr<memory_stream>& link) {
    auto& rng = setup.rng ? *setup.rng : Botan::system_rng();
    hybrid::hybrid_cipher cipher(setup.identity, setup.allowed, rng, setup.limits);
    side_result result;
    try {
        result.session = cipher.handshake(side, as_bytes(setup.prologue), *link, setup.verify);
        result.session->finish_handshake(*link);
    } catch (const error& e) {
        result.session.reset();
        result.failure = e;
        link.reset();
    }
    return result;
}

struct pair_result {
    side_result initiator, responder;
};

// Over a link that may be damaged; `patience` ends a wait for bytes that never come.
inline pair_result run_pair(memory_link& link, const side_setup& initiator, const side_setup& responder,
                            std::chrono::milliseconds patience = std::chrono::seconds(60)) {
    pair_result result;
    link.initiator->set_read_timeout(patience);
    link.responder->set_read_timeout(patience);
    std::thread other([&] { result.responder = run_side(role::responder, responder, link.responder); });
    result.initiator = run_side(role::initiator, initiator, link.initiator);
    other.join();
    return result;
}

inline pair_result run_pair(const side_setup& initiator = {}, const side_setup& responder = {}) {
    memory_link link;
    return run_pair(link, initiator, responder);
}

}  // namespace wherry::test
