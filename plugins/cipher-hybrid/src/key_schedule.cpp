// SPDX-License-Identifier: BSD-2-Clause
#include "key_schedule.hpp"

#include <botan/kdf.h>

#include <memory>
#include <vector>

namespace wherry::hybrid {

namespace {

constexpr std::string_view transcript_label = "wherry hybrid v1 transcript";

// To find the parts of an algorithm by their names takes longer than to derive a key, so that is done once. What was
// found is only copied, for one that derives keys would keep what they were derived from. It is never destroyed:
// threads may still open connections when the program ends.
const Botan::KDF& find_kdf(const char* name) { return *Botan::KDF::create_or_throw(name).release(); }

// Botan 2 and 3 have one way in common to derive a key: from vectors.
secret_bytes derive(const Botan::KDF& unused, const secret_bytes& secret, const_bytes salt, const_bytes label) {
    const std::unique_ptr<Botan::KDF> kdf(unused.clone());
    const auto copy = [](const_bytes bytes) {
        return std::vector<std::uint8_t>(octets(bytes), octets(bytes) + bytes.size());
    };
    return kdf->derive_key(key_bytes, secret, copy(salt), copy(label));
}

}  // namespace

transcript::transcript(const_bytes prologue) : hash_(Botan::HashFunction::create_or_throw("SHA-256")) {
    byte_writer length;
    length.integer(static_cast<std::uint32_t>(prologue.size()));
    update(as_bytes(transcript_label)).update(length.view()).update(prologue);
}

transcript& transcript::update(const_bytes bytes) {
    hash_->update(octets(bytes), bytes.size());
    return *this;
}

digest transcript::hash() const {
    digest value;
    hash_->copy_state()->final(octets(mutable_bytes(value)));
    return value;
}

std::vector<std::byte> signed_text(std::string_view label, const digest& said) {
    byte_writer writer;
    return writer.bytes(as_bytes(label)).integer(std::uint8_t{0}).bytes(said).take();
}

secret_bytes hkdf_extract(const digest& salt, const secret_bytes& secret) {
    static const auto& unused = find_kdf("HKDF-Extract(SHA-256)");
    return derive(unused, secret, salt, {});
}

secret_bytes hkdf_expand(const secret_bytes& key, std::string_view info, const_bytes more_info) {
    byte_writer label;
    label.bytes(as_bytes(info)).bytes(more_info);
    static const auto& unused = find_kdf("HKDF-Expand(SHA-256)");
    return derive(unused, key, {}, label.view());
}

key_schedule::key_schedule(const secret_bytes& kem_secret, const digest& said)
    : extracted_(hkdf_extract(said, kem_secret)) {}

secret_bytes key_schedule::credentials_key() const { return hkdf_expand(extracted_, "wherry hybrid v1 credentials"); }

key_schedule::session_secrets key_schedule::finish(const digest& said) const {
    const auto master = hkdf_expand(extracted_, "wherry hybrid v1 master", said);
    return {hkdf_expand(master, "wherry hybrid v1 answer"), hkdf_expand(master, "wherry hybrid v1 initiator records"),
            hkdf_expand(master, "wherry hybrid v1 responder records")};
}

}  // namespace wherry::hybrid
