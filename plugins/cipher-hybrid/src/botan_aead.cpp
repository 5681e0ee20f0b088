// SPDX-License-Identifier: BSD-2-Clause
#include <botan/aead.h>
#include <botan/mem_ops.h>

#include <algorithm>

#include "messages.hpp"
#include "record_aead.hpp"
#include "wherry/error.hpp"

namespace wherry::hybrid {

namespace {

const char* botan_name(aead algorithm) {
    switch (algorithm) {
        case aead::aes_256_gcm: return "AES-256/GCM";
        case aead::chacha20_poly1305: return "ChaCha20Poly1305";
    }
    throw error(errc::internal, "a cipher for records was chosen that this side cannot do");
}

#if BOTAN_VERSION_MAJOR >= 3
constexpr auto encryption = Botan::Cipher_Dir::Encryption;
constexpr auto decryption = Botan::Cipher_Dir::Decryption;
#else
constexpr auto encryption = Botan::ENCRYPTION;
constexpr auto decryption = Botan::DECRYPTION;
#endif

class botan_aead final : public record_aead {
public:
    botan_aead(aead algorithm, direction which)
        : mode_(Botan::AEAD_Mode::create_or_throw(botan_name(algorithm),
                                                  which == direction::sealing ? encryption : decryption)),
          granularity_(mode_->update_granularity()) {
        // Botan's finish() may append to the tail: with room for it, no record allocates here.
        tail_.reserve(2 * granularity_ + 2 * tag_bytes);
    }

    void set_key(const secret_bytes& key) override { mode_->set_key(key); }

    void seal(const_bytes nonce, mutable_bytes record) override {
        run(nonce, record, record.size() - tag_bytes, record.size() - tag_bytes);
    }

    bool open(const_bytes nonce, mutable_bytes record) override {
        try {
            run(nonce, record, record.size() - tag_bytes, record.size());
            return true;
        } catch (const Botan::Exception&) {
            Botan::secure_scrub_memory(tail_.data(), tail_.size());
            return false;
        }
    }

private:
    // All whole blocks of the text where they are; only the rest, up to `end`, passes through tail_, for Botan finishes
    // a message in a vector of its own kind.
    void run(const_bytes nonce, mutable_bytes record, std::size_t text_bytes, std::size_t end) {
        mode_->start(octets(nonce), nonce.size());
        const auto whole = text_bytes - text_bytes % granularity_;
        if (whole != 0) mode_->process(octets(record), whole);
        const auto rest = record.subspan(whole, end - whole);
        tail_.assign(octets(rest), octets(rest) + rest.size());
        mode_->finish(tail_);
        std::copy_n(tail_.begin(), tail_.size(), octets(record.subspan(whole)));
    }

    std::unique_ptr<Botan::AEAD_Mode> mode_;
    std::size_t granularity_;
    secret_bytes tail_;  // what is left after whole blocks, and the tag; reserved once
};

}  // namespace

std::unique_ptr<record_aead> make_botan_aead(aead algorithm, direction which) {
    return std::make_unique<botan_aead>(algorithm, which);
}

}  // namespace wherry::hybrid
