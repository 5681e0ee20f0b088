// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <botan/base64.h>
#include <botan/hex.h>

#include <algorithm>
#include <thread>
#include <tuple>
#include <vector>

#include "error_of.hpp"
#include "handshake.hpp"
#include "hybrid_pair.hpp"
#include "kem.hpp"
#include "messages.hpp"
#include "peer_value.hpp"
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
    initiator.allowed = responder.allowed = {{chosen_kem}, {chosen_aead}};
    const auto result = run_pair(initiator, responder);
    if (chosen_kem == kem::rsa_oaep_sha256 && responder_type != rsa) {
        EXPECT_EQ(result.initiator.code(), errc::disconnected);
        return;
    }
    ASSERT_TRUE(result.initiator.ok()) << result.initiator.text();
    ASSERT_TRUE(result.responder.ok()) << result.responder.text();
    EXPECT_EQ(result.initiator.session->describe(), name_of(chosen_kem) + ", " + name_of(chosen_aead));
    EXPECT_EQ(result.responder.session->describe(), result.initiator.session->describe());
    for (const auto* side : {&result.initiator, &result.responder})
        EXPECT_EQ(side->session->exchanged(), kind_of(chosen_kem));
    EXPECT_EQ(result.initiator.session->peer().fingerprint, responder.identity.public_part().fingerprint());
    EXPECT_EQ(result.responder.session->peer().public_key, initiator.identity.public_part().line());
    EXPECT_EQ(result.responder.session->peer().label, "a friend");
    expect_both_ways(*result.initiator.session, *result.responder.session);
}

INSTANTIATE_TEST_SUITE_P(all, combinations,
                         ::testing::Combine(::testing::Values(ed25519, rsa), ::testing::Values(ed25519, rsa),
                                            ::testing::ValuesIn(parse_kems(default_kems)),  // all of this build
                                            ::testing::Values(aead::aes_256_gcm, aead::chacha20_poly1305)));

// ---- Negotiation ----

TEST(negotiation, takes_the_first_of_the_initiator_that_the_responder_allows) {
    auto initiator = with_identity(ed25519);
    auto responder = with_identity(rsa);
    initiator.allowed = {{kem::rsa_oaep_sha256, kem::x25519}, {aead::chacha20_poly1305, aead::aes_256_gcm}};
    responder.allowed = {{kem::x25519, kem::rsa_oaep_sha256}, {aead::aes_256_gcm, aead::chacha20_poly1305}};
    EXPECT_EQ(run_pair(initiator, responder).initiator.session->describe(), "rsa-oaep-sha256, chacha20-poly1305");
    responder.allowed = {{kem::x25519}, {aead::aes_256_gcm}};
    EXPECT_EQ(run_pair(initiator, responder).responder.session->describe(), "x25519, aes-256-gcm");
}

TEST(negotiation, passes_over_what_is_not_known) {
    auto initiator = with_identity(ed25519);
    initiator.allowed.kems.insert(initiator.allowed.kems.begin(), static_cast<kem>(999));
    initiator.allowed.aeads.insert(initiator.allowed.aeads.begin(), static_cast<aead>(999));
    EXPECT_EQ(run_pair(initiator, {}).initiator.session->describe(), "x25519, aes-256-gcm");
}

TEST(negotiation, without_a_key_exchange_in_common_says_what_the_receiver_allows) {
    side_setup initiator, responder = with_identity(rsa);
    initiator.allowed.kems = {kem::x25519};
    responder.allowed.kems = {kem::rsa_oaep_sha256};
    const auto result = run_pair(initiator, responder);
    for (const auto* side : {&result.initiator, &result.responder})
        EXPECT_EQ(side->text(),
                  "no key exchange in common: the receiver allows rsa-oaep-sha256, or the handshake was altered on the "
                  "way; choose with --hybrid.kem");
    EXPECT_EQ(result.initiator.code(), errc::disconnected);
    EXPECT_EQ(result.responder.code(), errc::unsupported);
}

