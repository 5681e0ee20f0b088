// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/keys/private_key.hpp"

#include <botan/data_src.h>
#include <botan/ed25519.h>
#include <botan/pkcs8.h>
#include <botan/pubkey.h>
#include <botan/rsa.h>
#include <botan/system_rng.h>
#include <fmt/format.h>

#include <cassert>
#include <chrono>
#include <optional>
#include <utility>

#include "encoding.hpp"
#include "files.hpp"
#include "schemes.hpp"
#include "wherry/error.hpp"

namespace wherry::keys {

namespace {

constexpr file_rules private_key_rules{"private key", 64 * 1024, file_access::closed_reading};
constexpr std::chrono::milliseconds passphrase_work{500};
constexpr std::string_view plain_header = "-----BEGIN PRIVATE KEY-----";
constexpr std::string_view sealed_header = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

bool begins_with(std::string_view text, std::string_view header) { return text.substr(0, header.size()) == header; }

[[noreturn]] void not_a_key(const std::filesystem::path& path, const std::string& why) {
    throw error(errc::bad_input, fmt::format("{} {}", path.string(), why));
}

void check_header(std::string_view pem, const std::filesystem::path& path) {
    if (begins_with(pem, plain_header) || begins_with(pem, sealed_header)) return;
    if (begins_with(pem, "-----BEGIN OPENSSH PRIVATE KEY-----"))
        not_a_key(path, "is in OpenSSH's own format, not PKCS#8; make an identity with: wherry keygen");
    not_a_key(path, "is not a private key in PKCS#8 PEM; make one with: wherry keygen");
}

// Wiped when it goes, unlike a plain string.
struct wiped_string {
    std::string text;
    ~wiped_string() { Botan::secure_scrub_memory(text.data(), text.size()); }
};

std::shared_ptr<const Botan::Private_Key> decode(std::string_view pem, const wiped_string* passphrase) {
    Botan::DataSource_Memory source(reinterpret_cast<const std::uint8_t*>(pem.data()), pem.size());
    return passphrase ? Botan::PKCS8::load_key(source, [&] { return passphrase->text; })
                      : Botan::PKCS8::load_key(source);
}

void check_sound(const Botan::Private_Key& key, const std::filesystem::path& path) {
    constexpr bool strongly = false;
    if (!key.check_key(Botan::system_rng(), strongly))
        not_a_key(path, "holds numbers that do not form a key: it is damaged");
}

secret_bytes random_bytes(std::size_t count, Botan::RandomNumberGenerator& rng) {
    secret_bytes bytes(count);
    rng.randomize(bytes.data(), bytes.size());
    return bytes;
}

}  // namespace

private_key::private_key(std::shared_ptr<const Botan::Private_Key> key)
    : key_(std::move(key)), public_part_(public_key::from_blob(blob_of(*key_))) {}

private_key private_key::generate(key_type type, std::size_t rsa_bits) {
    auto& rng = Botan::system_rng();
    if (type == key_type::ed25519) return private_key(std::make_shared<Botan::Ed25519_PrivateKey>(rng));
    if (rsa_bits < min_rsa_bits || rsa_bits > max_rsa_bits)
        throw error(errc::bad_input, fmt::format("an RSA key has {} to {} bits", min_rsa_bits, max_rsa_bits));
    return private_key(std::make_shared<Botan::RSA_PrivateKey>(rng, rsa_bits));
}

private_key private_key::load(const std::filesystem::path& path, const passphrase_source& ask) {
    const auto pem = read_file(path, private_key_rules);
    if (!pem)
        throw error(errc::bad_input, fmt::format("no private key at {}; make one with: wherry keygen", path.string()),
                    ENOENT);
    return from_pem({pem->data(), pem->size()}, path, ask);
}

private_key private_key::from_pem(std::string_view pem, const std::filesystem::path& path,
                                  const passphrase_source& ask) {
    check_header(pem, path);
    const bool is_sealed = begins_with(pem, sealed_header);
    wiped_string passphrase;
    if (is_sealed) {
        if (!ask)
            throw error(errc::unsupported,
                        fmt::format("{} is encrypted, and nobody is there to ask for its passphrase", path.string()));
        const auto answer = ask(path);
        passphrase.text.assign(answer.data(), answer.size());
    }
    try {
        const auto key = decode(pem, is_sealed ? &passphrase : nullptr);
        check_sound(*key, path);
        return private_key(key);
    } catch (const Botan::Exception&) {
        not_a_key(path, is_sealed ? "cannot be opened: the passphrase is wrong, or the file is damaged"
                                  : "is damaged; restore it, or make another with: wherry keygen");
    } catch (const error& e) {
        throw e.within(path.string());
    }
}

void private_key::save(const std::filesystem::path& path, const secret_text& passphrase, if_exists existing) const {
    wiped_string pem;
    if (passphrase.empty()) {
        pem.text = Botan::PKCS8::PEM_encode(*key_);
    } else {
        wiped_string phrase{std::string(passphrase.data(), passphrase.size())};
        pem.text = Botan::PKCS8::PEM_encode_encrypted_pbkdf_msec(*key_, Botan::system_rng(), phrase.text,
                                                                 passphrase_work, nullptr, "AES-256/CBC", "SHA-256");
    }
    write_file(path, pem.text, private_key_rules, existing);
}

public_key_line read_own_public_key(const std::filesystem::path& identity, const passphrase_source& ask) {
    std::optional<public_key_line> written;
    try {
        auto file = identity;
        written = read_public_key_file(file += ".pub");
    } catch (const error& e) {
        if (e.code() == errc::exhausted) throw;
        // The private key says what is in it.
    }
    bool is_sealed = false;
    const auto when_sealed = [&](const std::filesystem::path& file) {
        is_sealed = true;
        if (written || !ask)
            throw error(errc::unsupported,
                        fmt::format("{} is encrypted, and nobody is asked for its passphrase", file.string()));
        return ask(file);
    };
    try {
        auto key = private_key::load(identity, when_sealed).public_part();
        const bool has_comment = written && written->key == key;
        return {std::move(key), has_comment ? std::move(written->comment) : std::string()};
    } catch (const error&) {
        if (!is_sealed || !written) throw;
        return *std::move(written);
    }
}

std::vector<std::byte> private_key::sign(const_bytes message, Botan::RandomNumberGenerator& rng) const {
    Botan::PK_Signer signer(*key_, rng, signature_scheme(public_part_.type()));
    const auto signature = signer.sign_message(octets(message), message.size(), rng);
    const auto view = bytes_of(signature);
    return {view.begin(), view.end()};
}

secret_bytes private_key::oaep_decrypt(const_bytes ciphertext, std::size_t expected_bytes,
                                       Botan::RandomNumberGenerator& rng) const {
    assert(public_part_.type() == key_type::rsa);
    try {
        // What throws, a number that is not below the modulus, everyone can see from outside: it tells nothing.
        if (ciphertext.size() != public_part_.signature_bytes()) return random_bytes(expected_bytes, rng);
        const Botan::PK_Decryptor_EME decryptor(*key_, rng, oaep_scheme);
        return decryptor.decrypt_or_random(octets(ciphertext), ciphertext.size(), expected_bytes, rng);
    } catch (const Botan::Exception&) {
        return random_bytes(expected_bytes, rng);
    }
}

}  // namespace wherry::keys
