// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/trust.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <optional>
#include <thread>
#include <vector>

#include "temporary_folder.hpp"
#include "wherry/error.hpp"
#include "wherry/keys/private_key.hpp"

namespace wherry {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

identity new_identity() { return keys::private_key::generate(keys::key_type::ed25519).public_part().identity(); }

class trust_test : public testing::Test {
protected:
    sender_gate gate(keyless_peers keyless = keyless_peers::refuse) {
        return sender_gate(keys::authorized_keys(home_ / "authorized_keys"), keyless,
                           {[this](const identity& who) { refused_ += who.fingerprint; },
                            [this](const std::string& why) { cannot_check_ += why; },
                            [this](const std::string& text) { skipped_lines_.push_back(text); }});
    }
    receiver_check check(first_contact policy = first_contact::report) {
        return receiver_check(keys::known_hosts(home_ / "known_hosts"), "tcp://host:9417", keyless_peers::refuse,
                              policy, skipped_);
    }
    static keys::public_key key_of(const identity& who) { return keys::parse_public_key_line(who.public_key).key; }

    const test::temporary_folder made_;
    const fs::path home_ = made_.path();
    std::string refused_, cannot_check_;
    std::vector<std::string> skipped_lines_;
    skipped_lines skipped_{[this](const std::string& text) { skipped_lines_.push_back(text); }};
};

template <class Call>
void expect_auth_failure(Call call) {
    try {
        call();
        ADD_FAILURE() << "was let in";
    } catch (const error& e) {
        EXPECT_EQ(e.code(), errc::auth_failed) << e.what();
    }
}

TEST_F(trust_test, gate_lets_authorised_keys_in_by_their_label) {
    const auto known = new_identity();
    keys::authorized_keys(home_ / "authorized_keys").add(key_of(known), "laptop");
    EXPECT_EQ(gate().verify(known), "laptop");
    EXPECT_EQ(refused_, "");
}

TEST_F(trust_test, gate_reads_the_file_each_time) {
    const auto late = new_identity();
    const auto one = gate();
    expect_auth_failure([&] { one.verify(late); });
    EXPECT_EQ(refused_, late.fingerprint);
    const keys::authorized_keys file(home_ / "authorized_keys");
    file.add(key_of(late), "late");
    EXPECT_EQ(one.verify(late), "late");
    file.remove(key_of(late));
    expect_auth_failure([&] { one.verify(late); });
}

// Makes each reading of the keys fail while it lives, because others may write to their folder. The file stays the
// same.
class unusable_folder {
public:
    explicit unusable_folder(fs::path folder) : folder_(std::move(folder)) {
        fs::permissions(folder_, fs::perms::others_write, fs::perm_options::add);
    }
    ~unusable_folder() { fs::permissions(folder_, fs::perms::others_write, fs::perm_options::remove); }
    unusable_folder(const unusable_folder&) = delete;
    unusable_folder& operator=(const unusable_folder&) = delete;

private:
    const fs::path folder_;
};

bool lets_in(const sender_gate& gate, const identity& who) {
    try {
        gate.verify(who);
        return true;
    } catch (const error&) {
        return false;
    }
}

// Waits until the file's last change is so long ago that the gate does not read the file again.
void wait_until_the_reading_is_kept(const sender_gate& gate, const identity& known, const fs::path& home) {
    for (;;) {
        gate.verify(known);
        const unusable_folder unusable(home);
        if (lets_in(gate, known)) return;
        std::this_thread::yield();
    }
}

TEST_F(trust_test, gate_reads_a_file_that_stays_as_it_is_once) {
    const auto known = new_identity(), stranger = new_identity();
    const keys::authorized_keys file(home_ / "authorized_keys");
    file.add(key_of(known), "laptop");
    const auto one = gate();
    wait_until_the_reading_is_kept(one, known, home_);
    {
        const unusable_folder unusable(home_);
        EXPECT_EQ(one.verify(known), "laptop");
        refused_.clear();
        EXPECT_FALSE(lets_in(one, stranger));
        EXPECT_EQ(refused_, stranger.fingerprint);
    }
    file.remove(key_of(known));
    EXPECT_FALSE(lets_in(one, known));
    file.add(key_of(stranger));
    EXPECT_TRUE(lets_in(one, stranger));
    EXPECT_FALSE(lets_in(one, known));
}

TEST_F(trust_test, gate_reads_a_file_that_changed_just_now_again) {
    const auto known = new_identity();
    const auto one = gate();
    bool was_quick = false;
    // Repeats until this test is not delayed between the change and the check.
    while (!was_quick) {
        const auto begin = std::chrono::steady_clock::now();
        std::ofstream(home_ / "authorized_keys") << known.public_key << "\n";
        one.verify(known);
        const unusable_folder unusable(home_);
        const bool was_let_in = lets_in(one, known);
        was_quick = std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(50);
        if (was_quick) {
            EXPECT_FALSE(was_let_in);
        }
    }
    EXPECT_THAT(cannot_check_, HasSubstr("is open to other users"));
}

TEST_F(trust_test, gate_takes_no_file_for_the_one_before_it) {
    const auto here = new_identity(), gone = new_identity();
    const auto one = gate();
    std::ofstream file(home_ / "authorized_keys");
    fs::permissions(home_ / "authorized_keys", fs::perms::owner_read | fs::perms::owner_write);
    // Changes the same file to the same size, as fast as possible.
    for (int i = 0; i < 500; ++i) {
        const auto& now = i % 2 == 0 ? here : gone;
        const auto& before = i % 2 == 0 ? gone : here;
        file.seekp(0);
        file << now.public_key << "\n" << std::flush;
        ASSERT_TRUE(lets_in(one, now)) << i;
        ASSERT_FALSE(lets_in(one, before)) << i;
    }
}

TEST_F(trust_test, key_that_vanishes_while_an_editor_writes_the_file_is_still_let_in) {
    const auto known = new_identity();
    const auto path = home_ / "authorized_keys";
    keys::authorized_keys(path).add(key_of(known), "laptop");
    const sender_gate one(keys::authorized_keys(path), keyless_peers::refuse,
                          {[](const identity&) { ADD_FAILURE() << "was refused"; }, [](const std::string&) {},
                           // The file was read half written, and the editor now writes the rest.
                           [&](const std::string&) { std::ofstream(path) << known.public_key << " again\n"; }});
    wait_until_the_reading_is_kept(one, known, home_);
    std::ofstream(path) << known.public_key.substr(0, 20);
    EXPECT_EQ(one.verify(known), "again");
}

TEST_F(trust_test, gate_knows_a_key_however_a_cipher_writes_it) {
    const auto known = new_identity();
    keys::authorized_keys(home_ / "authorized_keys").add(key_of(known), "laptop");
    auto other = known;
    other.public_key += " a comment";
    EXPECT_EQ(gate().verify(other), "laptop");
}

TEST_F(trust_test, gate_is_shut_if_the_file_cannot_be_used) {
    fs::create_directory(home_ / "authorized_keys");
    const auto one = gate();
    const auto peer = new_identity();
    try {
        one.verify(peer);
        ADD_FAILURE();
    } catch (const error& e) {
        EXPECT_EQ(e.code(), errc::io);
        EXPECT_EQ(std::string(e.what()).find(home_.native()), std::string::npos)
            << "the peer is not told of our folders";
    }
    EXPECT_THAT(cannot_check_, HasSubstr("authorized_keys"));
}

TEST_F(trust_test, gate_tells_a_line_that_is_not_understood_once) {
    const auto known = new_identity();
    const keys::authorized_keys file(home_ / "authorized_keys");
    file.add(key_of(known), "laptop");
    const auto one = gate();
    EXPECT_EQ(one.count_keys(), 1u);
    EXPECT_THAT(skipped_lines_, testing::IsEmpty());
    std::ofstream(file.path(), std::ios::app) << "no key\n";  // while it runs
    one.verify(known);
    one.verify(known);
    EXPECT_EQ(one.count_keys(), 1u);
    EXPECT_THAT(skipped_lines_,
                testing::ElementsAre(HasSubstr("authorized_keys line 3 is passed over: it is no line")));
    std::ofstream(file.path(), std::ios::app) << "nor this\n";
    one.verify(known);
    EXPECT_THAT(skipped_lines_, testing::ElementsAre(HasSubstr("line 3"), HasSubstr("line 4")));
}

TEST_F(trust_test, lines_of_known_hosts_that_are_not_understood_are_told_once) {
    std::ofstream(home_ / "known_hosts") << "nonsense\n";
    const auto peer = new_identity();
    check(first_contact::remember).verify(peer);
    check().verify(peer);
    EXPECT_THAT(skipped_lines_,
                testing::ElementsAre(HasSubstr("known_hosts line 1 is passed over: it does not begin")));
}

TEST_F(trust_test, line_about_the_receiver_that_cannot_be_read_is_no_first_contact) {
    std::ofstream(home_ / "known_hosts") << "tcp://host:9417\xc2\xa0" << new_identity().public_key << "\n";
    for (const auto policy : {first_contact::report, first_contact::remember}) {
        auto refused = check(policy);
        expect_auth_failure([&] { refused.verify(new_identity()); });
        EXPECT_EQ(refused.found(), receiver_check::finding::nothing) << "nobody is asked whether to trust it";
    }
}

// Sets the limit of descriptors to 0 while it lives, so that none can be opened.
class no_descriptors {
public:
    no_descriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        auto none = before_;
        none.rlim_cur = 0;
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    ~no_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;

private:
    rlimit before_{};
};

TEST_F(trust_test, gate_that_cannot_look_refuses_nobody) {
    const auto known = new_identity();
    keys::authorized_keys(home_ / "authorized_keys").add(key_of(known), "laptop");
    const auto one = gate();
    errc code{};
    std::string text;
    {
        const no_descriptors now;
        try {
            one.verify(known);
        } catch (const error& e) {
            code = e.code();
            text = e.what();
        }
    }
    EXPECT_EQ(code, errc::exhausted) << text;
    EXPECT_EQ(text.find(home_.native()), std::string::npos) << "the peer is not told of our folders";
    EXPECT_EQ(refused_, "");
    EXPECT_THAT(cannot_check_, HasSubstr("authorized_keys"));
    EXPECT_EQ(one.verify(known), "laptop");
}

TEST_F(trust_test, gate_waits_until_it_can_look) {
    const auto known = new_identity();
    keys::authorized_keys(home_ / "authorized_keys").add(key_of(known), "laptop");
    const auto one = gate();
    std::optional<no_descriptors> now(std::in_place);
    auto let_in = std::async(std::launch::async, [&] { return one.verify(known); });
    // Whether it has tried by then or tries later, it must not have failed.
    const auto has_ended = let_in.wait_for(std::chrono::milliseconds(50)) == std::future_status::ready;
    now.reset();
    EXPECT_FALSE(has_ended);
    EXPECT_EQ(let_in.get(), "laptop");
}

TEST_F(trust_test, peers_without_a_key) {
    expect_auth_failure([this] { gate().verify({}); });
    EXPECT_EQ(gate(keyless_peers::accept).verify({}), "");
}

TEST_F(trust_test, first_contact_is_found_out_and_remembered) {
    const auto peer = new_identity();
    auto first = check();
    EXPECT_EQ(first.found(), receiver_check::finding::nothing);
    expect_auth_failure([&] { first.verify(peer); });
    EXPECT_EQ(first.found(), receiver_check::finding::unknown);
    EXPECT_EQ(first.peer().fingerprint, peer.fingerprint);
    first.remember();

    auto second = check();
    EXPECT_EQ(second.verify(peer), "tcp://host:9417");
    EXPECT_EQ(second.found(), receiver_check::finding::known);
}

TEST_F(trust_test, first_contact_is_not_remembered_by_itself) {
    auto first = check();
    expect_auth_failure([&] { first.verify(new_identity()); });
    EXPECT_FALSE(fs::exists(home_ / "known_hosts"));
}

TEST_F(trust_test, first_contact_can_be_trusted_beforehand) {
    const auto peer = new_identity();
    auto first = check(first_contact::remember);
    EXPECT_NO_THROW(first.verify(peer));
    EXPECT_EQ(first.found(), receiver_check::finding::remembered);
    EXPECT_NO_THROW(check().verify(peer));
}

TEST_F(trust_test, first_contact_is_accepted_where_the_home_cannot_be_written) {
    if (!fs::exists("/sys")) GTEST_SKIP() << "there is no folder here that not even root can write";
    const auto peer = new_identity();
    const auto check_there = [&](first_contact policy, std::optional<keys::public_key> accepted = std::nullopt) {
        return receiver_check(keys::known_hosts("/sys/known_hosts"), "tcp://host:9417", keyless_peers::refuse, policy,
                              skipped_, std::move(accepted));
    };
    auto first = check_there(first_contact::remember);
    EXPECT_EQ(first.verify(peer), "tcp://host:9417");
    EXPECT_EQ(first.found(), receiver_check::finding::accepted);
    EXPECT_THAT(first.why_not_remembered(), HasSubstr("/sys/known_hosts"));

    first.note_exchange(key_exchange::classical);
    EXPECT_EQ(first.exchange_finding(), receiver_check::exchange_news::classical);

    auto same = check_there(first_contact::report, key_of(peer));
    EXPECT_EQ(same.verify(peer), "tcp://host:9417");
    same.note_exchange(key_exchange::classical);
    EXPECT_EQ(same.why_exchange_not_remembered(), "") << "there is no line for it, as has been told";
    EXPECT_EQ(same.found(), receiver_check::finding::known);
    auto other = check_there(first_contact::remember, key_of(peer));
    expect_auth_failure([&] { other.verify(new_identity()); });
    EXPECT_EQ(other.found(), receiver_check::finding::changed);
    EXPECT_THAT(other.changed_warning(), HasSubstr(peer.fingerprint));
    auto asked = check_there(first_contact::report);
    expect_auth_failure([&] { asked.verify(peer); });
    EXPECT_FALSE(asked.remember());
}

class exchange_test : public trust_test {
protected:
    // A contact with the receiver, and what is to be told of its key exchange.
    receiver_check::exchange_news contact(key_exchange used, first_contact policy = first_contact::report) {
        auto one = check(policy);
        one.verify(peer_);
        one.note_exchange(used);
        EXPECT_EQ(one.why_exchange_not_remembered(), "");
        return one.exchange_finding();
    }
    void write_known(const std::string& comment) const {
        keys::known_hosts(home_ / "known_hosts").remember("tcp://host:9417", key_of(peer_), comment);
    }
    void write_known(const std::string& comment, key_exchange before) const {
        write_known(comment);
        keys::known_hosts(home_ / "known_hosts").note_exchange("tcp://host:9417", key_of(peer_), before);
    }
    std::string comment() const {
        const auto entries = keys::known_hosts(home_ / "known_hosts").read().entries;
        return entries.size() == 1 ? entries[0].comment : "(no line)";
    }