TEST(negotiation, does_not_offer_rsa_with_an_identity_that_is_not) {
    side_setup initiator, responder;
    initiator.allowed.kems = {kem::rsa_oaep_sha256};
    EXPECT_THAT(run_pair(initiator, responder).initiator.text(), HasSubstr("the receiver allows x25519, or "));
    responder.allowed.kems = {kem::rsa_oaep_sha256};
    EXPECT_THAT(run_pair(initiator, responder).initiator.text(), HasSubstr("the receiver allows nothing, or "));
}

TEST(negotiation, without_a_cipher_in_common_says_what_the_receiver_allows) {
    side_setup initiator, responder;
    initiator.allowed.aeads = {aead::aes_256_gcm};
    responder.allowed.aeads = {aead::chacha20_poly1305};
    const auto result = run_pair(initiator, responder);
    EXPECT_EQ(result.initiator.code(), errc::disconnected);
    EXPECT_THAT(result.initiator.text(), HasSubstr("the receiver allows chacha20-poly1305"));
    EXPECT_EQ(result.responder.code(), errc::unsupported);
}

// ---- One side by hand ----

hello usual_hello() { return {{protocol_version}, {kem::x25519}, {aead::aes_256_gcm}, {}}; }

// What a real responder makes of these bytes; the link is then closed.
struct heard {
    test::side_result result;
    byte_vector sent;
};

heard responder_hears(const_bytes bytes, const side_setup& setup = {}) {
    memory_link link({}, {}, true);
    link.initiator->write_all(bytes);
    link.initiator->shutdown_write();
    auto result = test::run_side(role::responder, setup, link.responder);
    return {std::move(result), link.backward->record()};
}

heard initiator_hears(const_bytes bytes, const side_setup& setup = {}) {
    memory_link link({}, {}, true);
    link.responder->write_all(bytes);
    link.responder->shutdown_write();
    auto result = test::run_side(role::initiator, setup, link.initiator);
    return {std::move(result), link.forward->record()};
}

alert alert_in(const byte_vector& message) {
    EXPECT_EQ(message.at(0), std::byte{255});
    return alert::parse(body_of(message));
}

TEST(versions, without_one_in_common_are_told_to_the_initiator) {
    auto newer = usual_hello();
    newer.versions = {2, 3};
    const auto heard = responder_hears(framed(message_type::hello, newer.encode()));
    EXPECT_EQ(heard.result.code(), errc::unsupported);
    const auto told = alert_in(heard.sent);
    EXPECT_EQ(told.why, alert::reason::no_version);
    EXPECT_EQ(told.allowed, std::vector<std::uint16_t>{1});

    const auto initiator = initiator_hears(framed(message_type::alert, told.encode()));
    EXPECT_EQ(initiator.result.code(), errc::disconnected);
    EXPECT_EQ(initiator.result.text(),
              "no version of the hybrid cipher in common: the receiver, which is older or newer, speaks 1, or the "
              "handshake was altered on the way; use the same wherry on both sides");
}

TEST(versions, of_a_newer_initiator_that_also_speaks_this_one_are_fine) {
    auto newer = usual_hello();
    newer.versions = {2, 1};
    const auto heard = responder_hears(framed(message_type::hello, newer.encode()));
    EXPECT_EQ(heard.result.code(), errc::disconnected);  // it waited for message 3
    EXPECT_EQ(choice::parse(body_of(heard.sent)).version, 1);
}

TEST(choice, of_what_was_not_offered_is_refused) {
    side_setup setup;
    setup.allowed = {{kem::x25519}, {aead::aes_256_gcm}};
    choice wrong[3] = {{1, kem::x25519, aead::aes_256_gcm, {}, {}, {}, {}},
                       {1, kem::x25519, aead::aes_256_gcm, {}, {}, {}, {}},
                       {1, kem::x25519, aead::aes_256_gcm, {}, {}, {}, {}}};
    wrong[0].version = 2;
    wrong[1].chosen_kem = kem::rsa_oaep_sha256;
    wrong[2].chosen_aead = aead::chacha20_poly1305;
    for (const auto& message : wrong) {
        const auto heard = initiator_hears(framed(message_type::choice, message.encode()), setup);
        EXPECT_EQ(heard.result.code(), errc::protocol);
        EXPECT_THAT(heard.result.text(), HasSubstr("not offered"));
    }
}

