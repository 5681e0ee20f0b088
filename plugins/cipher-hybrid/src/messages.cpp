// SPDX-License-Identifier: BSD-2-Clause
#include "messages.hpp"

#include <algorithm>

namespace wherry::hybrid {

namespace {

// As doc/hybrid-v1.md says: a change of one of these is a change of the protocol.
static_assert(max_hello_bytes == 131 && max_choice_bytes == 5388 && max_proof_bytes == 6198);
static_assert(max_answer_bytes == 529 && max_alert_bytes == 35);

template <class Number>
std::vector<Number> read_list(byte_reader& reader) {
    const auto count = reader.integer<std::uint8_t>();
    if (count > max_list_entries) reader.fail("has a list that is too long");
    std::vector<Number> list;
    list.reserve(count);
    for (unsigned i = 0; i < count; ++i) {
        const auto entry = static_cast<Number>(reader.integer<std::uint16_t>());
        if (std::find(list.begin(), list.end(), entry) != list.end()) reader.fail("lists something twice");
        list.push_back(entry);
    }
    return list;
}

template <class Number>
std::vector<Number> read_offer(byte_reader& reader) {
    auto list = read_list<Number>(reader);
    if (list.empty()) reader.fail("offers nothing");
    return list;
}

template <class Number>
void write_list(byte_writer& writer, const std::vector<Number>& list) {
    writer.integer(static_cast<std::uint8_t>(list.size()));
    for (const auto entry : list) writer.integer(static_cast<std::uint16_t>(entry));
}

random_value read_random(byte_reader& reader) {
    random_value value;
    const auto bytes = reader.bytes(value.size());
    std::copy(bytes.begin(), bytes.end(), value.begin());
    return value;
}

bool is_plain(char c) noexcept { return c >= 0x20 && c <= 0x7e; }

}  // namespace

hello hello::parse(const_bytes body) {
    byte_reader reader(body, "the initiator's first message");
    hello m;
    m.versions = read_offer<std::uint16_t>(reader);
    m.kems = read_offer<kem>(reader);
    m.aeads = read_offer<aead>(reader);
    m.random = read_random(reader);
    reader.finish();
    return m;
}

byte_vector hello::encode() const {
    byte_writer writer;
    write_list(writer, versions);
    write_list(writer, kems);
    write_list(writer, aeads);
    return writer.bytes(random).take();
}

choice choice::parse(const_bytes body) {
    byte_reader reader(body, "the responder's choice");
    choice m;
    m.version = reader.integer<std::uint16_t>();
    m.chosen_kem = static_cast<kem>(reader.integer<std::uint16_t>());
    m.chosen_aead = static_cast<aead>(reader.integer<std::uint16_t>());
    m.random = read_random(reader);
    m.kem_public_key = copy(reader.sized<std::uint16_t>(max_kem_public_key_bytes));
    m.identity = copy(reader.sized<std::uint16_t>(keys::max_key_blob_bytes));
    m.signature = copy(reader.sized<std::uint16_t>(max_signature_bytes));
    reader.finish();
    return m;
}

byte_vector choice::encode() const {
    byte_writer writer;
    writer.integer(version)
        .integer(static_cast<std::uint16_t>(chosen_kem))
        .integer(static_cast<std::uint16_t>(chosen_aead))
        .bytes(random)
        .sized<std::uint16_t>(kem_public_key)
        .sized<std::uint16_t>(identity)
        .sized<std::uint16_t>(signature);
    return writer.take();
}

credentials credentials::parse(const_bytes plain) {
    byte_reader reader(plain, "the initiator's proof");
    credentials m;
    m.identity = copy(reader.sized<std::uint16_t>(keys::max_key_blob_bytes));
    m.signature = copy(reader.sized<std::uint16_t>(max_signature_bytes));
    reader.finish();
    return m;
}

byte_vector credentials::encode() const {
    byte_writer writer;
    return writer.sized<std::uint16_t>(identity).sized<std::uint16_t>(signature).take();
}

proof proof::parse(const_bytes body) {
    byte_reader reader(body, "the initiator's proof");
    proof m;
    m.kem_ciphertext = copy(reader.sized<std::uint16_t>(max_kem_ciphertext_bytes));
    if (reader.remaining() < tag_bytes) reader.fail("is cut short");
    if (reader.remaining() > max_credentials_bytes + tag_bytes) reader.fail("has a length out of bounds");
    m.sealed_credentials = copy(reader.rest());
    return m;
}

byte_vector proof::encode() const {
    byte_writer writer;
    return writer.sized<std::uint16_t>(kem_ciphertext).bytes(sealed_credentials).take();
}

answer answer::parse(const_bytes plain) {
    byte_reader reader(plain, "the responder's answer");
    answer m;
    const auto verdict = reader.integer<std::uint8_t>();
    if (verdict > static_cast<std::uint8_t>(verdict::refused)) reader.fail("is neither yes nor no");
    m.says = static_cast<answer::verdict>(verdict);
    if (reader.remaining() > max_reason_bytes) reader.fail("gives too long a reason");
    m.reason = as_text(reader.rest());
    if (m.says == verdict::accepted && !m.reason.empty()) reader.fail("has bytes left over");
    if (!std::all_of(m.reason.begin(), m.reason.end(), is_plain)) reader.fail("gives a reason that is not plain text");
    return m;
}

byte_vector answer::encode() const {
    byte_writer writer;
    return writer.integer(static_cast<std::uint8_t>(says)).bytes(as_bytes(reason)).take();
}

alert alert::parse(const_bytes body) {
    byte_reader reader(body, "the peer's alert");
    alert m;
    m.why = static_cast<reason>(reader.integer<std::uint16_t>());
    m.allowed = read_list<std::uint16_t>(reader);
    reader.finish();
    return m;
}

byte_vector alert::encode() const {
    byte_writer writer;
    writer.integer(static_cast<std::uint16_t>(why));
    write_list(writer, allowed);
    return writer.take();
}

std::string plain_reason(std::string_view text) {
    std::string plain(text.substr(0, max_reason_bytes));
    std::replace_if(
        plain.begin(), plain.end(), [](char c) { return !is_plain(c); }, '?');
    return plain;
}

}  // namespace wherry::hybrid
