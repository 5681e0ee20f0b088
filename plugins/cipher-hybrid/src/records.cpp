#include "records.hpp"

#include <botan/mem_ops.h>

#include <algorithm>
#include <array>
#include <cassert>

#include "wherry/error.hpp"

namespace wherry::hybrid {

namespace {

constexpr std::size_t nonce_bytes = 12;
using nonce = std::array<std::byte, nonce_bytes>;

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

std::unique_ptr<Botan::AEAD_Mode> make_mode(aead algorithm, record_chain::direction which) {
    return Botan::AEAD_Mode::create_or_throw(botan_name(algorithm),
                                             which == record_chain::direction::sealing ? encryption : decryption);
}

nonce counter_nonce(std::uint64_t counter) {
    nonce value{};
    store_big_endian(mutable_bytes(value).last(sizeof counter), counter);
    return value;
}

void start(Botan::AEAD_Mode& mode, std::uint64_t counter) {
    const auto value = counter_nonce(counter);
    mode.start(octets(const_bytes(value)), value.size());
}

void wipe(mutable_bytes bytes) noexcept { Botan::secure_scrub_memory(bytes.data(), bytes.size()); }

[[noreturn]] void altered() {
    throw error(errc::integrity, "a record was altered, lost or repeated on the way; send again over a new connection");
}

}  // namespace

record_chain::record_chain(aead algorithm, direction which, secret_bytes chain, rekey_limits limits)
    : mode_(make_mode(algorithm, which)),
      chain_(std::move(chain)),
      limits_(limits),
      granularity_(mode_->update_granularity()) {
    // Botan's finish() may append to the tail: with room for it, no record allocates here.
    tail_.reserve(2 * granularity_ + 2 * tag_bytes);
    next_key();
}

void record_chain::next_key() {
    mode_->set_key(hkdf_expand(chain_, "wherry hybrid v1 record key"));
    chain_ = hkdf_expand(chain_, "wherry hybrid v1 next chain");
    records_ = 0;
    bytes_ = 0;
}

void record_chain::begin_record(std::size_t plain_bytes) {
    if (records_ >= limits_.records || bytes_ >= limits_.plain_bytes) next_key();
    start(*mode_, records_);
    ++records_;
    bytes_ += plain_bytes;
}

// Runs the mode over all whole blocks where they are, and returns how many bytes that was. Only the rest has to pass
// through tail_, for Botan finishes a message in a vector of its own kind.
std::size_t record_chain::process_blocks(mutable_bytes text) {
    const auto whole = text.size() - text.size() % granularity_;
    if (whole != 0) mode_->process(octets(text), whole);
    return whole;
}

void record_chain::seal(mutable_bytes record, std::size_t plain_bytes) {
    assert(record.size() == plain_bytes + tag_bytes);
    if (plain_bytes > max_record_plain_bytes) throw error(errc::bad_input, "a record is larger than the cipher allows");
    begin_record(plain_bytes);
    const auto whole = process_blocks(record.first(plain_bytes));
    const auto rest = record.subspan(whole, plain_bytes - whole);
    tail_.assign(octets(rest), octets(rest) + rest.size());
    mode_->finish(tail_);
    std::copy_n(tail_.begin(), tail_.size(), octets(record.subspan(whole)));
}

void record_chain::open_checked(mutable_bytes record) {
    const auto plain_bytes = record.size() - tag_bytes;
    begin_record(plain_bytes);
    const auto whole = process_blocks(record.first(plain_bytes));
    const auto rest = record.subspan(whole);
    tail_.assign(octets(rest), octets(rest) + rest.size());
    mode_->finish(tail_);
    std::copy_n(tail_.begin(), tail_.size(), octets(rest));
}

mutable_bytes record_chain::open(mutable_bytes record) {
    if (record.size() < tag_bytes || record.size() > max_record_plain_bytes + tag_bytes) {
        wipe(record);
        altered();
    }
    try {
        open_checked(record);
    } catch (const Botan::Exception&) {
        wipe(record);
        wipe(std::as_writable_bytes(std::span(tail_)));
        altered();
    } catch (...) {
        wipe(record);
        throw;
    }
    return record.first(record.size() - tag_bytes);
}

byte_vector seal_once(aead algorithm, const secret_bytes& key, const_bytes plain) {
    const auto mode = make_mode(algorithm, record_chain::direction::sealing);
    mode->set_key(key);
    start(*mode, 0);
    secret_bytes buffer(octets(plain), octets(plain) + plain.size());
    mode->finish(buffer);
    const auto view = std::as_bytes(std::span(buffer));
    return {view.begin(), view.end()};
}

byte_vector open_once(aead algorithm, const secret_bytes& key, const_bytes sealed) {
    const auto mode = make_mode(algorithm, record_chain::direction::opening);
    mode->set_key(key);
    start(*mode, 0);
    secret_bytes buffer(octets(sealed), octets(sealed) + sealed.size());
    try {
        if (buffer.size() < tag_bytes) altered();
        mode->finish(buffer);
    } catch (const Botan::Exception&) {
        throw error(errc::integrity, "a sealed part of the handshake does not open: it was altered on the way");
    }
    const auto view = std::as_bytes(std::span(buffer));
    return {view.begin(), view.end()};
}

}  // namespace wherry::hybrid