TEST(choice, with_an_identity_that_is_too_weak_is_refused) {
    const auto line = test::test_data("keys/rsa2048.pub");
    const auto weak = Botan::base64_decode(line.substr(line.find(' ') + 1));
    choice message{1, kem::x25519, aead::aes_256_gcm, {}, byte_vector(32), {}, byte_vector(256)};
    const auto view = std::as_bytes(std::span(weak));
    message.identity.assign(view.begin(), view.end());
    const auto heard = initiator_hears(framed(message_type::choice, message.encode()));
    EXPECT_EQ(heard.result.code(), errc::protocol);
    EXPECT_THAT(heard.result.text(), HasSubstr("identity cannot be accepted: the RSA key has 2048 bits"));
}

TEST(value_of_the_peer, is_to_blame_for_what_a_value_can_cause_only) {
    const auto blames_the_peer = [](const auto& failure) {
        try {
            with_peer_value([&]() -> int { throw failure; });
        } catch (const error& e) {
            return e.code() == errc::protocol;
        } catch (const Botan::Exception&) {
        }
        return false;
    };
    EXPECT_TRUE(blames_the_peer(Botan::Invalid_Argument("weak point")));
    EXPECT_TRUE(blames_the_peer(Botan::Decoding_Error("out of range")));
    EXPECT_FALSE(blames_the_peer(Botan::Invalid_Algorithm_Name("Raw")));
    EXPECT_FALSE(blames_the_peer(Botan::Lookup_Error("no such algorithm")));
    EXPECT_FALSE(blames_the_peer(Botan::Not_Implemented("ML-KEM")));
    EXPECT_FALSE(blames_the_peer(Botan::Internal_Error("self test")));
    EXPECT_FALSE(blames_the_peer(Botan::PRNG_Unseeded("no seed")));
}

TEST(alerts, end_the_handshake_and_show_only_what_has_a_meaning) {
    const auto told = [](alert what) { return initiator_hears(framed(message_type::alert, what.encode())).result; };
    EXPECT_THAT(told({alert::reason::no_kem, {1, 777}}).text(),
                HasSubstr("the receiver allows x25519, number 777, or"));
    EXPECT_THAT(told({alert::reason::no_kem, {3}}).text(),
                HasSubstr(WHERRY_HYBRID_HAS_MLKEM ? "allows x25519-mlkem768, or"
                                                  : "allows x25519-mlkem768 (not in this build, which lacks Botan 3)"));
    EXPECT_EQ(told({alert::reason::failed, {}}).code(), errc::protocol);
    EXPECT_EQ(told({static_cast<alert::reason>(4711), {}}).code(), errc::protocol);
    EXPECT_EQ(told({alert::reason::untrusted, {}}).code(), errc::auth_failed);
    const auto nonsense = initiator_hears(framed(message_type::alert, as_bytes("\x1b[2J")));
    EXPECT_EQ(nonsense.result.code(), errc::protocol);
    EXPECT_THAT(nonsense.result.text(), ::testing::Not(HasSubstr("\x1b")));
}

TEST(alerts, about_versions_and_algorithms_are_of_a_link_that_no_other_attempt_mends) {
    for (const auto why : {alert::reason::no_version, alert::reason::no_kem, alert::reason::no_aead}) {
        const auto heard_in_place_of = [&](message_type expected) {
            memory_link link;
            link.responder->write_all(framed(message_type::alert, alert{why, {2}}.encode()));
            return test::error_of([&] { read_message(*link.initiator, expected); });
        };
        const auto heard = heard_in_place_of(message_type::choice);
        EXPECT_EQ(heard.code(), errc::disconnected);
        EXPECT_EQ(heard.system_error(), EPROTONOSUPPORT);
        EXPECT_THAT(heard.what(), HasSubstr("or the handshake was altered on the way"));
        // Once there was a choice, there was something in common.
        EXPECT_EQ(heard_in_place_of(message_type::answer).code(), errc::protocol);
    }
}

