#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "handshake.hpp"
#include "hybrid_pair.hpp"
#include "messages.hpp"
#include "wire.hpp"

namespace wherry::hybrid {
namespace {

using ::testing::HasSubstr;
using wherry::test::damage;
using wherry::test::memory_link;
using wherry::test::run_pair;
using wherry::test::side_setup;
using wherry::test::test_identity;

constexpr auto ed25519 = keys::key_type::ed25519;
constexpr auto rsa = keys::key_type::rsa;

side_setup with_identity(keys::key_type type, int number = 0) {
    side_setup setup;
    setup.identity = test_identity(type, number);
    return setup;
}

std::vector<std::byte> sealed(cipher_session& session, std::string_view text) {
    std::vector<std::byte> record(text.size() + session.overhead());
    std::copy(text.begin(), text.end(), reinterpret_cast<char*>(record.data()));
    session.seal(record, text.size());
    return record;
}

std::string opened(cipher_session& session, std::vector<std::byte> record) {
    return std::string(as_text(session.open(record)));
}

void expect_both_ways(cipher_session& a, cipher_session& b) {
    EXPECT_EQ(opened(b, sealed(a, "there")), "there");
    EXPECT_EQ(opened(a, sealed(b, "and back")), "and back");
}

// ---- Every combination ----

using combination = std::tuple<keys::key_type, keys::key_type, kem, aead>;

class combinations : public ::testing::TestWithParam<combination> {};

TEST_P(combinations, agree_and_carry_records) {
    const auto [initiator_type, responder_type, chosen_kem, chosen_aead] = GetParam();
    auto initiator = with_identity(initiator_type, 0);
    auto responder = with_identity(responder_type, 1);
    initiator.allowed = {{chosen_kem}, {chosen_aead}};
    const auto result = run_pair(initiator, responder);
    if (chosen_kem == kem::rsa_oaep_sha256 && responder_type != rsa) {
        EXPECT_EQ(result.initiator.code(), errc::unsupported);
        return;
    }
    ASSERT_TRUE(result.initiator.ok()) << result.initiator.text();
    ASSERT_TRUE(result.responder.ok()) << result.responder.text();
    EXPECT_EQ(result.initiator.session->describe(), name_of(chosen_kem) + ", " + name_of(chosen_aead));
    EXPECT_EQ(result.responder.session->describe(), result.initiator.session->describe());
    EXPECT_EQ(result.initiator.session->peer().fingerprint, responder.identity.public_part().fingerprint());
    EXPECT_EQ(result.responder.session->peer().public_key, initiator.identity.public_part().line());
    EXPECT_EQ(result.responder.session->peer().label, "a friend");
    expect_both_ways(*result.initiator.session, *result.responder.session);
}

INSTANTIATE_TEST_SUITE_P(all, combinations,
                         ::testing::Combine(::testing::Values(ed25519, rsa), ::testing::Values(ed25519, rsa),
                                            ::testing::Values(kem::x25519, kem::rsa_oaep_sha256),
                                            ::testing::Values(aead::aes_256_gcm, aead::chacha20_poly1305)));

}  // namespace
}  // namespace wherry::hybrid