    const identity peer_ = new_identity();
    using news = receiver_check::exchange_news;
};

TEST_F(exchange_test, classical_is_told_at_first_contact_and_remembered) {
    EXPECT_EQ(contact(key_exchange::classical, first_contact::remember), news::classical);
    EXPECT_EQ(comment(), "key-exchange=classical");
    EXPECT_EQ(contact(key_exchange::classical), news::nothing);
}

TEST_F(exchange_test, post_quantum_is_remembered_and_no_news) {
    EXPECT_EQ(contact(key_exchange::post_quantum, first_contact::remember), news::nothing);
    EXPECT_EQ(comment(), "key-exchange=post-quantum");
    EXPECT_EQ(contact(key_exchange::post_quantum), news::nothing);
}

TEST_F(exchange_test, a_fall_to_classical_is_told_whenever_it_is_met) {
    write_known("lab", key_exchange::post_quantum);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(contact(key_exchange::classical), news::fallen);
    EXPECT_EQ(comment(), "lab key-exchange=post-quantum");
    auto fallen = check();
    fallen.verify(peer_);
    EXPECT_EQ(fallen.exchange_before(), key_exchange::post_quantum);
    fallen.note_exchange(key_exchange::classical);
    const auto warning = fallen.fallen_warning("x25519, aes-256-gcm", "hybrid");
    for (const auto& part :
         {std::string("tcp://host:9417 IS NO LONGER POST-QUANTUM"), std::string("x25519, aes-256-gcm"),
          std::string("--hybrid.kem x25519-mlkem768"),
          "key-exchange=post-quantum out of the receiver's line in\n  " + (home_ / "known_hosts").native()})
        EXPECT_THAT(warning, HasSubstr(part));
    EXPECT_THAT(warning, testing::Not(HasSubstr("--remove"))) << "the pinned key stays";
    const auto of_another = fallen.fallen_warning("tls", "tls");
    for (const auto* part : {"hybrid", "Botan"}) EXPECT_THAT(of_another, testing::Not(HasSubstr(part)));
}

TEST_F(exchange_test, a_rise_to_post_quantum_is_remembered) {
    for (const bool was_classical : {true, false}) {
        fs::remove(home_ / "known_hosts");
        was_classical ? write_known("", key_exchange::classical) : write_known("");
        EXPECT_EQ(contact(key_exchange::post_quantum), news::nothing);
        EXPECT_EQ(comment(), "key-exchange=post-quantum");
    }
}

TEST_F(exchange_test, of_a_cipher_that_does_not_tell_is_a_fall_from_post_quantum_only) {
    const auto news_of_unknown = [&] {
        auto one = check();
        one.verify(peer_);
        one.note_exchange(std::nullopt);
        if (one.exchange_finding() == news::fallen) {
            EXPECT_THAT(one.fallen_warning("tls", "tls"),
                        HasSubstr("tcp://host:9417 IS NOT KNOWN TO BE POST-QUANTUM ANY LONGER"));
        }
        return one.exchange_finding();
    };
    write_known("");
    EXPECT_EQ(news_of_unknown(), news::nothing);
    contact(key_exchange::classical);
    EXPECT_EQ(news_of_unknown(), news::nothing);
    contact(key_exchange::post_quantum);
    EXPECT_EQ(news_of_unknown(), news::fallen);
    EXPECT_EQ(comment(), "key-exchange=post-quantum");
}

TEST_F(exchange_test, with_a_peer_without_a_key_is_no_matter) {
    receiver_check one(keys::known_hosts(home_ / "known_hosts"), "tcp://host:9417", keyless_peers::accept,
                       first_contact::report, skipped_, std::nullopt, key_exchange::post_quantum);
    one.verify({});
    one.note_exchange(std::nullopt);
    EXPECT_EQ(one.exchange_finding(), news::nothing);
}

TEST_F(exchange_test, is_compared_with_what_was_met_where_the_file_does_not_tell) {
    write_known("");
    receiver_check one(keys::known_hosts(home_ / "known_hosts"), "tcp://host:9417", keyless_peers::refuse,
                       first_contact::report, skipped_, std::nullopt, key_exchange::post_quantum);
    one.verify(peer_);
    one.note_exchange(key_exchange::classical);
    EXPECT_EQ(one.exchange_finding(), news::fallen);
}

TEST_F(exchange_test, that_cannot_be_remembered_fails_no_contact) {
    write_known("");
    fs::remove(home_ / "known_hosts.lock");
    fs::create_directory(home_ / "known_hosts.lock");
    auto one = check();
    one.verify(peer_);
    EXPECT_NO_THROW(one.note_exchange(key_exchange::classical));
    EXPECT_EQ(one.exchange_finding(), news::nothing) << "else each contact would tell it";
    EXPECT_THAT(one.why_exchange_not_remembered(), HasSubstr("cannot lock"));
    EXPECT_EQ(comment(), "");
}

TEST_F(trust_test, home_that_others_can_write_is_no_reason_to_accept) {
    fs::permissions(home_, fs::perms::others_write, fs::perm_options::add);
    auto first = check(first_contact::remember);
    EXPECT_THROW(first.verify(new_identity()), error);
    EXPECT_NE(first.found(), receiver_check::finding::accepted);
}

TEST_F(trust_test, changed_key_is_refused_whatever_the_policy) {
    const auto old = new_identity(), other = new_identity();
    check(first_contact::remember).verify(old);
    for (const auto policy : {first_contact::report, first_contact::remember}) {
        auto again = check(policy);
        expect_auth_failure([&] { again.verify(other); });
        EXPECT_EQ(again.found(), receiver_check::finding::changed);
        const auto warning = again.changed_warning();
        for (const auto& part :
             {old.fingerprint, other.fingerprint, std::string("wherry keys --remove 'tcp://host:9417'")})
            EXPECT_THAT(warning, HasSubstr(part));
    }
    EXPECT_NO_THROW(check().verify(old));
}

TEST(destination, taken_apart) {
    EXPECT_EQ(split_destination("tcp://host:1").scheme, "tcp");
    EXPECT_EQ(split_destination("tcp://host:1").address, "host:1");
    EXPECT_EQ(split_destination("host:1").scheme, "");
    EXPECT_EQ(split_destination("host:1").address, "host:1");
    EXPECT_EQ(split_destination("://x").scheme, "");
    EXPECT_EQ(split_destination("no scheme://x").address, "no scheme://x");
    EXPECT_EQ(split_destination("rfcomm://AA:BB:CC:DD:EE:FF/3").address, "AA:BB:CC:DD:EE:FF/3");
}

TEST(destination, canonical) {
    const std::optional<std::string> port = "9417";
    EXPECT_EQ(canonical_destination("tcp", "Host.Example", port), "tcp://host.example:9417");
    EXPECT_EQ(canonical_destination("tcp", "HOST:80", port), "tcp://host:80");
    EXPECT_EQ(canonical_destination("tcp", "[::1]", port), "tcp://[::1]:9417");
    EXPECT_EQ(canonical_destination("tcp", "[::1]:80", port), "tcp://[::1]:80");
    EXPECT_EQ(canonical_destination("tcp", "[fe80::1%25eth0]", port), "tcp://[fe80::1%eth0]:9417");
    EXPECT_EQ(canonical_destination("tcp", "[fe80::1%251]", port), "tcp://[fe80::1%251]:9417");
    EXPECT_EQ(canonical_destination("tcp", "FE80::1", port), "tcp://[fe80::1]:9417");
    EXPECT_EQ(canonical_destination("rfcomm", "AA:BB:CC:DD:EE:FF", std::nullopt), "rfcomm://aa:bb:cc:dd:ee:ff");
    EXPECT_EQ(canonical_destination("rfcomm", "Anna's 100% Scanner", std::nullopt),
              "rfcomm://anna's%20100%25%20scanner");
    EXPECT_EQ(canonical_destination("rfcomm", "a\x1F\x7Fz", std::nullopt), "rfcomm://a%1f%7fz");
}

TEST(shell, quoting) {
    EXPECT_EQ(shell_quoted("ssh-ed25519 AAAA it's"), "'ssh-ed25519 AAAA it'\\''s'");
    EXPECT_EQ(authorize_command("ssh-ed25519 AAAA", "me"), "wherry authorize 'ssh-ed25519 AAAA me'");
    EXPECT_EQ(authorize_command("ssh-ed25519 AAAA"), "wherry authorize 'ssh-ed25519 AAAA'");
}

}  // namespace
}  // namespace wherry
