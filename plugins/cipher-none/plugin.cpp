// SPDX-License-Identifier: BSD-2-Clause
#include <memory>
#include <string_view>

#include "wherry/sdk.hpp"

namespace {

// Records pass as they are, and nobody has proved who they are.
class bare_session final : public wherry::cipher_session {
public:
    void finish_handshake(wherry::stream&) override {}
    std::size_t overhead() const noexcept override { return 0; }
    void seal(wherry::mutable_bytes, std::size_t) override {}
    wherry::mutable_bytes open(wherry::mutable_bytes record) override { return record; }
    const wherry::identity& peer() const noexcept override { return nobody_; }
    std::string_view describe() const noexcept override { return "no protection"; }

private:
    wherry::identity nobody_;
};

// Sends and reads nothing. It has no proof to ask the verifier about, so it does not: the program decides by
// is_insecure() whether it may be used at all.
class no_cipher final : public wherry::cipher {
public:
    no_cipher(const wherry::settings&, const wherry::host_services&) {}

    std::unique_ptr<wherry::cipher_session> handshake(wherry::role, wherry::const_bytes, wherry::stream&,
                                                      const wherry::peer_verifier&) override {
        return std::make_unique<bare_session>();
    }
    bool is_insecure() const noexcept override { return true; }
};

}  // namespace

WHERRY_PLUGIN(no_cipher, "none", "0.1.0", "no protection at all: for tests and benchmarks", wherry::no_options)