TEST(messages_on_the_stream, that_are_too_long_are_refused_before_they_are_read) {
    for (const auto type : {message_type::hello, message_type::alert}) {
        const auto length = max_body_bytes(type) + 1;
        const byte_vector header{static_cast<std::byte>(type), static_cast<std::byte>(length >> 8),
                                 static_cast<std::byte>(length)};
        const auto heard = responder_hears(header);
        EXPECT_EQ(heard.result.code(), errc::protocol);
        EXPECT_THAT(heard.result.text(), HasSubstr("length out of bounds"));
    }
    const auto length = max_body_bytes(message_type::choice) + 1;
    const byte_vector header{std::byte{2}, static_cast<std::byte>(length >> 8), static_cast<std::byte>(length)};
    EXPECT_THAT(initiator_hears(header).result.text(), HasSubstr("length out of bounds"));
}

TEST(messages_on_the_stream, of_another_type_are_refused) {
    for (const int type : {0, 2, 3, 4, 5, 254}) {
        const byte_vector header{static_cast<std::byte>(type), std::byte{0}, std::byte{0}};
        EXPECT_THAT(responder_hears(header).result.text(), HasSubstr("does not belong"));
    }
    // An initiator that hears itself.
    const auto heard = initiator_hears(framed(message_type::hello, usual_hello().encode()));
    EXPECT_EQ(heard.result.code(), errc::protocol);
}

// ---- Trust ----

peer_verifier refusing(const std::string& reason) {
    return [reason](const wherry::identity&) -> std::string { throw error(errc::auth_failed, reason); };
}

TEST(trust, an_initiator_that_is_not_authorised_hears_why) {
    side_setup responder;
    responder.verify = refusing("the key is not authorised; ask for: wherry authorize");
    const auto result = run_pair({}, responder);
    EXPECT_EQ(result.initiator.code(), errc::auth_failed);
    EXPECT_EQ(result.initiator.text(), "the receiver refused: the key is not authorised; ask for: wherry authorize");
    EXPECT_EQ(result.responder.code(), errc::auth_failed);
    EXPECT_EQ(result.responder.text(), "the key is not authorised; ask for: wherry authorize");
}

TEST(trust, a_reason_is_cut_and_made_plain) {
    side_setup responder;
    responder.verify = refusing("bell \a, escape \x1b[2J, umlaut \xC3\xBC " + std::string(600, 'x'));
    const auto text = run_pair({}, responder).initiator.text();
    EXPECT_THAT(text, HasSubstr("bell ?, escape ?[2J, umlaut ?? xxx"));
    EXPECT_EQ(text.size(), std::string("the receiver refused: ").size() + max_reason_bytes);
    responder.verify = refusing("");
    EXPECT_EQ(run_pair({}, responder).initiator.text(), "the receiver refused: it gave no reason");
}

TEST(trust, a_responder_that_is_not_trusted_does_not_learn_who_asks) {
    side_setup initiator, responder;
    bool asked = false;
    initiator.verify = refusing("the receiver's key has changed");
    responder.verify = [&](const wherry::identity&) { return asked = true, std::string(); };
    memory_link link({}, {}, true);
    const auto result = run_pair(link, initiator, responder);
    EXPECT_EQ(result.initiator.text(), "the receiver's key has changed");
    EXPECT_EQ(result.responder.code(), errc::auth_failed);
    EXPECT_EQ(result.responder.text(), "the peer does not trust the key of this side");
    EXPECT_FALSE(asked);
    const auto sent = link.forward->record();
    const auto hello_bytes = message_header_bytes + load_big_endian<std::uint16_t>(const_bytes(sent).subspan(1));
    EXPECT_EQ(sent.size(), hello_bytes + framed(message_type::alert, alert{}.encode()).size());
}

TEST(trust, the_initiators_identity_is_not_seen_on_the_wire) {
    memory_link link({}, {}, true);
    const side_setup setup;
    ASSERT_TRUE(run_pair(link, setup, setup).initiator.ok());
    const auto sent = link.forward->record();
    const auto key = setup.identity.public_part().blob().last(32);
    EXPECT_EQ(std::search(sent.begin(), sent.end(), key.begin(), key.end()), sent.end());
}

