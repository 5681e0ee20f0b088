// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "error_of.hpp"
#include "messages.hpp"

namespace wherry::hybrid {
namespace {

using test::error_of;

hello a_hello() { return {{1, 2}, {kem::x25519, static_cast<kem>(99)}, {aead::chacha20_poly1305}, {}}; }
choice a_choice() {
    return {1, kem::x25519, aead::aes_256_gcm, {}, byte_vector(32, std::byte{1}), byte_vector(51), byte_vector(64)};
}

// The encoding is the only one: it comes back, and neither a part of it nor more than it parses.
template <class Message>
void expect_strict(const Message& message) {
    const auto bytes = message.encode();
    EXPECT_EQ(Message::parse(bytes).encode(), bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size)
        EXPECT_EQ(error_of([&] { Message::parse(const_bytes(bytes).first(size)); }).code(), errc::protocol) << size;
    byte_vector longer(bytes.size() + 1);  // GCC 14 takes push_back() for an overflow here
    std::copy(bytes.begin(), bytes.end(), longer.begin());
    EXPECT_EQ(error_of([&] { Message::parse(longer); }).code(), errc::protocol);
}

template <class Message>
std::string why_not(const Message& message) {
    return error_of([&] { Message::parse(message.encode()); }).what();
}

TEST(hello_message, is_strict) { expect_strict(a_hello()); }
TEST(choice_message, is_strict) { expect_strict(a_choice()); }
TEST(credentials_message, is_strict) { expect_strict(credentials{byte_vector(51), byte_vector(64)}); }
TEST(alert_message, is_strict) { expect_strict(alert{alert::reason::no_kem, {1, 2}}); }

TEST(proof_message, keeps_its_parts) {
    const proof message{byte_vector(32, std::byte{7}), byte_vector(100, std::byte{8})};
    const auto bytes = message.encode();
    const auto parsed = proof::parse(bytes);
    EXPECT_EQ(parsed.kem_ciphertext, message.kem_ciphertext);
    EXPECT_EQ(parsed.sealed_credentials, message.sealed_credentials);
    for (std::size_t size = 0; size < 2 + 32 + tag_bytes; ++size)
        EXPECT_EQ(error_of([&] { proof::parse(const_bytes(bytes).first(size)); }).code(), errc::protocol);
}

TEST(answer_message, says_yes_without_or_no_with_a_reason) {
    EXPECT_EQ(answer::parse(answer{}.encode()).says, answer::verdict::accepted);
    const answer no{answer::verdict::refused, "because"};
    EXPECT_EQ(answer::parse(no.encode()).reason, "because");
    EXPECT_THAT(why_not(answer{answer::verdict::accepted, "but"}), ::testing::HasSubstr("left over"));
    EXPECT_THAT(why_not(answer{static_cast<answer::verdict>(2), ""}), ::testing::HasSubstr("neither yes nor no"));
    EXPECT_THAT(why_not(answer{answer::verdict::refused, "\x1b"}), ::testing::HasSubstr("not plain text"));
    EXPECT_THAT(why_not(answer{answer::verdict::refused, std::string(513, 'x')}), ::testing::HasSubstr("too long"));
    EXPECT_EQ(error_of([] { answer::parse({}); }).code(), errc::protocol);
}

TEST(hello_message, offers_something_and_nothing_twice) {
    auto message = a_hello();
    message.kems.clear();
    EXPECT_THAT(why_not(message), ::testing::HasSubstr("offers nothing"));
    message = a_hello();
    message.aeads = {aead::aes_256_gcm, aead::aes_256_gcm};
    EXPECT_THAT(why_not(message), ::testing::HasSubstr("twice"));
    message = a_hello();
    message.versions.resize(17);
    for (std::uint16_t i = 0; i < 17; ++i) message.versions[i] = i;
    EXPECT_THAT(why_not(message), ::testing::HasSubstr("too long"));
}

TEST(choice_message, has_bounds) {
    auto message = a_choice();
    message.kem_public_key.resize(max_kem_public_key_bytes + 1);
    EXPECT_THAT(why_not(message), ::testing::HasSubstr("out of bounds"));
    message = a_choice();
    message.identity.resize(keys::max_key_blob_bytes + 1);
    EXPECT_THAT(why_not(message), ::testing::HasSubstr("out of bounds"));
    message = a_choice();
    message.signature.resize(max_signature_bytes + 1);
    EXPECT_THAT(why_not(message), ::testing::HasSubstr("out of bounds"));
}

TEST(options, of_key_exchanges_are_read_in_order) {
    EXPECT_EQ(parse_kems("x25519"), std::vector{kem::x25519});
    EXPECT_EQ(kind_of(kem::x25519), key_exchange::classical);
    EXPECT_EQ(kind_of(kem::rsa_oaep_sha256), key_exchange::classical);
    EXPECT_EQ(kind_of(kem::x25519_mlkem768), key_exchange::post_quantum);
    EXPECT_EQ(parse_kems("rsa-oaep-sha256,x25519"), (std::vector{kem::rsa_oaep_sha256, kem::x25519}));
    for (const auto* list : {"", ",", "x25519,", "x25519,x25519", "x448", "x25519, rsa-oaep-sha256"})
        EXPECT_EQ(error_of([&] { parse_kems(list); }).code(), errc::bad_input) << list;
    if (!WHERRY_HYBRID_HAS_MLKEM) {
        EXPECT_EQ(error_of([] { parse_kems("x25519-mlkem768"); }).code(), errc::unsupported);
    }
}

TEST(options, of_ciphers_are_one_or_both) {
    EXPECT_EQ(parse_aeads("aes-256-gcm"), std::vector{aead::aes_256_gcm});
    EXPECT_EQ(parse_aeads("chacha20-poly1305"), std::vector{aead::chacha20_poly1305});
    EXPECT_EQ(parse_aeads("auto").size(), 2u);
    EXPECT_EQ(error_of([] { parse_aeads("des"); }).code(), errc::bad_input);
}

}  // namespace
}  // namespace wherry::hybrid
