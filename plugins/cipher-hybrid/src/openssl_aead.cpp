// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <string>

#include "messages.hpp"
#include "record_aead.hpp"
#include "wherry/error.hpp"

namespace wherry::hybrid {

namespace {

struct frees {
    void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
    void operator()(EVP_CIPHER* cipher) const noexcept { EVP_CIPHER_free(cipher); }
};

[[noreturn]] void fail() {
    char why[256] = "it does not say why";
    if (const auto code = ERR_get_error()) ERR_error_string_n(code, why, sizeof why);
    ERR_clear_error();
    throw error(errc::internal, fmt::format("the cryptographic library OpenSSL failed: {}", why));
}

void check(int result) {
    if (result != 1) fail();
}

const char* openssl_name(aead algorithm) {
    switch (algorithm) {
        case aead::aes_256_gcm: return "AES-256-GCM";
        case aead::chacha20_poly1305: return "ChaCha20-Poly1305";
    }
    throw error(errc::internal, "a cipher for records was chosen that this side cannot do");
}

// EVP counts in int; records are far smaller (max_record_plain_bytes).
int length_of(const_bytes bytes) noexcept { return static_cast<int>(bytes.size()); }

class openssl_aead final : public record_aead {
public:
    openssl_aead(aead algorithm, direction which)
        : cipher_(EVP_CIPHER_fetch(nullptr, openssl_name(algorithm), nullptr)),
          context_(EVP_CIPHER_CTX_new()),
          is_sealing_(which == direction::sealing) {
        if (!cipher_ || !context_) fail();
        // Both have nonces of nonce_bytes unless told otherwise.
        check(EVP_CipherInit_ex2(context_.get(), cipher_.get(), nullptr, nullptr, is_sealing_ ? 1 : 0, nullptr));
    }

    void set_key(const secret_bytes& key) override {
        check(EVP_CipherInit_ex2(context_.get(), nullptr, key.data(), nullptr, -1, nullptr));
    }

    void seal(const_bytes nonce, mutable_bytes record) override {
        const auto text = record.first(record.size() - tag_bytes);
        begin(nonce);
        update(text);
        int none = 0;
        check(EVP_EncryptFinal_ex(context_.get(), octets(record.subspan(text.size())), &none));
        check(
            EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_GET_TAG, tag_bytes, octets(record.subspan(text.size()))));
    }

    bool open(const_bytes nonce, mutable_bytes record) override {
        const auto text = record.first(record.size() - tag_bytes);
        begin(nonce);
        check(
            EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, octets(record.subspan(text.size()))));
        update(text);
        int none = 0;
        if (EVP_DecryptFinal_ex(context_.get(), octets(record.subspan(text.size())), &none) == 1) return true;
        ERR_clear_error();
        return false;
    }

private:
    void begin(const_bytes nonce) {
        check(EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, octets(nonce), -1, nullptr));
    }

    void update(mutable_bytes text) {
        if (text.empty()) return;
        int count = 0;
        check(EVP_CipherUpdate(context_.get(), octets(text), &count, octets(text), length_of(text)));
        if (count != length_of(text)) throw error(errc::internal, "the cryptographic library OpenSSL kept some bytes");
    }

    std::unique_ptr<EVP_CIPHER, frees> cipher_;
    std::unique_ptr<EVP_CIPHER_CTX, frees> context_;
    const bool is_sealing_;
};

}  // namespace

std::unique_ptr<record_aead> make_openssl_aead(aead algorithm, direction which) {
    return std::make_unique<openssl_aead>(algorithm, which);
}

}  // namespace wherry::hybrid