TEST(trust, an_error_of_another_kind_also_refuses) {
    side_setup responder;
    responder.verify = [](const wherry::identity&) -> std::string { throw error(errc::io, "cannot read the list"); };
    const auto result = run_pair({}, responder);
    EXPECT_EQ(result.initiator.code(), errc::auth_failed);
    EXPECT_EQ(result.responder.code(), errc::io);
}

TEST(trust, a_responder_that_cannot_decide_refuses_nobody) {
    side_setup responder;
    responder.verify = [](const wherry::identity&) -> std::string { throw error(errc::exhausted, "no descriptor"); };
    const auto result = run_pair({}, responder);
    EXPECT_EQ(result.initiator.code(), errc::disconnected);
    EXPECT_EQ(result.responder.code(), errc::exhausted);
}

TEST(trust, both_sides_must_have_the_same_prologue) {
    side_setup initiator, responder;
    responder.prologue = "another";
    const auto result = run_pair(initiator, responder);
    EXPECT_EQ(result.initiator.code(), errc::auth_failed);
    EXPECT_EQ(result.responder.code(), errc::protocol);  // by the initiator's alert
}

// ---- In the middle ----

// Takes message 2 of a real responder, and gives it on with another identity and that one's good signature.
TEST(misbinding, a_responder_does_not_take_a_session_that_was_meant_for_another) {
    const auto mallory = test_identity(ed25519, 1);
    const side_setup initiator, responder;
    memory_link left, right;  // initiator - mallory - responder
    test::side_result initiator_result, responder_result;
    std::thread a([&] { initiator_result = run_side(role::initiator, initiator, left.initiator); });
    std::thread b([&] { responder_result = run_side(role::responder, responder, right.responder); });

    const auto hello_message = read_message(*left.responder, message_type::hello);
    right.initiator->write_all(hello_message);
    auto stolen = choice::parse(body_of(read_message(*right.initiator, message_type::choice)));
    const auto blob = mallory.public_part().blob();
    stolen.identity.assign(blob.begin(), blob.end());
    auto message = framed(message_type::choice, stolen.encode());
    transcript said(as_bytes(initiator.prologue));
    said.update(hello_message).update(const_bytes(message).first(message.size() - stolen.signature_field_bytes()));
    stolen.signature = mallory.sign(signed_text(responder_label, said.hash()), Botan::system_rng());
    left.responder->write_all(framed(message_type::choice, stolen.encode()));

    // The initiator believes to speak with mallory, who cannot make the responder believe that it was meant.
    right.initiator->write_all(read_message(*left.responder, message_type::proof));
    b.join();
    left.responder.reset();
    a.join();
    EXPECT_EQ(responder_result.code(), errc::integrity);
    EXPECT_EQ(initiator_result.code(), errc::disconnected);
}

// ---- Values of a key exchange that give no secret ----

struct key_exchange_value {
    kem which;
    byte_vector bytes;
};

// The coordinates of small order, reduced and not: whatever they are multiplied with, the secret is zeros.
std::vector<byte_vector> points_of_small_order() {
    std::vector<byte_vector> points;
    for (const auto* coordinate : {"0000000000000000000000000000000000000000000000000000000000000000",
                                   "0100000000000000000000000000000000000000000000000000000000000000",
                                   "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                                   "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
                                   "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                   "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
                                   "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"}) {
        const auto octets = Botan::hex_decode(coordinate);
        const auto view = std::as_bytes(std::span(octets));
        points.emplace_back(view.begin(), view.end());
    }
    return points;
}

