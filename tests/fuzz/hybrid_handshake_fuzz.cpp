// SPDX-License-Identifier: BSD-2-Clause
#include <algorithm>

#include "fuzz.hpp"
#include "hybrid_cipher.hpp"
#include "seeded_rng.hpp"
#include "test_data.hpp"

using namespace wherry;

namespace {

// A peer that says the input, listens to nothing, and hangs up.
class scripted_peer final : public stream {
public:
    explicit scripted_peer(const_bytes says) noexcept : says_(says) {}

    std::size_t read_some(mutable_bytes into) override {
        const auto count = std::min(into.size(), says_.size());
        std::copy_n(says_.begin(), count, into.begin());
        says_ = says_.subspan(count);
        return count;
    }
    void write_all(std::span<const const_bytes>) override {}

private:
    const_bytes says_;
};

const keys::private_key& own_key() {
    static const auto key = keys::private_key::from_pem(test::test_data("keys/ed25519-b.pem"), "test", {});
    return key;
}

}  // namespace

// The first byte's lowest bit chooses the side that hears the rest. Random bytes are always the same ones, so the
// choice in the corpus, an answer to just these, gets beyond the signature.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto side = (data[0] & 1) ? role::responder : role::initiator;
    test::seeded_rng rng(side == role::initiator ? "fuzz initiator" : "fuzz responder");
    hybrid::hybrid_cipher cipher(own_key(), {{hybrid::kem::x25519}, {hybrid::aead::aes_256_gcm}}, rng);
    scripted_peer peer(fuzz::bytes_of(data + 1, size - 1));
    try {
        const auto session =
            cipher.handshake(side, as_bytes("fuzz"), peer, [](const wherry::identity&) { return "x"; });
        session->finish_handshake(peer);
    } catch (const error& e) {
        fuzz::require(e.code() != errc::internal);
    }
    return 0;
}
