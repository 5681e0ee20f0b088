// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "wherry/cipher.hpp"

namespace wherry::test {

// A cipher that seals nothing but finds out one changed byte, so that what the core does with failures can be tested
// without cryptography. Its handshake is one byte each way. The responder refuses if its verifier does.
class plain_cipher final : public cipher {
public:
    // Who the initiators claim to be, and are believed.
    explicit plain_cipher(std::string initiator = "SHA256:plain") : initiator_(std::move(initiator)) {}

    class plain_session final : public cipher_session {
    public:
        explicit plain_session(role side, std::string peer = "SHA256:plain") : side_(side) {
            peer_.fingerprint = std::move(peer);
            peer_.label = "plain";
        }

        void finish_handshake(stream& link) override {
            if (side_ == role::responder) return;
            std::byte verdict;
            if (link.read_some({&verdict, 1}) == 0) throw error(errc::disconnected, "closed in the handshake");
            if (verdict != std::byte{'y'}) throw error(errc::auth_failed, "the plain responder refused");
        }
        std::size_t overhead() const noexcept override { return 1; }
        void seal(mutable_bytes record, std::size_t length) override { record[length] = sum(record.first(length)); }
        mutable_bytes open(mutable_bytes record) override {
            const auto plain = record.first(record.size() - 1);
            if (record.back() != sum(plain)) throw error(errc::integrity, "a plain record was altered");
            return plain;
        }
        const identity& peer() const noexcept override { return peer_; }
        std::string_view describe() const noexcept override { return "plain"; }

    private:
        static std::byte sum(const_bytes bytes) noexcept {
            unsigned total = 7;
            for (const auto byte : bytes) total = total * 31 + std::to_integer<unsigned>(byte);
            return static_cast<std::byte>(total ^ (total >> 8));
        }

        const role side_;
        identity peer_;
    };

    std::unique_ptr<cipher_session> handshake(role side, const_bytes, stream& link,
                                              const peer_verifier& verify) override {
        if (side == role::initiator) {
            link.write_all(as_bytes("h"));
            return std::make_unique<plain_session>(side);
        }
        std::byte hello;
        if (link.read_some({&hello, 1}) == 0) throw error(errc::disconnected, "closed in the handshake");
        try {
            identity peer;
            peer.fingerprint = initiator_;
            if (verify) verify(peer);
        } catch (const error&) {
            link.write_all(as_bytes("n"));
            throw;
        }
        link.write_all(as_bytes("y"));
        return std::make_unique<plain_session>(side, initiator_);
    }

private:
    const std::string initiator_;
};

}  // namespace wherry::test
