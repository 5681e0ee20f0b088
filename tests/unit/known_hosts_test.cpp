#include "wherry/keys/known_hosts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

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
    EXPECT_EQ(content(), tcp_ + " " + a_.line("lab") + "\n");
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

TEST_F(known_hosts_test, refuses_addresses_that_would_break_the_line) {
    for (const auto* address : {"", "a b", "a\nb", "a\tb", "#a"})
        EXPECT_EQ(error_of([&] { hosts_.remember(address, a_); }).code(), errc::bad_input) << address;
    EXPECT_EQ(error_of([&] { hosts_.remember(std::string(max_address_bytes + 1, 'a'), a_); }).code(), errc::bad_input);
}

TEST_F(known_hosts_test, that_others_can_write_is_refused) {
    hosts_.remember(tcp_, a_);
    ::chmod(file_.c_str(), 0666);
    EXPECT_EQ(error_of([&] { hosts_.check(tcp_, a_); }).code(), errc::bad_input);
}

TEST_F(known_hosts_test, loses_nothing_when_many_remember_at_once) {
    constexpr int threads = 8, each = 4;
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t)
        running.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) known_hosts(file_).remember(std::to_string(t) + ':' + std::to_string(i), a_);
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
