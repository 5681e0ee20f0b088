// SPDX-License-Identifier: BSD-2-Clause
#include "records.hpp"

#include <botan/mem_ops.h>

#include <cassert>

#include "wherry/error.hpp"

namespace wherry::hybrid {

namespace {

void wipe(mutable_bytes bytes) noexcept { Botan::secure_scrub_memory(bytes.data(), bytes.size()); }

[[noreturn]] void altered() {
    throw error(errc::integrity, "a record was altered, lost or repeated on the way; send again over a new connection");
}

constexpr std::array<std::byte, nonce_bytes> nonce_of_zeros{};

}  // namespace

record_chain::record_chain(aead algorithm, direction which, secret_bytes chain, rekey_limits limits,
                           provider_choice choice)
    : aead_(make_record_aead(choose_provider(choice, algorithm), algorithm, which)),
      chain_(std::move(chain)),
      limits_(limits) {
    next_key();
}

void record_chain::next_key() {
    aead_->set_key(hkdf_expand(chain_, "wherry hybrid v1 record key"));
    chain_ = hkdf_expand(chain_, "wherry hybrid v1 next chain");
    records_ = 0;
    bytes_ = 0;
}

record_chain::nonce record_chain::begin_record(std::size_t plain_bytes) {
    if (records_ >= limits_.records || bytes_ >= limits_.plain_bytes) next_key();
    nonce value{};
    store_big_endian(mutable_bytes(value).last(sizeof records_), records_);
    ++records_;
    bytes_ += plain_bytes;
    return value;
}

void record_chain::seal(mutable_bytes record, std::size_t plain_bytes) {
    assert(record.size() == plain_bytes + tag_bytes);
    if (plain_bytes > max_record_plain_bytes) throw error(errc::bad_input, "a record is larger than the cipher allows");
    aead_->seal(begin_record(plain_bytes), record);
}

mutable_bytes record_chain::open(mutable_bytes record) {
    if (record.size() < tag_bytes || record.size() > max_record_plain_bytes + tag_bytes) {
        wipe(record);
        altered();
    }
    bool is_sound = false;
    try {
        is_sound = aead_->open(begin_record(record.size() - tag_bytes), record);
    } catch (...) {
        wipe(record);
        throw;
    }
    if (!is_sound) {
        wipe(record);
        altered();
    }
    return record.first(record.size() - tag_bytes);
}

byte_vector seal_once(aead algorithm, const secret_bytes& key, const_bytes plain) {
    const auto mode = make_botan_aead(algorithm, direction::sealing);
    mode->set_key(key);
    secret_bytes buffer(octets(plain), octets(plain) + plain.size());
    buffer.resize(plain.size() + tag_bytes);
    const auto view = std::as_writable_bytes(std::span(buffer));
    mode->seal(nonce_of_zeros, view);
    return {view.begin(), view.end()};
}

byte_vector open_once(aead algorithm, const secret_bytes& key, const_bytes sealed) {
    if (sealed.size() < tag_bytes) altered();
    const auto mode = make_botan_aead(algorithm, direction::opening);
    mode->set_key(key);
    secret_bytes buffer(octets(sealed), octets(sealed) + sealed.size());
    const auto view = std::as_writable_bytes(std::span(buffer));
    if (!mode->open(nonce_of_zeros, view))
        throw error(errc::integrity, "a sealed part of the handshake does not open: it was altered on the way");
    const auto plain = view.first(view.size() - tag_bytes);
    return {plain.begin(), plain.end()};
}

}  // namespace wherry::hybrid
