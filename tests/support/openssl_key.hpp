// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "wherry/bytes.hpp"

// A key of OpenSSL's, which is another implementation than the cipher's: "ML-KEM-768" (from OpenSSL 3.5 on), "X25519".
namespace wherry::test {

class openssl_key {
public:
    using bytes = std::vector<std::byte>;

    // `part`: what of the key `value` is, by OpenSSL's name: OSSL_PKEY_PARAM_PUB_KEY, OSSL_PKEY_PARAM_ML_KEM_SEED.
    openssl_key(const char* algorithm, const char* part, const_bytes value)
        : key_(made(algorithm, part, value), EVP_PKEY_free) {}

    bytes public_key() const {
        bytes key(max_bytes);
        std::size_t length = 0;
        require(EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY, octets(key), key.size(), &length));
        key.resize(length);
        return key;
    }

    bytes agree(const openssl_key& peer) const {
        const auto context = context_of(key_.get());
        require(EVP_PKEY_derive_init(context.get()));
        require(EVP_PKEY_derive_set_peer(context.get(), peer.key_.get()));
        bytes secret(max_bytes);
        auto length = secret.size();
        require(EVP_PKEY_derive(context.get(), octets(secret), &length));
        secret.resize(length);
        return secret;
    }

    // `m`: the random bytes of FIPS 203. Returns the ciphertext and the secret.
    std::pair<bytes, bytes> encapsulate(const_bytes m) const {
        bytes random(m.begin(), m.end());
        const OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_octet_string(OSSL_KEM_PARAM_IKME, random.data(), random.size()),
            OSSL_PARAM_construct_end()};
        const auto context = context_of(key_.get());
        require(EVP_PKEY_encapsulate_init(context.get(), parameters));
        bytes ciphertext(max_bytes), secret(max_bytes);
        auto ciphertext_length = ciphertext.size(), secret_length = secret.size();
        require(EVP_PKEY_encapsulate(context.get(), octets(ciphertext), &ciphertext_length, octets(secret),
                                     &secret_length));
        ciphertext.resize(ciphertext_length);
        secret.resize(secret_length);
        return {std::move(ciphertext), std::move(secret)};
    }

    bytes decapsulate(const_bytes ciphertext) const {
        const auto context = context_of(key_.get());
        require(EVP_PKEY_decapsulate_init(context.get(), nullptr));
        bytes secret(max_bytes);
        auto length = secret.size();
        require(EVP_PKEY_decapsulate(context.get(), octets(secret), &length,
                                     reinterpret_cast<const unsigned char*>(ciphertext.data()), ciphertext.size()));
        secret.resize(length);
        return secret;
    }

private:
    using context_owner = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

    static constexpr std::size_t max_bytes = 2048;  // of whatever is made here

    static unsigned char* octets(bytes& buffer) { return reinterpret_cast<unsigned char*>(buffer.data()); }

    static void require(int result) {
        if (result <= 0) throw std::runtime_error("OpenSSL failed");
    }

    static context_owner context_of(EVP_PKEY* key) {
        return {EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr), EVP_PKEY_CTX_free};
    }

    static EVP_PKEY* made(const char* algorithm, const char* part, const_bytes value) {
        bytes content(value.begin(), value.end());
        OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(part, content.data(), content.size()),
                                   OSSL_PARAM_construct_end()};
        const context_owner context(EVP_PKEY_CTX_new_from_name(nullptr, algorithm, nullptr), EVP_PKEY_CTX_free);
        if (!context) throw std::runtime_error(std::string("this OpenSSL has no ") + algorithm);
        const auto is_public = std::string(part) == OSSL_PKEY_PARAM_PUB_KEY;
        EVP_PKEY* key = nullptr;
        require(EVP_PKEY_fromdata_init(context.get()));
        require(EVP_PKEY_fromdata(context.get(), &key, is_public ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR, parameters));
        return key;
    }

    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};

}  // namespace wherry::test