std::vector<key_exchange_value> wrong_public_keys() {
    std::vector<key_exchange_value> wrong;
    for (const auto& point : points_of_small_order()) wrong.push_back({kem::x25519, point});
    for (const auto length : {0, 31, 33}) wrong.push_back({kem::x25519, byte_vector(static_cast<std::size_t>(length))});
    const auto identity = test_identity(ed25519);
    if (!can_respond(kem::x25519_mlkem768, identity.public_part())) return wrong;
    const auto sound = make_kem_responder(kem::x25519_mlkem768, identity, Botan::system_rng())->public_key();
    auto without_secret = sound;  // of its half that is X25519
    std::fill(without_secret.end() - x25519_bytes, without_secret.end(), std::byte{0});
    auto too_large = sound;  // a first coefficient of 4095, where 3328 is the largest
    too_large[0] = too_large[1] = std::byte{0xff};
    for (const auto& bytes : {without_secret, too_large, byte_vector(sound.size() - 1), byte_vector(sound.size() + 1)})
        wrong.push_back({kem::x25519_mlkem768, bytes});
    return wrong;
}

std::vector<key_exchange_value> wrong_ciphertexts() {
    std::vector<key_exchange_value> wrong;
    for (const auto& point : points_of_small_order()) wrong.push_back({kem::x25519, point});
    for (const auto length : {0, 31, 33}) wrong.push_back({kem::x25519, byte_vector(static_cast<std::size_t>(length))});
    if (!can_respond(kem::x25519_mlkem768, test_identity(ed25519).public_part())) return wrong;
    for (const auto length :
         {0, 1119, 1120, 1121})  // the right one of zeros, whose half that is X25519 gives no secret
        wrong.push_back({kem::x25519_mlkem768, byte_vector(static_cast<std::size_t>(length))});
    return wrong;
}

alert last_alert_in(const byte_vector& sent) {
    const auto first = message_header_bytes + load_big_endian<std::uint16_t>(const_bytes(sent).subspan(1));
    return alert_in({sent.begin() + static_cast<std::ptrdiff_t>(first), sent.end()});
}

// What a real initiator makes of a responder that proves its identity, with this for its half of the key exchange.
heard initiator_meets(const key_exchange_value& value) {
    side_setup initiator;
    initiator.allowed.kems = {value.which};
    memory_link link({}, {}, true);
    test::side_result result;
    std::thread thread([&] { result = run_side(role::initiator, initiator, link.initiator); });
    const auto hello_message = read_message(*link.responder, message_type::hello);
    const auto key = test_identity(ed25519, 1);
    const auto blob = key.public_part().blob();
    choice made{protocol_version, value.which, aead::aes_256_gcm, {}, value.bytes, {blob.begin(), blob.end()}, {}};
    made.signature.resize(key.public_part().signature_bytes());
    const auto message = framed(message_type::choice, made.encode());
    transcript said(as_bytes(initiator.prologue));
    said.update(hello_message).update(const_bytes(message).first(message.size() - made.signature_field_bytes()));
    made.signature = key.sign(signed_text(responder_label, said.hash()), Botan::system_rng());
    link.responder->write_all(framed(message_type::choice, made.encode()));
    thread.join();
    return {std::move(result), link.forward->record()};
}

TEST(key_exchange, with_a_wrong_public_key_is_refused_by_the_initiator) {
    const auto identity = test_identity(ed25519).public_part();
    for (const auto& wrong : wrong_public_keys()) {
        const auto where = name_of(wrong.which) + ", " + std::to_string(wrong.bytes.size()) + " bytes";
        const auto failure =
            test::error_of([&] { encapsulate(wrong.which, wrong.bytes, identity, Botan::system_rng()); });
        EXPECT_EQ(failure.code(), errc::protocol) << where;
        EXPECT_THAT(failure.what(), HasSubstr("the peer sent a key exchange value")) << where;
        // It may also be longer than a message can carry.
        if (wrong.bytes.size() > max_kem_public_key_bytes) continue;
        const auto heard = initiator_meets(wrong);
        EXPECT_EQ(heard.result.code(), errc::protocol) << where;
        EXPECT_EQ(heard.result.text(), failure.what()) << where;
        EXPECT_EQ(last_alert_in(heard.sent).why, alert::reason::failed) << where;
    }
}

