// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/bytes.hpp"
#include "wherry/cipher.hpp"

namespace Botan {
class Public_Key;
class RandomNumberGenerator;
}  // namespace Botan

namespace wherry::keys {

enum class key_type { ed25519, rsa };

// "ed25519", "rsa": what people write.
std::string_view to_string(key_type type) noexcept;
// Throws error(errc::bad_input) for any other word.
key_type parse_key_type(std::string_view word);

inline constexpr std::size_t min_rsa_bits = 3072;
inline constexpr std::size_t max_rsa_bits = 16384;
// The largest encoding of a key that is accepted; an RSA key of max_rsa_bits needs less.
inline constexpr std::size_t max_key_blob_bytes = 2080;
// Fits a label of the plugin ABI (WHERRY_LABEL_BYTES).
inline constexpr std::size_t max_comment_bytes = 255;

// The public half of an identity, checked when it was made: an RSA modulus of min_rsa_bits to max_rsa_bits bits, an
// Ed25519 point that is canonical and not of small order.
// Thread-safety: const functions from any thread. Copies share what is immutable.
class public_key {
public:
    // From the encoding that SSH gives a key (RFC 4253 section 6.6, RFC 8709 section 4), which must be canonical.
    // Throws error(errc::bad_input).
    static public_key from_blob(const_bytes blob);

    // That encoding again, byte for byte.
    const_bytes blob() const noexcept { return blob_; }

    key_type type() const noexcept { return type_; }
    // "ssh-ed25519" or "ssh-rsa".
    std::string_view algorithm() const noexcept;
    std::size_t bits() const noexcept;

    // One OpenSSH line, without a line end: "ssh-ed25519 AAAA..." and the comment, if it is not empty.
    // Throws error(errc::bad_input) for a comment that would not parse again.
    std::string line(std::string_view comment = {}) const;

    // "SHA256:..." as `ssh-keygen -lf` shows it.
    std::string fingerprint() const;

    // As ciphers tell the host.
    wherry::identity identity(std::string label = {}) const;

    // Ed25519 (RFC 8032, pure) or RSASSA-PSS with SHA-256 and a salt of 32 bytes (RFC 8017 section 8.1). False for
    // anything that is not a signature of exactly this message by this key.
    bool verify(const_bytes message, const_bytes signature) const;
    // The one length that a signature by this key has.
    std::size_t signature_bytes() const noexcept;

    // RSAES-OAEP with SHA-256 and an empty label (RFC 8017 section 7.1). REQUIRES: type() is rsa.
    std::vector<std::byte> oaep_encrypt(const_bytes message, Botan::RandomNumberGenerator& rng) const;

    friend bool operator==(const public_key& a, const public_key& b) noexcept { return a.blob_ == b.blob_; }

private:
    public_key(key_type type, std::vector<std::byte> blob, std::shared_ptr<const Botan::Public_Key> key) noexcept;

    key_type type_;
    std::vector<std::byte> blob_;
    std::shared_ptr<const Botan::Public_Key> key_;
};

struct public_key_line {
    public_key key;
    std::string comment;  // may be empty
};

// Parses "TYPE BASE64 [COMMENT]", separated by blanks or tabs: no line end, canonical base64. Tabs in the comment
// become blanks. key.line(comment) gives the line with one blank between the words. Throws error(errc::bad_input): the
// reason.
public_key_line parse_public_key_line(std::string_view line);

// Parses the one key in text that people give. It ignores a byte order mark, blanks around the line, blank lines and
// lines that begin with '#'. Throws error(errc::bad_input), also for a private key, with a hint.
public_key_line parse_public_key_text(std::string_view text);

// The same from a file such as identity.pub. Throws error: bad_input, io.
public_key_line read_public_key_file(const std::filesystem::path& path);

// Writes key.line(comment) and a line end, atomically, mode 0644; a file that is there is replaced.
void write_public_key_file(const std::filesystem::path& path, const public_key& key, std::string_view comment);

}  // namespace wherry::keys
