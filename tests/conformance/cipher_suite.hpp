#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "error_of.hpp"
#include "loaded_plugin.hpp"
#include "memory_stream.hpp"
#include "test_bytes.hpp"
#include "wherry/cipher.hpp"
#include "wherry/limits.hpp"

// What every cipher must do (core/include/wherry/cipher.hpp). One that says it is insecure is spared the tests of what
// it does not promise.
namespace wherry::conformance {

struct cipher_subject {
    std::string name;
    // Configured instances, with identities of their own where the cipher has any: first the initiator's.
    std::function<std::pair<std::unique_ptr<cipher>, std::unique_ptr<cipher>>()> make;
    // Each side proves who it is.
    bool has_identities = true;
};

inline void PrintTo(const cipher_subject& subject, std::ostream* out) { *out << subject.name; }

class cipher_conformance : public testing::TestWithParam<cipher_subject> {
protected:
    struct sessions {
        std::unique_ptr<cipher_session> initiator, responder;
    };
    struct outcome {
        std::unique_ptr<cipher_session> session;
        std::optional<error> failure;
    };
    struct outcomes {
        outcome initiator, responder;
    };

    void SetUp() override { std::tie(initiator_, responder_) = GetParam().make(); }

    bool is_insecure() const { return initiator_->is_insecure(); }

    static std::string welcome(const identity&) { return "a friend"; }

    // A whole handshake, as a host runs it: a side that fails closes its end.
    static outcome run(cipher& by, role side, std::string_view prologue, std::unique_ptr<test::memory_stream>& link,
                       const peer_verifier& verify) {
        outcome result;
        link->set_read_timeout(std::chrono::seconds(20));
        try {
            result.session = by.handshake(side, as_bytes(prologue), *link, verify);
            result.session->finish_handshake(*link);
        } catch (const error& e) {
            result.session.reset();
            result.failure = e;
            link.reset();
        }
        return result;
    }

    outcomes run_both(test::memory_link& link, std::string_view initiator_prologue = "prologue",
                      std::string_view responder_prologue = "prologue", const peer_verifier& initiator_verify = welcome,
                      const peer_verifier& responder_verify = welcome) {
        outcomes both;
        std::thread other([&] {
            both.responder = run(*responder_, role::responder, responder_prologue, link.responder, responder_verify);
        });
        both.initiator = run(*initiator_, role::initiator, initiator_prologue, link.initiator, initiator_verify);
        other.join();
        return both;
    }

    sessions agree() {
        test::memory_link link;
        auto both = run_both(link);
        if (both.initiator.failure) throw *both.initiator.failure;
        if (both.responder.failure) throw *both.responder.failure;
        return {std::move(both.initiator.session), std::move(both.responder.session)};
    }

    static std::vector<std::byte> seal(cipher_session& by, const_bytes plain) {
        std::vector<std::byte> record(plain.begin(), plain.end());
        record.resize(plain.size() + by.overhead());
        by.seal(record, plain.size());
        return record;
    }

    static std::vector<std::byte> open(cipher_session& by, std::vector<std::byte> record) {
        const auto plain = by.open(record);
        EXPECT_EQ(plain.data(), record.data()) << "the plaintext does not begin where the record did";
        return {plain.begin(), plain.end()};
    }

    static bool contains(const_bytes all, const_bytes part) {
        return std::search(all.begin(), all.end(), part.begin(), part.end()) != all.end();
    }

