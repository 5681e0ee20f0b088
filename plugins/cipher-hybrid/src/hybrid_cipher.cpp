// SPDX-License-Identifier: BSD-2-Clause
#include "hybrid_cipher.hpp"

#include <botan/exceptn.h>
#include <botan/mem_ops.h>
#include <botan/system_rng.h>
#include <fmt/format.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "handshake.hpp"
#include "wherry/keys/paths.hpp"

namespace wherry::hybrid {

namespace {

constexpr std::size_t max_passphrase_bytes = 1024;

keys::secret_text ask_passphrase(const host_services& host, const std::filesystem::path& key_file) {
    keys::secret_text buffer(max_passphrase_bytes);
    const auto answer = host.ask_secret(fmt::format("Passphrase of {}: ", key_file.string()), buffer);
    return {answer.begin(), answer.end()};
}

std::filesystem::path identity_file(const settings& options, const host_services& host) {
    if (options.has("identity") && !options.text("identity").empty()) return options.text("identity");
    return keys::identity_path(host.home());
}

keys::private_key load_identity(const settings& options, const host_services& host) {
    const auto path = identity_file(options, host);
    try {
        return keys::private_key::load(path, [&](const auto& file) { return ask_passphrase(host, file); });
    } catch (const error& e) {
        if (e.system_error() != ENOENT) throw;
        throw error(errc::bad_input, fmt::format("no identity at {}; make one with: wherry keygen", path.string()),
                    ENOENT);
    }
}

policy policy_of(const settings& options) {
    return {parse_kems(options.has("kem") ? options.text("kem") : default_kems),
            parse_aeads(options.has("aead") ? options.text("aead") : default_aead)};
}

class hybrid_session final : public cipher_session {
public:
    hybrid_session(role side, agreement agreed, rekey_limits limits, provider_choice choice)
        : algorithm_(agreed.chosen_aead),
          awaits_answer_(side == role::initiator),
          answer_key_(std::move(agreed.secrets.answer_key)),
          peer_(std::move(agreed.peer)),
          description_(name_of(agreed.chosen_kem) + ", " + name_of(agreed.chosen_aead)),
          exchanged_(kind_of(agreed.chosen_kem)),
          sealer_(algorithm_, record_chain::direction::sealing,
                  side == role::initiator ? agreed.secrets.initiator_chain : agreed.secrets.responder_chain, limits,
                  choice),
          opener_(algorithm_, record_chain::direction::opening,
                  side == role::initiator ? agreed.secrets.responder_chain : agreed.secrets.initiator_chain, limits,
                  choice) {}

    void finish_handshake(stream& link) override {
        if (!awaits_answer_) return;
        try {
            latched(opening_failed_, [&] { read_answer(link, algorithm_, answer_key_); });
        } catch (...) {
            // The peer did not accept: it may not be sent anything more either.
            sealing_failed_.store(true, std::memory_order_relaxed);
            throw;
        }
        awaits_answer_ = false;
        Botan::secure_scrub_memory(answer_key_.data(), answer_key_.size());
    }

    std::size_t overhead() const noexcept override { return tag_bytes; }

    void seal(mutable_bytes record, std::size_t length) override {
        latched(sealing_failed_, [&] { sealer_.seal(record, length); });
    }

    mutable_bytes open(mutable_bytes record) override {
        return latched(opening_failed_, [&] {
            if (awaits_answer_) throw error(errc::internal, "a record was read before the handshake was finished");
            return opener_.open(record);
        });
    }

    const identity& peer() const noexcept override { return peer_; }
    std::string_view describe() const noexcept override { return description_; }
    std::optional<key_exchange> exchanged() const noexcept override { return exchanged_; }

private:
    using latch = std::atomic<bool>;

    // A direction that failed once stays failed: after a record that was lost or altered there is no next one. The
    // other direction goes on, so that the peer can be told.
    template <class Work>
    static std::invoke_result_t<Work> latched(latch& has_failed, Work&& work) {
        if (has_failed.load(std::memory_order_relaxed))
            throw error(errc::integrity, "this connection's encryption has failed before; begin a new connection");
        try {
            return std::forward<Work>(work)();
        } catch (...) {
            has_failed.store(true, std::memory_order_relaxed);
            throw;
        }
    }

    aead algorithm_;
    bool awaits_answer_;  // touched by the thread that opens only
    secret_bytes answer_key_;
    identity peer_;
    std::string description_;
    key_exchange exchanged_;
    record_chain sealer_, opener_;
    latch sealing_failed_{false}, opening_failed_{false};
};

}  // namespace

hybrid_cipher::hybrid_cipher(const settings& options, const host_services& host)
    : hybrid_cipher(load_identity(options, host), policy_of(options), Botan::system_rng(), {},
                    parse_provider(options.has("provider") ? options.text("provider") : default_provider)) {
    for (const auto algorithm : allowed_.aeads)
        host.log(host_services::level::debug, fmt::format("records in {} are sealed by {}", name_of(algorithm),
                                                          name_of(choose_provider(provider_, algorithm))));
}

hybrid_cipher::hybrid_cipher(keys::private_key identity, policy allowed, Botan::RandomNumberGenerator& rng,
                             rekey_limits limits, provider_choice choice)
    : identity_(std::move(identity)), allowed_(std::move(allowed)), rng_(rng), limits_(limits), provider_(choice) {}

std::unique_ptr<cipher_session> hybrid_cipher::handshake(role side, const_bytes prologue, stream& link,
                                                         const peer_verifier& verify) {
    const party self{identity_, allowed_, rng_};
    try {
        auto agreed =
            side == role::initiator ? initiate(self, prologue, link, verify) : respond(self, prologue, link, verify);
        return std::make_unique<hybrid_session>(side, std::move(agreed), limits_, provider_);
    } catch (const Botan::Exception& e) {
        throw error(errc::internal, fmt::format("the cryptographic library failed: {}", e.what()));
    }
}

}  // namespace wherry::hybrid
