// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/keys/known_hosts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "error_of.hpp"
#include "temporary_folder.hpp"
#include "test_data.hpp"

namespace wherry::keys {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using verdict = known_hosts::verdict;

class known_hosts_test : public ::testing::Test {
protected:
    static public_key key(const std::string& name) {
        return parse_public_key_text(test::test_data("keys/" + name + ".pub")).key;
    }
    void write(std::string_view text) const {
        std::ofstream(file_, std::ios::binary) << text;
        ::chmod(file_.c_str(), 0600);
    }
    std::string content() const {
        std::ifstream in(file_, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }

    const test::temporary_folder folder_;
    const std::filesystem::path file_ = folder_ / "known_hosts";
    const known_hosts hosts_{file_};
    const public_key a_ = key("ed25519-a"), b_ = key("ed25519-b");
    const std::string tcp_ = "tcp://192.168.1.5:9417", rfcomm_ = "rfcomm://AA:BB:CC:DD:EE:FF";
};

TEST_F(known_hosts_test, knows_nothing_at_first) {
    EXPECT_TRUE(hosts_.find(tcp_).empty());
    EXPECT_EQ(hosts_.check(tcp_, a_), verdict::unknown);
}

TEST_F(known_hosts_test, recognises_the_key_and_a_change_of_it) {
    EXPECT_EQ(hosts_.remember(tcp_, a_, "lab"), change::made);
    EXPECT_EQ(hosts_.check(tcp_, a_), verdict::known);
    EXPECT_EQ(hosts_.check(tcp_, b_), verdict::changed);
    EXPECT_EQ(hosts_.check(rfcomm_, a_), verdict::unknown);
    EXPECT_THAT(hosts_.find(tcp_), ElementsAre(a_));
    EXPECT_EQ(content(), "# wherry-format 1\n" + tcp_ + " " + a_.line("lab") + "\n");
}

TEST_F(known_hosts_test, of_a_newer_format_is_refused) {
    const auto text = "# wherry-format 2\n" + tcp_ + " " + a_.line() + "\n";
    write(text);
    for (const auto& failure :
         {error_of([&] { hosts_.check(tcp_, a_); }), error_of([&] { hosts_.remember(rfcomm_, b_); }),
          error_of([&] { hosts_.note_exchange(tcp_, a_, key_exchange::classical); }),
          error_of([&] { hosts_.remove(tcp_); })}) {
        EXPECT_EQ(failure.code(), errc::unsupported);
        EXPECT_STREQ(failure.what(),
                     (file_.string() + ": line 1 says that a newer wherry wrote this, in format 2; use the "
                                       "newer wherry, or put back a copy of this file from before the upgrade")
                         .c_str());
    }
    EXPECT_EQ(content(), text);
}

TEST_F(known_hosts_test, tells_the_best_key_exchange_of_a_line) {
    const auto told = [&](const std::string& comment, const public_key& key) {
        return known_hosts::best_exchange(known_hosts::parse(tcp_ + " " + a_.line(comment)), tcp_, key);
    };
    EXPECT_EQ(told("", a_), std::nullopt);
    EXPECT_EQ(told("lab of classical post-quantum music key-exchange=other", a_), std::nullopt);
    EXPECT_EQ(told("key-exchange=classical", a_), key_exchange::classical);
    EXPECT_EQ(told("lab  key-exchange=post-quantum key-exchange=classical", a_), key_exchange::post_quantum);
    EXPECT_EQ(told("key-exchange=post-quantum", b_), std::nullopt) << "of another key";
}

TEST_F(known_hosts_test, notes_the_best_key_exchange_once) {
    // As people write them: the rest of each line stays as it is, and so do the others.
    const auto other = rfcomm_ + " " + a_.line() + "\n";
    for (const std::string comment : {"", " lab", "  two  words\t"}) {
        const auto before = "\xef\xbb\xbf# seen\r\n" + other + "\tTCP://192.168.1.5:9417  " + a_.line() + comment;
        write(before + "\r\nlast");
        EXPECT_EQ(hosts_.note_exchange(tcp_, a_, key_exchange::classical), change::made);
        const auto kept = before.substr(0, before.find_last_not_of(" \t") + 1);
        const auto blanks = before.substr(kept.size());
        EXPECT_EQ(content(), kept + " key-exchange=classical" + blanks + "\r\nlast");
        EXPECT_EQ(hosts_.note_exchange(tcp_, a_, key_exchange::classical), change::not_needed);
        EXPECT_EQ(hosts_.note_exchange(tcp_, a_, key_exchange::post_quantum), change::made);
        EXPECT_EQ(content(), kept + " key-exchange=post-quantum" + blanks + "\r\nlast");
        for (const auto used : {key_exchange::classical, key_exchange::post_quantum})
            EXPECT_EQ(hosts_.note_exchange(tcp_, a_, used), change::not_needed);
        EXPECT_EQ(hosts_.check(tcp_, a_), verdict::known);
        EXPECT_EQ(hosts_.check(tcp_, b_), verdict::changed);
    }
    EXPECT_EQ(hosts_.note_exchange(tcp_, b_, key_exchange::post_quantum), change::not_needed)
        << "there is no such line";
}

TEST_F(known_hosts_test, words_of_others_say_nothing_about_the_key_exchange) {
    hosts_.remember(tcp_, a_, "key-exchange=post-quantum lab  key-exchange=x two  words key-exchange=classical");
    EXPECT_EQ(hosts_.read().entries.at(0).comment, "lab  two  words");
    hosts_.remember(rfcomm_, a_, "key-exchange=classical");
    EXPECT_EQ(hosts_.read().entries.at(1).comment, "");
    EXPECT_EQ(hosts_.note_exchange(rfcomm_, a_, key_exchange::classical), change::made);
}

TEST_F(known_hosts_test, a_comment_without_room_for_the_key_exchange_stays) {
    const auto text = tcp_ + " " + a_.line(std::string(max_comment_bytes - 22, 'x')) + "\n";
    write(text);
    const auto failure = error_of([&] { hosts_.note_exchange(tcp_, a_, key_exchange::classical); });
    EXPECT_EQ(failure.code(), errc::bad_input);
    EXPECT_THAT(failure.what(), HasSubstr("the comment of line 1 has no room for key-exchange=classical; shorten it"));
    EXPECT_EQ(content(), text);
    EXPECT_EQ(hosts_.check(tcp_, a_), verdict::known);
}

TEST_F(known_hosts_test, of_many_that_note_the_same_key_exchange_one_writes) {
    hosts_.remember(tcp_, a_);
    std::atomic<int> written = 0;
    std::vector<std::thread> running;
    for (int i = 0; i < 8; ++i)
        running.emplace_back([&] {
            if (known_hosts(file_).note_exchange(tcp_, a_, key_exchange::post_quantum) == change::made) ++written;
        });
    for (auto& thread : running) thread.join();
    EXPECT_EQ(written, 1);
    EXPECT_EQ(content(), "# wherry-format 1\n" + tcp_ + " " + a_.line("key-exchange=post-quantum") + "\n");
}

TEST_F(known_hosts_test, remembers_once) {
    hosts_.remember(tcp_, a_);
    EXPECT_EQ(hosts_.remember(tcp_, a_, "again"), change::not_needed);
    EXPECT_EQ(hosts_.remember(rfcomm_, a_), change::made);
    EXPECT_EQ(hosts_.read().entries.size(), 2u);
}

TEST_F(known_hosts_test, does_not_put_another_key_beside_a_known_one) {
    hosts_.remember(tcp_, a_);
    const auto failure = error_of([&] { hosts_.remember(tcp_, b_); });
    EXPECT_EQ(failure.code(), errc::auth_failed);
    EXPECT_THAT(failure.what(), HasSubstr("another key is known for " + tcp_));
    EXPECT_EQ(hosts_.check(tcp_, b_), verdict::changed);
}

TEST_F(known_hosts_test, accepts_any_of_several_keys_that_someone_wrote) {
    write(tcp_ + " " + a_.line() + "\n" + tcp_ + " " + b_.line("new") + "\n");
    EXPECT_THAT(hosts_.find(tcp_), ElementsAre(a_, b_));
    EXPECT_EQ(hosts_.check(tcp_, b_), verdict::known);
    EXPECT_EQ(hosts_.remember(tcp_, b_), change::not_needed);
}

TEST_F(known_hosts_test, removes_by_address_or_fingerprint) {
    hosts_.remember(tcp_, a_);
    hosts_.remember(rfcomm_, b_);
    hosts_.remember("tcp://[::1]:9417", b_);
    EXPECT_EQ(hosts_.remove(tcp_), 1u);
    EXPECT_EQ(hosts_.remove(b_.fingerprint()), 2u);
    EXPECT_EQ(hosts_.remove(tcp_), 0u);
    EXPECT_EQ(hosts_.check(tcp_, b_), verdict::unknown);
}

TEST_F(known_hosts_test, skips_bad_lines_and_keeps_them) {
    const std::string start = "# seen\nnonsense\n" + a_.line() + "\n" + tcp_ + " ssh-dss AAAA\n";
    write(start);
    hosts_.remember(rfcomm_, b_, "x");
    const auto all = hosts_.read();
    ASSERT_EQ(all.entries.size(), 1u);
    EXPECT_EQ(all.entries[0].line, 5u);
    EXPECT_EQ(all.entries[0].comment, "x");
    EXPECT_EQ(all.skipped.size(), 3u);
    EXPECT_EQ(hosts_.remove(rfcomm_), 1u);
    EXPECT_EQ(content(), start);
}

TEST_F(known_hosts_test, a_line_that_cannot_be_read_is_not_taken_for_none) {
    auto line = std::string(tcp_) + " " + a_.line();
    line[line.size() / 2] = '!';
    std::ofstream(file_) << line << "\n";
    EXPECT_EQ(test::error_of([&] { hosts_.check(tcp_, a_); }).code(), errc::auth_failed);
    EXPECT_EQ(hosts_.check("tcp://other:9417", a_), verdict::unknown);
    EXPECT_EQ(hosts_.remove(tcp_), 1u);
    EXPECT_EQ(hosts_.check(tcp_, a_), verdict::unknown);
}

// Expects that a key is neither accepted nor stored for this address.
void expect_refusal(const known_hosts& hosts, const std::string& address, const public_key& key) {
    EXPECT_EQ(error_of([&] { hosts.check(address, key); }).code(), errc::auth_failed);
    EXPECT_EQ(error_of([&] { hosts.remember(address, key); }).code(), errc::auth_failed);
}

TEST_F(known_hosts_test, words_are_parted_by_blanks_and_tabs) {
    const auto encoded = a_.line().substr(a_.line().find(' ') + 1);
    for (const std::string gap : {"  ", "\t", "\t \t"}) {
        write(gap + tcp_ + gap + "ssh-ed25519" + gap + encoded + gap + "lab  one\t\n");
        EXPECT_EQ(hosts_.check(tcp_, a_), verdict::known) << gap;
        EXPECT_EQ(hosts_.check(tcp_, b_), verdict::changed) << gap;
        EXPECT_EQ(error_of([&] { hosts_.remember(tcp_, b_); }).code(), errc::auth_failed) << gap;
        EXPECT_EQ(hosts_.read().entries.at(0).comment, "lab  one") << gap;
    }
}

TEST_F(known_hosts_test, any_other_gap_behind_the_address_refuses) {
    for (const std::string gap : {"\xc2\xa0", " \xc2\xa0", "\xc2\xa0 ", "\xe2\x80\x8b ", "\xe3\x80\x80", "\xa0", ""}) {
        const auto text = tcp_ + gap + a_.line() + "\n";
        write(text);
        // Without a gap the line has another address, and is skipped.
        if (gap.empty())
            EXPECT_EQ(hosts_.read().skipped.size(), 1u);
        else
            expect_refusal(hosts_, tcp_, b_);
        EXPECT_EQ(hosts_.check("tcp://192.168.1.5:941", b_), verdict::unknown);
        EXPECT_EQ(hosts_.check("tcp://192.168.1.5:94170", b_), verdict::unknown);
        EXPECT_EQ(content(), text);
    }
}

TEST_F(known_hosts_test, refuses_a_line_with_only_the_address_or_with_invisible_characters_before_it) {
    for (const auto& line : {tcp_, "\xef\xbb\xbf" + tcp_ + " " + a_.line(), "\xc2\xa0" + tcp_ + " ssh-dss AAAA"}) {
        write("# remark\n" + line + "\n");
        expect_refusal(hosts_, tcp_, b_);
        EXPECT_EQ(hosts_.check(rfcomm_, b_), verdict::unknown);
    }
}

TEST_F(known_hosts_test, letters_of_an_address_are_of_either_case) {
    write("TCP://Host.Example:9417 " + a_.line() + "\nRfcomm://X ssh-dss AAAA\n");
    EXPECT_EQ(hosts_.check("tcp://host.example:9417", a_), verdict::known);
    EXPECT_EQ(hosts_.check("tcp://host.example:9417", b_), verdict::changed);
    EXPECT_THAT(hosts_.find("tcp://host.example:9417"), ElementsAre(a_));
    expect_refusal(hosts_, "rfcomm://x", b_);
    EXPECT_EQ(hosts_.remove("tcp://host.example:9417"), 1u);
    EXPECT_EQ(hosts_.remove("rfcomm://x"), 1u);
}

TEST_F(known_hosts_test, addresses_beyond_ascii_are_told_apart) {
    hosts_.remember("rfcomm://caf\xc3\xa9", a_);
    EXPECT_EQ(hosts_.check("rfcomm://caf\xc3\xa8", b_), verdict::unknown);
    EXPECT_EQ(hosts_.check("rfcomm://caf\xc3\xa9", b_), verdict::changed);
}

TEST_F(known_hosts_test, skips_a_byte_order_mark_at_the_beginning) {
    write("\xef\xbb\xbf" + tcp_ + " " + a_.line() + "\r\n" + rfcomm_ + " " + b_.line() + "\r\n");
    EXPECT_EQ(hosts_.check(tcp_, b_), verdict::changed);
    EXPECT_EQ(hosts_.check(rfcomm_, b_), verdict::known);
    EXPECT_TRUE(hosts_.read().skipped.empty());
    EXPECT_EQ(hosts_.remove(tcp_), 1u);
    EXPECT_EQ(hosts_.check(rfcomm_, b_), verdict::known);
}

TEST_F(known_hosts_test, refuses_a_file_that_is_not_text_and_says_where) {
    std::string wide = "\xff\xfe";
    for (const char c : tcp_ + " " + a_.line() + "\n") wide.append(1, c).append(1, '\0');
    const std::string texts[] = {"# seen\n" + rfcomm_ + " " + a_.line() + "\x1b\n",
                                 "# seen\r" + tcp_ + " " + a_.line() + "\n",  // shown as two lines
                                 "# seen\n# \x0b\n",
                                 tcp_ + "\f" + a_.line() + "\n",
                                 tcp_ + " " + a_.line() + "\r",
                                 "# \x7f",
                                 wide};
    for (const auto& text : texts) {
        write(text);
        expect_refusal(hosts_, tcp_, b_);
        EXPECT_THAT(error_of([&] { hosts_.read(); }).what(), HasSubstr(file_.string() + ": line "));
        EXPECT_EQ(error_of([&] { hosts_.remove(tcp_); }).code(), errc::auth_failed);
        EXPECT_EQ(content(), text);
    }
    write(texts[0]);
    EXPECT_THAT(error_of([&] { hosts_.read(); }).what(), HasSubstr("line 2 holds the control character 0x1b"));
}

TEST_F(known_hosts_test, lines_that_say_nothing_of_an_address_are_told_with_their_number) {
    write("host:9417 " + a_.line() + "\n@revoked " + tcp_ + " " + a_.line() + "\ntcp://a:1,tcp://b:2 " + a_.line() +
          "\n");
    const auto all = hosts_.read();
    EXPECT_TRUE(all.entries.empty());
    ASSERT_EQ(all.skipped.size(), 3u);
    ASSERT_EQ(all.unread.size(), 3u);
    EXPECT_EQ(all.skipped[2].number, 3u);
    EXPECT_EQ(all.unread[0], "host:9417 " + a_.line());
    EXPECT_THAT(all.skipped[0].why, HasSubstr("does not begin with one address"));
}

TEST_F(known_hosts_test, does_not_take_a_dangling_link_for_an_empty_file) {
    std::filesystem::create_symlink(folder_ / "away" / "known_hosts", file_);
    EXPECT_EQ(error_of([&] { hosts_.check(tcp_, a_); }).code(), errc::io);
    EXPECT_EQ(error_of([&] { hosts_.remember(tcp_, a_); }).code(), errc::io);
    EXPECT_TRUE(std::filesystem::is_symlink(file_));
}

TEST_F(known_hosts_test, refuses_addresses_that_would_break_the_line) {
    for (const auto* address : {"", "a b", "a\nb", "a\tb", "#a", "host:9417", "://host", "tcp://a:1,tcp://b:2"})
        EXPECT_EQ(error_of([&] { hosts_.remember(address, a_); }).code(), errc::bad_input) << address;
    EXPECT_EQ(error_of([&] { hosts_.remember(std::string(max_address_bytes + 1, 'a'), a_); }).code(), errc::bad_input);
}

TEST_F(known_hosts_test, that_others_can_write_is_refused) {
    hosts_.remember(tcp_, a_);
    ::chmod(file_.c_str(), 0666);
    EXPECT_EQ(error_of([&] { hosts_.check(tcp_, a_); }).code(), errc::bad_input);
}

TEST_F(known_hosts_test, stays_readable_for_those_who_could_read_it) {
    hosts_.remember(tcp_, a_);
    const auto mode = [&] {
        struct stat status {};
        EXPECT_EQ(::stat(file_.c_str(), &status), 0);
        return status.st_mode & 07777;
    };
    EXPECT_EQ(mode(), 0600u);
    ::chmod(file_.c_str(), 0644);
    hosts_.note_exchange(tcp_, a_, key_exchange::classical);
    EXPECT_EQ(mode(), 0644u);
    ::chmod(file_.c_str(), 0640);
    hosts_.remove(tcp_);
    EXPECT_EQ(mode(), 0640u);
}

TEST_F(known_hosts_test, loses_nothing_when_many_remember_at_once) {
    constexpr int threads = 8, each = 4;
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t)
        running.emplace_back([&, t] {
            for (int i = 0; i < each; ++i)
                known_hosts(file_).remember("tcp://" + std::to_string(t) + ':' + std::to_string(i), a_);
        });
    for (auto& thread : running) thread.join();
    EXPECT_EQ(hosts_.read().entries.size(), static_cast<std::size_t>(threads * each));
}

TEST_F(known_hosts_test, of_two_first_contacts_with_different_keys_one_wins) {
    std::vector<std::thread> running;
    for (const auto* key : {&a_, &b_})
        running.emplace_back([&, key] {
            try {
                known_hosts(file_).remember(tcp_, *key);
            } catch (const error& e) {
                EXPECT_EQ(e.code(), errc::auth_failed);
            }
        });
    for (auto& thread : running) thread.join();
    EXPECT_EQ(hosts_.find(tcp_).size(), 1u);
}

}  // namespace
}  // namespace wherry::keys