    std::unique_ptr<cipher> initiator_, responder_;
};

// ---- Handshake ----

TEST_P(cipher_conformance, both_sides_agree) {
    const auto both = agree();
    EXPECT_EQ(both.initiator->overhead(), both.responder->overhead());
    EXPECT_LE(both.initiator->overhead(), std::size_t{1024});
    EXPECT_FALSE(both.initiator->describe().empty());
    EXPECT_EQ(both.initiator->describe(), both.responder->describe());
}

TEST_P(cipher_conformance, sides_learn_who_the_other_is) {
    if (!GetParam().has_identities) GTEST_SKIP() << "this cipher has no identities";
    test::memory_link link;
    identity seen_by_initiator, seen_by_responder;
    const auto both = run_both(
        link, "p", "p",
        [&](const identity& peer) {
            seen_by_initiator = peer;
            return "the receiver";
        },
        [&](const identity& peer) {
            seen_by_responder = peer;
            return "the sender";
        });
    ASSERT_TRUE(both.initiator.session && both.responder.session);
    EXPECT_EQ(both.initiator.session->peer().label, "the receiver");
    EXPECT_EQ(both.responder.session->peer().label, "the sender");
    EXPECT_EQ(both.initiator.session->peer().public_key, seen_by_initiator.public_key);
    EXPECT_EQ(both.responder.session->peer().public_key, seen_by_responder.public_key);
    for (const auto& peer : {seen_by_initiator, seen_by_responder}) {
        EXPECT_THAT(peer.algorithm, testing::AnyOf("ssh-ed25519", "ssh-rsa"));
        EXPECT_THAT(peer.public_key, testing::StartsWith(peer.algorithm + " AAAA"));
        EXPECT_THAT(peer.fingerprint, testing::StartsWith("SHA256:"));
    }
    EXPECT_NE(seen_by_initiator.fingerprint, seen_by_responder.fingerprint);
}

TEST_P(cipher_conformance, reads_nothing_beyond_the_handshake) {
    test::memory_link link;
    const auto both = run_both(link);
    ASSERT_TRUE(both.initiator.session && both.responder.session);
    EXPECT_EQ(link.forward->unread(), 0u);
    EXPECT_EQ(link.backward->unread(), 0u);

    // The initiator may send right behind its last word: what follows must not be taken for the handshake's.
    test::memory_link eager;
    auto initiating = std::async(std::launch::async, [&] {
        auto session = initiator_->handshake(role::initiator, as_bytes("p"), *eager.initiator, welcome);
        eager.initiator->write_all(as_bytes("early data"));
        session->finish_handshake(*eager.initiator);
    });
    auto session = responder_->handshake(role::responder, as_bytes("p"), *eager.responder, welcome);
    session->finish_handshake(*eager.responder);
    initiating.get();
    std::string early(10, ' ');
    for (std::size_t at = 0; at < early.size();)
        at += eager.responder->read_some({reinterpret_cast<std::byte*>(early.data()) + at, early.size() - at});
    EXPECT_EQ(early, "early data");
}

TEST_P(cipher_conformance, an_instance_serves_many_handshakes_at_once) {
    std::vector<std::future<bool>> running;
    for (int i = 0; i < 8; ++i)
        running.push_back(std::async(std::launch::async, [&] {
            const auto both = agree();
            const auto plain = noise(1000);
            return open(*both.responder, seal(*both.initiator, plain)) == plain;
        }));
    for (auto& one : running) EXPECT_TRUE(one.get());
}

TEST_P(cipher_conformance, both_sides_must_have_said_the_same_before) {
    if (is_insecure()) GTEST_SKIP() << "this cipher protects nothing";
    test::memory_link link;
    const auto both = run_both(link, "one thing", "another");
    EXPECT_FALSE(both.initiator.session && both.responder.session);
}

TEST_P(cipher_conformance, who_is_not_welcome_is_told_why) {
    if (!GetParam().has_identities) GTEST_SKIP() << "this cipher has no identities";
    const auto refuse = [](const identity&) -> std::string { throw error(errc::auth_failed, "nobody knows this key"); };
    {
        test::memory_link link;
        const auto both = run_both(link, "p", "p", welcome, refuse);
        ASSERT_TRUE(both.responder.failure && both.initiator.failure);
        EXPECT_EQ(both.responder.failure->code(), errc::auth_failed);
        EXPECT_EQ(both.initiator.failure->code(), errc::auth_failed);
        EXPECT_THAT(both.initiator.failure->what(), testing::HasSubstr("nobody knows this key"));
        expect_presentable(*both.initiator.failure);
    }
    {
        test::memory_link link;
        const auto both = run_both(link, "p", "p", refuse, welcome);
        ASSERT_TRUE(both.initiator.failure && both.responder.failure);
        EXPECT_EQ(both.initiator.failure->code(), errc::auth_failed);
    }
}

TEST_P(cipher_conformance, a_handshake_that_is_cut_fails_on_both_sides) {
    std::uint64_t forth = 0, back = 0;
    {
        test::memory_link link;
        const auto whole = run_both(link);
        ASSERT_TRUE(whole.initiator.session && whole.responder.session);
        forth = link.forward->written();
        back = link.backward->written();
    }
    for (const auto& [total, is_forward] : {std::pair{forth, true}, std::pair{back, false}}) {
        for (std::uint64_t at = 0; at < total; at += 1 + total / 20) {
            test::damage cut;
            cut.cut_at = at;
            test::memory_link link(is_forward ? cut : test::damage{}, is_forward ? test::damage{} : cut);
            const auto both = run_both(link);
            EXPECT_FALSE(both.initiator.session && both.responder.session) << "cut at " << at;
            for (const auto* const side : {&both.initiator, &both.responder})
                if (side->failure) expect_presentable(*side->failure);
        }
    }
}

TEST_P(cipher_conformance, a_handshake_that_was_altered_fails) {
    if (is_insecure()) GTEST_SKIP() << "this cipher protects nothing";
    std::uint64_t forth = 0, back = 0;
    {
        test::memory_link link;
        run_both(link);
        forth = link.forward->written();
        back = link.backward->written();
    }
    for (const auto& [total, is_forward] : {std::pair{forth, true}, std::pair{back, false}}) {
        for (std::uint64_t at = 0; at < total; at += 1 + total / 40) {
            test::damage flip;
            flip.flip_at = at;
            test::memory_link link(is_forward ? flip : test::damage{}, is_forward ? test::damage{} : flip);
            link.initiator->set_read_timeout(std::chrono::seconds(2));
            const auto both = run_both(link);
            EXPECT_FALSE(both.initiator.session && both.responder.session) << "flipped at " << at;
        }
    }
}

// ---- Records ----

TEST_P(cipher_conformance, records_of_any_size_pass_in_both_directions) {
    const auto both = agree();
    const auto overhead = both.initiator->overhead();
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{16}, std::size_t{17},
                                   std::size_t{65'537}, limits::max_record_bytes - overhead}) {
        const auto plain = noise(size, size);
        EXPECT_TRUE(open(*both.responder, seal(*both.initiator, plain)) == plain) << size;
        EXPECT_TRUE(open(*both.initiator, seal(*both.responder, plain)) == plain) << size;
        EXPECT_EQ(both.initiator->overhead(), overhead);
    }
}

TEST_P(cipher_conformance, one_thread_seals_while_another_opens) {
    const auto both = agree();
    constexpr int count = 300;
    std::vector<std::vector<std::byte>> forth;
    for (int i = 0; i < count; ++i) forth.push_back(seal(*both.initiator, noise(999, static_cast<std::uint64_t>(i))));
    auto opening = std::async(std::launch::async, [&] {
        for (int i = 0; i < count; ++i)
            if (open(*both.responder, forth[static_cast<std::size_t>(i)]) != noise(999, static_cast<std::uint64_t>(i)))
                return false;
        return true;
    });
    std::vector<std::vector<std::byte>> back;
    for (int i = 0; i < count; ++i) back.push_back(seal(*both.responder, noise(500, static_cast<std::uint64_t>(i))));
    EXPECT_TRUE(opening.get());
    for (int i = 0; i < count; ++i)
        EXPECT_TRUE(open(*both.initiator, back[static_cast<std::size_t>(i)]) ==
                    noise(500, static_cast<std::uint64_t>(i)));
}

class cipher_protection : public cipher_conformance {
protected:
    void SetUp() override {
        cipher_conformance::SetUp();
        if (is_insecure()) GTEST_SKIP() << "this cipher protects nothing";
    }

