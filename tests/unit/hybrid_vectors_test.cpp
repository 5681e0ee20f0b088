// SPDX-License-Identifier: BSD-2-Clause
// The connections in tests/data/hybrid-v1, made again and compared; and read as somebody would who has the responder's
// secrets. With WHERRY_WRITE_VECTORS=1 in the environment they are written instead. A build without ML-KEM reads those
// with ML-KEM as far as it can: it takes that half of the secret from the vector.
#include <botan/hex.h>
#include <botan/version.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "handshake.hpp"
#include "hybrid_pair.hpp"
#include "kem.hpp"
#if WHERRY_TEST_OPENSSL_MLKEM
#include "openssl_key.hpp"
#endif
#include "records.hpp"
#include "seeded_rng.hpp"
#include "wire.hpp"

namespace wherry::hybrid {
namespace {

using json = nlohmann::ordered_json;
using bytes = std::vector<std::byte>;

std::string hex(const_bytes value) {
    constexpr bool upper_case = true;
    return Botan::hex_encode(octets(value), value.size(), !upper_case);
}
std::string hex(const secret_bytes& value) { return hex(std::as_bytes(std::span(value))); }

bytes from_hex(const std::string& text) {
    const auto octets = Botan::hex_decode(text);
    const auto view = std::as_bytes(std::span(octets));
    return {view.begin(), view.end()};
}

struct vector_case {
    std::string name;
    std::string about;
    std::string initiator_key, responder_key;  // files in tests/data/keys
    policy offered;
    std::string prologue;
    std::string refusal;  // the responder's reason; empty: it accepts
};

const std::vector<vector_case>& cases() {
    static const std::vector<vector_case> all{
        {"ed25519-x25519-aes-256-gcm",
         "the default",
         "ed25519-a",
         "ed25519-b",
         {{kem::x25519}, {aead::aes_256_gcm}},
         "wherry prologue",
         ""},
        {"ed25519-x25519-chacha20-poly1305",
         "numbers that nobody knows are passed over; an empty prologue",
         "ed25519-a",
         "ed25519-b",
         {{static_cast<kem>(0xfffe), kem::x25519},
          {static_cast<aead>(0xfffd), aead::chacha20_poly1305, aead::aes_256_gcm}},
         "",
         ""},
        {"rsa-oaep-aes-256-gcm",
         "both identities RSA, the secret wrapped to the responder's",
         "rsa3072-a",
         "rsa3072-b",
         {{kem::rsa_oaep_sha256, kem::x25519}, {aead::aes_256_gcm, aead::chacha20_poly1305}},
         "wherry prologue",
         ""},
        {"mixed-x25519-chacha20-poly1305",
         "an Ed25519 initiator and an RSA responder",
         "ed25519-a",
         "rsa3072-b",
         {{kem::x25519, kem::rsa_oaep_sha256}, {aead::chacha20_poly1305}},
         "wherry prologue",
         ""},
        {"ed25519-x25519-refused",
         "the responder refuses the initiator",
         "ed25519-b",
         "ed25519-a",
         {{kem::x25519}, {aead::aes_256_gcm}},
         "wherry prologue",
         "this key is not authorised"},
        {"ed25519-x25519-mlkem768-aes-256-gcm",
         "the default where both sides have ML-KEM",
         "ed25519-a",
         "ed25519-b",
         {{kem::x25519_mlkem768, kem::x25519}, {aead::aes_256_gcm, aead::chacha20_poly1305}},
         "wherry prologue",
         ""},
        {"ed25519-x25519-mlkem768-chacha20-poly1305",
         "ML-KEM and nothing else is offered; the responder refuses the initiator",
         "ed25519-b",
         "ed25519-a",
         {{kem::x25519_mlkem768}, {aead::chacha20_poly1305}},
         "",
         "this key is not authorised"},
    };
    return all;
}

bool wants_mlkem(const vector_case& what) { return what.offered.kems.front() == kem::x25519_mlkem768; }

keys::private_key key_named(const std::string& name) {
    return keys::private_key::from_pem(test::test_data("keys/" + name + ".pem"), name, {});
}

// ---- Reading a connection ----

std::vector<bytes> messages_in(const_bytes sent) {
    std::vector<bytes> messages;
    while (!sent.empty()) {
        const auto size = message_header_bytes + load_big_endian<std::uint16_t>(sent.subspan(1));
        messages.emplace_back(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(size));
        sent = sent.subspan(size);
    }
    return messages;
}

constexpr std::size_t mlkem_seed_bytes = 64;

// `again`: a random number generator whose first bytes are the responder's ephemeral keys.
secret_bytes mlkem_secret_of(const json& vector, const_bytes ciphertext, test::seeded_rng& again) {
#if WHERRY_HYBRID_HAS_MLKEM
    static_cast<void>(vector);
    return make_mlkem_responder(again)->decapsulate(ciphertext, again);
#else
    // The half that this build cannot find is taken from the vector.
    again.random_vec(mlkem_seed_bytes);
    const auto known = from_hex(vector["values"]["kem_secret"]);
    secret_bytes secret(octets(known), octets(known) + mlkem_secret_bytes);
    const auto curve_half = x25519_key(again).agree(ciphertext.subspan(mlkem_ciphertext_bytes), again);
    secret.insert(secret.end(), curve_half.begin(), curve_half.end());
    return secret;
#endif
}

secret_bytes kem_secret_of(const json& vector, const choice& chosen, const proof& received) {
    test::seeded_rng again(vector["responder_seed"]);
    switch (chosen.chosen_kem) {
        case kem::x25519: return x25519_key(again).agree(received.kem_ciphertext, again);
        case kem::rsa_oaep_sha256:
            return key_named(vector["responder_key"]).oaep_decrypt(received.kem_ciphertext, 32, again);
        case kem::x25519_mlkem768: return mlkem_secret_of(vector, received.kem_ciphertext, again);
    }
    throw error(errc::internal, "a vector has a key exchange that is not known");
}

bytes field(const_bytes value) {
    byte_writer out;
    return out.sized<std::uint16_t>(value).take();
}

struct schedule_values {
    json shown;
    aead algorithm;
    key_schedule::session_secrets secrets;
};

// Every value of the key schedule, from the messages and the responder's secrets alone.
schedule_values schedule_of(const json& vector, const std::vector<bytes>& m) {
    const auto chosen = choice::parse(body_of(m[1]));
    const auto received = proof::parse(body_of(m[2]));
    json shown;
    transcript said(as_bytes(vector["prologue"].get_ref<const std::string&>()));
    said.update(m[0]);
    const auto unsigned_bytes = m[1].size() - chosen.signature_field_bytes();
    said.update(const_bytes(m[1]).first(unsigned_bytes));
    shown["T2"] = hex(said.hash());
    said.update(const_bytes(m[1]).subspan(unsigned_bytes));
    said.update(const_bytes(m[2]).first(m[2].size() - received.sealed_credentials.size()));
    shown["T3a"] = hex(said.hash());
    const auto secret = kem_secret_of(vector, chosen, received);
    shown["kem_secret"] = hex(secret);
    const key_schedule schedule(secret, said.hash());
    shown["extracted"] = hex(hkdf_extract(said.hash(), secret));
    shown["credentials"] = hex(schedule.credentials_key());
    const auto plain =
        credentials::parse(open_once(chosen.chosen_aead, schedule.credentials_key(), received.sealed_credentials));
    said.update(field(plain.identity));
    shown["T3b"] = hex(said.hash());
    said.update(field(plain.signature)).update(received.sealed_credentials);
    shown["T3c"] = hex(said.hash());
    auto secrets = schedule.finish(said.hash());
    shown["answer"] = hex(secrets.answer_key);
    shown["chain_I[0]"] = hex(secrets.initiator_chain);
    shown["chain_R[0]"] = hex(secrets.responder_chain);
    return {std::move(shown), chosen.chosen_aead, std::move(secrets)};
}

// ---- Making a connection ----

const std::vector<std::string>& record_texts() {
    static const std::vector<std::string> texts{"", "wherry", std::string(100, 'w')};
    return texts;
}

std::string sealed(record_chain& sealer, std::string_view text) {
    bytes record(text.size() + tag_bytes);
    std::copy_n(as_bytes(text).begin(), text.size(), record.begin());
    sealer.seal(record, text.size());
    return hex(record);
}

constexpr std::uint64_t records_under_a_key = 65536;

// The first records, and the first one under the second key.
json records_of(aead algorithm, const secret_bytes& chain, provider by) {
    record_chain sealer(algorithm, record_chain::direction::sealing, chain, {}, parse_provider(name_of(by)));
    json rows = json::array();
    for (const auto& text : record_texts())
        rows.push_back({{"number", rows.size()}, {"plain", hex(as_bytes(text))}, {"record", sealed(sealer, text)}});
    for (std::uint64_t i = rows.size(); i < records_under_a_key; ++i) sealed(sealer, "");
    const std::string text = "under the next key";
    rows.push_back({{"number", records_under_a_key}, {"plain", hex(as_bytes(text))}, {"record", sealed(sealer, text)}});
    return rows;
}

// The same whoever seals them.
json records_of(aead algorithm, const secret_bytes& chain) {
    const auto rows = records_of(algorithm, chain, provider::botan);
    for (const auto by : providers()) EXPECT_EQ(records_of(algorithm, chain, by), rows) << name_of(by);
    return rows;
}

json vector_of(const vector_case& what) {
    test::seeded_rng initiator_rng(what.name + " initiator"), responder_rng(what.name + " responder");
    test::side_setup initiator, responder;
    initiator.identity = key_named(what.initiator_key);
    initiator.allowed = what.offered;
    initiator.rng = &initiator_rng;
    responder.identity = key_named(what.responder_key);
    responder.rng = &responder_rng;
    responder.allowed.kems.push_back(kem::x25519_mlkem768);
    initiator.prologue = responder.prologue = what.prologue;
    if (!what.refusal.empty())
        responder.verify = [&](const wherry::identity&) -> std::string {
            throw error(errc::auth_failed, what.refusal);
        };
    test::memory_link link({}, {}, true);
    const auto result = run_pair(link, initiator, responder);
    EXPECT_EQ(result.initiator.ok(), what.refusal.empty()) << result.initiator.text();

    const auto from_initiator = messages_in(link.forward->record());
    const auto from_responder = messages_in(link.backward->record());
    const std::vector<bytes> messages{from_initiator.at(0), from_responder.at(0), from_initiator.at(1),
                                      from_responder.at(1)};
    json vector{{"about", what.about},
                {"prologue", what.prologue},
                {"initiator_key", what.initiator_key},
                {"responder_key", what.responder_key},
                {"initiator_seed", what.name + " initiator"},
                {"responder_seed", what.name + " responder"}};
    for (std::size_t i = 0; i < messages.size(); ++i) vector["message_" + std::to_string(i + 1)] = hex(messages[i]);
    const auto schedule = schedule_of(vector, messages);
    const auto chosen = choice::parse(body_of(messages[1])).chosen_kem;
    test::seeded_rng again(vector["responder_seed"]);
    if (chosen == kem::x25519_mlkem768) vector["responder_mlkem768_seed"] = hex(again.random_vec(mlkem_seed_bytes));
    if (chosen != kem::rsa_oaep_sha256) vector["responder_x25519_secret"] = hex(again.random_vec(x25519_bytes));
    vector["values"] = schedule.shown;
    vector["verdict"] = what.refusal.empty() ? "accepted" : "refused";
    vector["reason"] = what.refusal;
    vector["records_from_initiator"] = records_of(schedule.algorithm, schedule.secrets.initiator_chain);
    vector["records_from_responder"] = records_of(schedule.algorithm, schedule.secrets.responder_chain);
    return vector;
}

json stored(const std::string& name) { return json::parse(test::test_data("hybrid-v1/" + name + ".json")); }

class vectors : public ::testing::TestWithParam<vector_case> {};

INSTANTIATE_TEST_SUITE_P(hybrid_v1, vectors, ::testing::ValuesIn(cases()), [](const auto& info) {
    auto name = info.param.name;
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

TEST_P(vectors, are_made_again_byte_for_byte) {
    if (wants_mlkem(GetParam()) && !WHERRY_HYBRID_HAS_MLKEM)
        GTEST_SKIP() << "this Botan has no ML-KEM; reading is tested";
    const bool has_rsa = (GetParam().initiator_key + GetParam().responder_key).find("rsa") != std::string::npos;
    if (has_rsa && BOTAN_VERSION_MAJOR != 2)
        GTEST_SKIP() << "the order in which RSA takes its random bytes is the library's own; reading is tested";
    const auto made = vector_of(GetParam());
    const auto path = test::test_data_path("hybrid-v1/" + GetParam().name + ".json");
    if (std::getenv("WHERRY_WRITE_VECTORS")) {
        std::ofstream(path) << made.dump(2) << '\n';
        GTEST_SKIP() << "written";
    }
    EXPECT_EQ(made, stored(GetParam().name));
}

TEST_P(vectors, can_be_read_with_the_responders_secrets) {
    const auto vector = stored(GetParam().name);
    std::vector<bytes> messages;
    for (int i = 1; i <= 4; ++i) messages.push_back(from_hex(vector["message_" + std::to_string(i)]));
    const auto schedule = schedule_of(vector, messages);
    EXPECT_EQ(schedule.shown, vector["values"]);

    const auto verdict =
        answer::parse(open_once(schedule.algorithm, schedule.secrets.answer_key, body_of(messages[3])));
    EXPECT_EQ(verdict.says == answer::verdict::accepted, vector["verdict"] == "accepted");
    EXPECT_EQ(verdict.reason, vector["reason"].get<std::string>());

    const std::map<std::string, const secret_bytes*> chains{
        {"records_from_initiator", &schedule.secrets.initiator_chain},
        {"records_from_responder", &schedule.secrets.responder_chain}};
    for (const auto& [name, chain] : chains) {
        for (const auto by : providers()) {
            record_chain opener(schedule.algorithm, record_chain::direction::opening, *chain, {},
                                parse_provider(name_of(by)));
            for (std::size_t i = 0; i < record_texts().size(); ++i) {
                auto record = from_hex(vector[name][i]["record"]);
                EXPECT_EQ(hex(opener.open(record)), vector[name][i]["plain"].get<std::string>()) << name_of(by);
            }
        }
    }
}

#if WHERRY_TEST_OPENSSL_MLKEM
TEST(mlkem_vectors, have_the_secret_that_openssl_finds) {
    for (const auto& what : cases()) {
        if (!wants_mlkem(what)) continue;
        const auto vector = stored(what.name);
        const test::openssl_key lattice("ML-KEM-768", OSSL_PKEY_PARAM_ML_KEM_SEED,
                                        from_hex(vector["responder_mlkem768_seed"]));
        const test::openssl_key curve("X25519", OSSL_PKEY_PARAM_PRIV_KEY, from_hex(vector["responder_x25519_secret"]));
        const auto offered = choice::parse(body_of(from_hex(vector["message_2"]))).kem_public_key;
        EXPECT_EQ(hex(lattice.public_key()) + hex(curve.public_key()), hex(offered));

        const auto received = proof::parse(body_of(from_hex(vector["message_3"]))).kem_ciphertext;
        const const_bytes ciphertext(received);
        const test::openssl_key peer("X25519", OSSL_PKEY_PARAM_PUB_KEY, ciphertext.subspan(mlkem_ciphertext_bytes));
        EXPECT_EQ(hex(lattice.decapsulate(ciphertext.first(mlkem_ciphertext_bytes))) + hex(curve.agree(peer)),
                  vector["values"]["kem_secret"].get<std::string>());
    }
}
#endif

}  // namespace
}  // namespace wherry::hybrid
