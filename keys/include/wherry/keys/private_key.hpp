// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <botan/secmem.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/bytes.hpp"
#include "wherry/keys/public_key.hpp"

namespace Botan {
class Private_Key;
class RandomNumberGenerator;
}  // namespace Botan

namespace wherry::keys {

// Wiped when it goes.
using secret_bytes = Botan::secure_vector<std::uint8_t>;
using secret_text = Botan::secure_vector<char>;

// Asked only for a key that is encrypted. May throw error, which passes through.
using passphrase_source = std::function<secret_text(const std::filesystem::path& key_file)>;

enum class if_exists { refuse, replace };

inline constexpr std::size_t default_rsa_bits = 3072;

// An identity: the key that one side proves itself with.
// Thread-safety: const functions from any thread. Copies share what is immutable.
class private_key {
public:
    // `rsa_bits` counts for RSA only. Throws error(errc::bad_input) for a size out of bounds.
    static private_key generate(key_type type, std::size_t rsa_bits = default_rsa_bits);

    // PKCS#8 PEM, which must be regular, at most 64 KiB, and this user's and closed to group and others, or root's.
    // Throws error: bad_input (no such file, wrong permissions, not such a key, wrong passphrase), io.
    static private_key load(const std::filesystem::path& path, const passphrase_source& ask);
    // The same from text; `path` is only named in errors.
    static private_key from_pem(std::string_view pem, const std::filesystem::path& path, const passphrase_source& ask);

    // Writes PKCS#8 PEM with mode 0600, whole or not at all; folders that lack are made with mode 0700. With a
    // passphrase that is not empty the key is encrypted (PBES2: PBKDF2, AES-256-CBC). Throws error: bad_input if the
    // file exists and is not to be replaced, io.
    void save(const std::filesystem::path& path, const secret_text& passphrase = {},
              if_exists existing = if_exists::refuse) const;

    const public_key& public_part() const noexcept { return public_part_; }

    // What public_key::verify accepts.
    std::vector<std::byte> sign(const_bytes message, Botan::RandomNumberGenerator& rng) const;

    // Undoes public_key::oaep_encrypt of a message of `expected_bytes`. For anything else returns as many random bytes,
    // in the same time, so that nobody can learn from it what was wrong. REQUIRES: the type is rsa.
    secret_bytes oaep_decrypt(const_bytes ciphertext, std::size_t expected_bytes,
                              Botan::RandomNumberGenerator& rng) const;

private:
    explicit private_key(std::shared_ptr<const Botan::Private_Key> key);

    std::shared_ptr<const Botan::Private_Key> key_;
    public_key public_part_;
};

// The public half of the identity at this path. Its comment is that of the file with ".pub" behind the name, if that
// holds the same key. Of an identity that is encrypted that file is believed; where it cannot be, `ask` gives the
// passphrase. Throws as private_key::load does.
public_key_line read_own_public_key(const std::filesystem::path& identity, const passphrase_source& ask);

}  // namespace wherry::keys