TEST(key_exchange, with_a_wrong_ciphertext_is_refused_by_the_responder) {
    for (const auto& wrong : wrong_ciphertexts()) {
        const auto where = name_of(wrong.which) + ", " + std::to_string(wrong.bytes.size()) + " bytes";
        side_setup responder;
        responder.allowed.kems = {wrong.which};
        auto offer = usual_hello();
        offer.kems = {wrong.which};
        auto said = framed(message_type::hello, offer.encode());
        const auto proof_message = framed(message_type::proof, proof{wrong.bytes, byte_vector(100)}.encode());
        said.insert(said.end(), proof_message.begin(), proof_message.end());
        const auto heard = responder_hears(said, responder);
        EXPECT_EQ(heard.result.code(), errc::protocol) << where;
        EXPECT_THAT(heard.result.text(), HasSubstr("the peer sent a key exchange value")) << where;
        EXPECT_EQ(last_alert_in(heard.sent).why, alert::reason::failed) << where;
    }
}

TEST(key_exchange, with_rsa_wants_an_rsa_identity_and_no_other_key) {
    auto& rng = Botan::system_rng();
    const auto wrong = [&](const_bytes kem_key, const keys::public_key& identity) {
        return test::error_of([&] { encapsulate(kem::rsa_oaep_sha256, kem_key, identity, rng); }).code();
    };
    EXPECT_EQ(wrong({}, test_identity(ed25519).public_part()), errc::protocol);
    EXPECT_EQ(wrong(byte_vector(1), test_identity(rsa).public_part()), errc::protocol);
    const auto identity = test_identity(rsa);
    const auto responder = make_kem_responder(kem::rsa_oaep_sha256, identity, rng);
    EXPECT_EQ(test::error_of([&] { responder->decapsulate(byte_vector(383), rng); }).code(), errc::protocol);
    EXPECT_EQ(responder->decapsulate(byte_vector(384), rng).size(), 32u);  // fails later, like every wrong secret
}

struct extents {
    std::uint64_t forward, backward;
};

extents undamaged(const side_setup& initiator, const side_setup& responder) {
    memory_link link;
    EXPECT_TRUE(run_pair(link, initiator, responder).initiator.ok());
    return {link.forward->written(), link.backward->written()};
}

// A wait that only a time limit ends happens where a length was damaged, and nowhere else.
constexpr std::chrono::milliseconds patience{200};

void expect_failure(const test::pair_result& result, const std::string& where) {
    EXPECT_FALSE(result.initiator.ok() && result.responder.ok()) << where;
    // An initiator that was not told "accepted" must not believe that it was; a responder's last word may get lost.
    EXPECT_FALSE(result.initiator.ok()) << where;
}

void flip_everywhere(const side_setup& initiator, const side_setup& responder, std::uint64_t step) {
    const auto [forward, backward] = undamaged(initiator, responder);
    for (std::uint64_t at = 0; at < forward; at += step) {
        memory_link link({at, std::byte{0x04}});
        expect_failure(run_pair(link, initiator, responder, patience), "forward, byte " + std::to_string(at));
    }
    for (std::uint64_t at = 0; at < backward; at += step) {
        memory_link link({}, {at, std::byte{0x04}});
        expect_failure(run_pair(link, initiator, responder, patience), "backward, byte " + std::to_string(at));
    }
}

void cut_everywhere(const side_setup& initiator, const side_setup& responder, std::uint64_t step) {
    const auto [forward, backward] = undamaged(initiator, responder);
    for (std::uint64_t at = 0; at < forward; at += step) {
        memory_link link({damage::never, {}, at});
        const auto result = run_pair(link, initiator, responder);
        expect_failure(result, "forward, cut at " + std::to_string(at));
        EXPECT_EQ(result.responder.code(), errc::disconnected) << at;
    }
    for (std::uint64_t at = 0; at < backward; at += step) {
        memory_link link({}, {damage::never, {}, at});
        const auto result = run_pair(link, initiator, responder);
        expect_failure(result, "backward, cut at " + std::to_string(at));
        EXPECT_EQ(result.initiator.code(), errc::disconnected) << at;
    }
}

TEST(damage_on_the_way, flipped_bits_of_any_byte_are_noticed_ed25519) { flip_everywhere({}, {}, 1); }

TEST(damage_on_the_way, flipped_bits_of_any_byte_are_noticed_chacha20) {
    side_setup setup;
    setup.allowed.aeads = {aead::chacha20_poly1305};
    flip_everywhere(setup, setup, 3);
}

