// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "wherry/bytes.hpp"
#include "wherry/transport.hpp"

namespace wherry {

enum class role { initiator = WHERRY_INITIATOR, responder = WHERRY_RESPONDER };

// Who a peer has proved to be. All empty where the cipher has no identities.
struct identity {
    std::string algorithm;    // "ssh-ed25519", "ssh-rsa"
    std::string public_key;   // one OpenSSH line without comment
    std::string fingerprint;  // "SHA256:..." as ssh-keygen -lf shows it
    std::string label;        // what this side knows the key by (the comment of its line); may be empty
};

// Decides whether a peer is welcome, once it has proved its key: returns the label it is known by, or throws
// error(errc::auth_failed) with the reason, which a responder's cipher sends to the peer.
// A receiver calls it again for every delivery, from many threads, so it must be cheap.
using peer_verifier = std::function<std::string(const identity& peer)>;

// How the two sides of a connection came to share a secret.
enum class key_exchange {
    classical = WHERRY_KEY_EXCHANGE_CLASSICAL,  // a quantum computer could read a recording of the connection later
    post_quantum = WHERRY_KEY_EXCHANGE_POST_QUANTUM,  // as far as is known, it could not
};

// "classical", "post-quantum": what people read, and known_hosts has.
constexpr std::string_view to_string(key_exchange kind) noexcept {
    return kind == key_exchange::post_quantum ? "post-quantum" : "classical";
}

// What protects one connection after the handshake. A failure of seal or open is final for its direction.
// Thread-safety: one thread may seal while another opens.
class cipher_session {
public:
    virtual ~cipher_session() = default;

    // What is left of the handshake before the first record is read. An initiator learns here whether it was accepted:
    // throws error(errc::auth_failed) with the peer's reason if not. Called once, by the thread that opens.
    virtual void finish_handshake(stream& link) = 0;

    // Bytes that sealing adds to a record; constant.
    virtual std::size_t overhead() const noexcept = 0;

    // Seals the first `length` bytes of `record` in place. REQUIRES: record.size() == length + overhead().
    virtual void seal(mutable_bytes record, std::size_t length) = 0;

    // Opens in place; returns the plaintext, a prefix of `record`. Throws error(errc::integrity), and then nothing of
    // the plaintext is in the buffer. seal() may still work after that, so that the peer can be told.
    virtual mutable_bytes open(mutable_bytes record) = 0;

    virtual const identity& peer() const noexcept = 0;

    // What was agreed, for people: "x25519, aes-256-gcm".
    virtual std::string_view describe() const noexcept = 0;

    // What of that concerns later readers of a recording; nothing from a cipher that does not tell.
    virtual std::optional<key_exchange> exchanged() const noexcept { return std::nullopt; }
};

// Thread-safety: all functions from any thread.
class cipher {
public:
    virtual ~cipher() = default;

    // Runs the handshake up to the point where this side may send records. `prologue` is what both sides said before;
    // both must have the same. Reads nothing beyond the handshake. Throws error: auth_failed, protocol, integrity, or
    // what the stream throws.
    virtual std::unique_ptr<cipher_session> handshake(role side, const_bytes prologue, stream& link,
                                                      const peer_verifier& verify) = 0;

    // True for a cipher that protects nothing; the program then wants --insecure.
    virtual bool is_insecure() const noexcept { return false; }
};

}  // namespace wherry