    // A session that failed stays failed, even for a record that would have been right.
    static void expect_final(cipher_session& opener, const std::vector<std::byte>& right) {
        EXPECT_EQ(test::error_of([&] { open(opener, right); }).code(), errc::integrity);
    }
};

TEST_P(cipher_protection, nothing_of_the_plaintext_shows) {
    const auto both = agree();
    const auto plain = noise(4000);
    const auto record = seal(*both.initiator, plain);
    for (std::size_t at = 0; at + 16 <= plain.size(); at += 16)
        ASSERT_FALSE(contains(record, const_bytes(plain).subspan(at, 16)));
    EXPECT_NE(seal(*both.initiator, plain), record) << "the same plaintext twice is the same record twice";
}

TEST_P(cipher_protection, sessions_differ) {
    const auto one = agree(), other = agree();
    const auto plain = noise(100);
    const auto record = seal(*one.initiator, plain);
    EXPECT_NE(seal(*other.initiator, plain), record);
    EXPECT_EQ(test::error_of([&] { open(*other.responder, record); }).code(), errc::integrity);
}

TEST_P(cipher_protection, directions_differ) {
    const auto both = agree();
    const auto record = seal(*both.initiator, noise(100));
    EXPECT_EQ(test::error_of([&] { open(*both.initiator, record); }).code(), errc::integrity);
}

TEST_P(cipher_protection, an_altered_record_is_refused_for_good_and_shows_nothing) {
    const auto plain = noise(64);
    for (std::size_t at = 0;; at += 5) {
        const auto both = agree();
        auto record = seal(*both.initiator, plain);
        const auto next = seal(*both.initiator, plain);
        if (at >= record.size()) break;
        record[at] ^= std::byte{0x10};
        EXPECT_EQ(test::error_of([&] { both.responder->open(record); }).code(), errc::integrity) << "byte " << at;
        for (std::size_t i = 0; i + 8 <= plain.size(); i += 8)
            EXPECT_FALSE(contains(record, const_bytes(plain).subspan(i, 8))) << "plaintext was left in the buffer";
        expect_final(*both.responder, next);
    }
}

TEST_P(cipher_protection, a_record_of_another_length_is_refused) {
    const auto plain = noise(64);
    const auto overhead = agree().initiator->overhead();
    for (const std::size_t length : {std::size_t{0}, std::size_t{1}, overhead - 1, overhead, overhead + 63}) {
        const auto both = agree();
        auto record = seal(*both.initiator, plain);
        record.resize(length);
        EXPECT_EQ(test::error_of([&] { open(*both.responder, record); }).code(), errc::integrity) << length;
    }
    const auto both = agree();
    auto record = seal(*both.initiator, plain);
    record.push_back(std::byte{0});
    EXPECT_EQ(test::error_of([&] { open(*both.responder, record); }).code(), errc::integrity);
}

TEST_P(cipher_protection, a_record_comes_once_and_in_its_turn) {
    const auto plain = noise(64);
    {
        const auto both = agree();
        const auto first = seal(*both.initiator, plain);
        const auto second = seal(*both.initiator, plain);
        EXPECT_EQ(test::error_of([&] { open(*both.responder, second); }).code(), errc::integrity) << "left one out";
        expect_final(*both.responder, first);
    }
    {
        const auto both = agree();
        const auto first = seal(*both.initiator, plain);
        const auto second = seal(*both.initiator, plain);
        EXPECT_TRUE(open(*both.responder, first) == plain);
        EXPECT_EQ(test::error_of([&] { open(*both.responder, first); }).code(), errc::integrity) << "came twice";
        expect_final(*both.responder, second);
    }
}

}  // namespace wherry::conformance