TEST(damage_on_the_way, flipped_bits_are_noticed_rsa) {
    auto setup = with_identity(rsa);
    setup.allowed.kems = {kem::rsa_oaep_sha256};
    flip_everywhere(setup, setup, 23);
}

#if WHERRY_HYBRID_HAS_MLKEM
TEST(damage_on_the_way, flipped_bits_are_noticed_mlkem) {
    side_setup setup;
    setup.allowed.kems = {kem::x25519_mlkem768};
    flip_everywhere(setup, setup, 41);
}
#endif

TEST(damage_on_the_way, a_cut_anywhere_is_noticed_ed25519) { cut_everywhere({}, {}, 1); }

TEST(damage_on_the_way, a_cut_is_noticed_rsa) {
    auto setup = with_identity(rsa);
    setup.allowed.kems = {kem::rsa_oaep_sha256};
    cut_everywhere(setup, setup, 41);
}

// ---- Where the handshake ends ----

TEST(handshake_end, leaves_what_follows_unread) {
    memory_link link;
    const side_setup setup;
    hybrid_cipher initiating(setup.identity, setup.allowed, Botan::system_rng());
    std::unique_ptr<cipher_session> initiator;
    std::thread thread([&] {
        initiator = initiating.handshake(role::initiator, as_bytes(setup.prologue), *link.initiator, setup.verify);
        link.initiator->write_all(sealed(*initiator, "right behind 3"));  // before the answer is read
    });
    auto responder = run_side(role::responder, setup, link.responder);
    ASSERT_TRUE(responder.ok());
    link.responder->write_all(sealed(*responder.session, "right behind 4"));
    thread.join();
    initiator->finish_handshake(*link.initiator);

    byte_vector record(14 + 16);
    ASSERT_EQ(link.forward->unread(), record.size());
    ASSERT_EQ(link.responder->read_some(record), record.size());
    EXPECT_EQ(opened(*responder.session, record), "right behind 3");
    ASSERT_EQ(link.initiator->read_some(record), record.size());
    EXPECT_EQ(opened(*initiator, record), "right behind 4");
}

TEST(handshake_end, comes_before_the_initiator_opens_anything) {
    memory_link link;
    const side_setup setup;
    hybrid_cipher initiating(setup.identity, setup.allowed, Botan::system_rng());
    std::unique_ptr<cipher_session> initiator;
    std::thread thread([&] {
        initiator = initiating.handshake(role::initiator, as_bytes(setup.prologue), *link.initiator, setup.verify);
    });
    auto responder = run_side(role::responder, setup, link.responder);
    thread.join();
    auto record = sealed(*responder.session, "early");
    EXPECT_EQ(test::error_of([&] { initiator->open(record); }).code(), errc::internal);
}

TEST(handshake_end, sessions_have_keys_of_their_own) {
    const side_setup setup;
    const auto first = run_pair(setup, setup), second = run_pair(setup, setup);
    auto record = sealed(*first.initiator.session, "text");
    EXPECT_EQ(test::error_of([&] { second.responder.session->open(record); }).code(), errc::integrity);
    auto mirrored = sealed(*first.responder.session, "text");
    EXPECT_EQ(test::error_of([&] { first.responder.session->open(mirrored); }).code(), errc::integrity);
}

// ---- Many at once ----

TEST(one_cipher, does_many_handshakes_at_the_same_time) {
    const auto setup = with_identity(rsa);
    hybrid_cipher shared(setup.identity, setup.allowed, Botan::system_rng());
    std::vector<memory_link> links(4);
    std::vector<std::thread> running;
    const auto start = [&](role side, test::memory_stream& end) {
        running.emplace_back(
            [&, side] { EXPECT_NO_THROW(shared.handshake(side, {}, end, setup.verify)->finish_handshake(end)); });
    };
    for (auto& link : links) {
        start(role::initiator, *link.initiator);
        start(role::responder, *link.responder);
    }
    for (auto& thread : running) thread.join();
}

}  // namespace
}  // namespace wherry::hybrid
