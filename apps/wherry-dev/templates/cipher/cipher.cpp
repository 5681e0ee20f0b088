// cipher-@NAME@: the beginning of a cipher. It protects nothing yet: what is sent can be read and altered on its way.
#include <array>

#include "wherry/sdk.hpp"

using namespace wherry;

// Each side's first message. Whatever a real handshake sends, it begins with its name and version: a peer with another
// cipher then gets a sentence, and an old one can be told apart from a new one.
constexpr std::string_view greeting = "@NAME@ 1\n";

// What the two sides agreed. One thread seals while another opens.
class bare_session final : public cipher_session {
public:
    // A real one reads here whether the responder has accepted this side, and throws errc::auth_failed if not.
    void finish_handshake(stream&) override {}

    // A real one needs room for a tag: 16 bytes for an AEAD such as AES-256-GCM.
    std::size_t overhead() const noexcept override { return 0; }

    // A real one encrypts the first `length` bytes of `record` in place, and writes the tag behind them. Its nonce
    // counts records, in each direction by itself, so that none is used twice under one key.
    void seal(mutable_bytes record, std::size_t length) override {
        (void)record;
        (void)length;
    }

    // A real one checks the tag, with the count of records that it has opened, before anybody sees a byte; where it is
    // wrong, it throws errc::integrity and leaves nothing of the plaintext in `record`. It returns the record without
    // the tag.
    mutable_bytes open(mutable_bytes record) override { return record; }

    // A real one tells whose key the peer has proved; this one has no keys, so it is nobody's.
    const identity& peer() const noexcept override { return nobody_; }
    std::string_view describe() const noexcept override { return "no protection"; }

private:
    const identity nobody_;
};

class bare_cipher final : public cipher {
public:
    bare_cipher(const settings&, const host_services&) {}

    // A real one agrees on a fresh key here; has each side prove its own key over all that was said, `prologue`
    // included, which both sides must have the same; and calls verify() with the peer's identity once that proof is
    // checked, which throws unless the peer is welcome. Take a protocol and a library that others have studied, and
    // invent neither. It reads no byte beyond its last message: that is the first of a record.
    std::unique_ptr<cipher_session> handshake(role, const_bytes, stream& link, const peer_verifier&) override {
        link.write_all(as_bytes(greeting));
        std::array<std::byte, greeting.size()> said;
        for (mutable_bytes rest = said; !rest.empty();) {
            const auto got = link.read_some(rest);
            if (got == 0) throw error(errc::disconnected, "the peer went in the middle of the handshake");
            rest = rest.subspan(got);
        }
        if (as_text(said) != greeting)
            throw error(errc::protocol, "the peer does not speak @NAME@ 1; give both sides the same --cipher");
        return std::make_unique<bare_session>();
    }

    // Only with --insecure will wherry use it. Take this out when, and not before, the cipher protects.
    bool is_insecure() const noexcept override { return true; }
};

WHERRY_PLUGIN(bare_cipher, "@NAME@", "0.1.0", "NO PROTECTION: the beginning of a cipher", no_options)
