// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/keys/authorized_keys.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "as_user.hpp"
#include "error_of.hpp"
#include "temporary_folder.hpp"
#include "test_data.hpp"
#include "wherry/keys/file_version.hpp"
#include "wherry/keys/private_key.hpp"

namespace wherry::keys {
namespace {

using test::error_of;
using ::testing::HasSubstr;

class authorized_keys_test : public ::testing::Test {
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
    const std::filesystem::path file_ = folder_ / "authorized_keys";
    const authorized_keys keys_{file_};
    const public_key a_ = key("ed25519-a"), b_ = key("ed25519-b"), r_ = key("rsa3072-a");
};

TEST_F(authorized_keys_test, without_a_file_authorises_nobody) {
    EXPECT_EQ(keys_.find(a_), std::nullopt);
    EXPECT_TRUE(keys_.read().entries.empty());
    EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(authorized_keys_test, finds_what_was_added) {
    EXPECT_EQ(keys_.add(a_, "alice's laptop"), change::made);
    EXPECT_EQ(keys_.add(r_), change::made);
    EXPECT_EQ(keys_.find(a_), "alice's laptop");
    EXPECT_EQ(keys_.find(r_), "");
    EXPECT_EQ(keys_.find(b_), std::nullopt);
    EXPECT_EQ(content(), "# wherry-format 1\n" + a_.line("alice's laptop") + "\n" + r_.line() + "\n");
}

TEST_F(authorized_keys_test, of_a_newer_format_are_refused) {
    for (const std::string head :
         {"# wherry-format 2\n", "# my keys\n\n#wherry-format 2\r\n", "\xef\xbb\xbf# wherry-format 2\n"}) {
        const auto text = head + a_.line() + "\n";
        write(text);
        for (const auto& failure : {error_of([&] { keys_.find(a_); }), error_of([&] { keys_.add(b_); }),
                                    error_of([&] { keys_.remove(a_); })}) {
            EXPECT_EQ(failure.code(), errc::unsupported) << head;
            EXPECT_THAT(failure.what(), HasSubstr(file_.string() + ": line "));
            EXPECT_THAT(failure.what(),
                        HasSubstr("says that a newer wherry wrote this, in format 2; use the newer wherry, or"));
        }
        EXPECT_EQ(content(), text);
    }
}

TEST_F(authorized_keys_test, name_their_format_in_any_remark_that_begins_with_it) {
    for (const std::string head : {"# wherry-format 1\n", "# about wherry-format 2\n", ""}) {
        write(head + a_.line() + "\n# not wherry-format 2\n");
        EXPECT_EQ(keys_.find(a_), "") << head;
        write(head + a_.line() + "\n# wherry-format 2\n");  // a key was put on top
        EXPECT_EQ(error_of([&] { keys_.find(a_); }).code(), errc::unsupported) << head;
    }
}

TEST_F(authorized_keys_test, adds_a_key_once) {
    keys_.add(a_, "first");
    EXPECT_EQ(keys_.add(a_, "second"), change::not_needed);
    EXPECT_EQ(keys_.find(a_), "first");
}

TEST_F(authorized_keys_test, makes_its_folder) {
    const authorized_keys elsewhere(folder_ / "deep" / "er" / "authorized_keys");
    elsewhere.add(a_);
    EXPECT_EQ(elsewhere.find(a_), "");
}

TEST_F(authorized_keys_test, sees_a_change_at_once) {
    EXPECT_EQ(keys_.find(a_), std::nullopt);
    write(a_.line("by hand") + "\n");
    EXPECT_EQ(keys_.find(a_), "by hand");
    write("");
    EXPECT_EQ(keys_.find(a_), std::nullopt);
}

TEST_F(authorized_keys_test, skips_bad_lines_and_tells_which) {
    write("# remark\n\nssh-dss AAAA old\n  " + a_.line("fine") + " \r\nnonsense\n" + b_.line());
    const auto all = keys_.read();
    ASSERT_EQ(all.entries.size(), 2u);
    EXPECT_EQ(all.entries[0].line, 4u);
    EXPECT_EQ(all.entries[0].comment, "fine");
    EXPECT_EQ(all.entries[1].line, 6u);
    ASSERT_EQ(all.skipped.size(), 2u);
    EXPECT_EQ(all.skipped[0].number, 3u);
    EXPECT_EQ(all.skipped[1].number, 5u);
    EXPECT_THAT(all.skipped[1].why, HasSubstr("ssh-ed25519 or ssh-rsa"));
}

TEST_F(authorized_keys_test, words_are_parted_by_blanks_and_tabs) {
    const auto encoded = a_.line().substr(a_.line().find(' ') + 1);
    write("\xef\xbb\xbf\tssh-ed25519\t" + encoded + "  the  lab\t\r\n");
    EXPECT_EQ(keys_.find(a_), "the  lab");
    EXPECT_EQ(keys_.remove("the  lab"), 1u);
}

TEST_F(authorized_keys_test, with_a_nul_is_refused_and_left_as_it_is) {
    const auto text = a_.line() + "\n#" + std::string(1, '\0') + "\n";
    write(text);
    EXPECT_THAT(error_of([&] { keys_.find(a_); }).what(), HasSubstr("line 2 holds the control character 0x00"));
    EXPECT_EQ(error_of([&] { keys_.add(b_); }).code(), errc::bad_input);
    EXPECT_EQ(error_of([&] { keys_.remove(a_); }).code(), errc::bad_input);
    EXPECT_EQ(content(), text);
}

TEST_F(authorized_keys_test, skips_a_line_with_another_control_character) {
    write(a_.line() + " bell\a\n" + b_.line("b") + "\r" + r_.line() + "\n");
    EXPECT_EQ(keys_.read().entries.size(), 0u);
    EXPECT_EQ(keys_.read().skipped.size(), 2u);
}

TEST_F(authorized_keys_test, without_a_descriptor_left_tells_so) {
    keys_.add(a_);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    auto none = before;
    none.rlim_cur = 0;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto failure = error_of([&] { keys_.find(a_); });
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(failure.code(), errc::exhausted);
    EXPECT_EQ(failure.system_error(), EMFILE);
}

TEST_F(authorized_keys_test, has_another_version_after_each_change) {
    using clock = std::chrono::system_clock;
    EXPECT_EQ(file_version::of(file_), file_version());
    write("one");
    const auto first = file_version::of(file_);
    EXPECT_EQ(file_version::of(file_), first);
    EXPECT_NE(first, file_version());
    EXPECT_TRUE(first.changed_before(clock::now() + std::chrono::hours(1)));
    EXPECT_FALSE(first.changed_before(clock::now() - std::chrono::hours(1)));
    // Another file of the same size in its place, and with the same time.
    std::ofstream(folder_ / "other") << "two";
    std::filesystem::last_write_time(folder_ / "other", std::filesystem::last_write_time(file_));
    std::filesystem::rename(folder_ / "other", file_);
    const auto second = file_version::of(file_);
    EXPECT_NE(second, first);
    std::ofstream(file_, std::ios::app) << "x";
    EXPECT_NE(file_version::of(file_), second);
    std::filesystem::create_symlink(file_, folder_ / "link");
    EXPECT_EQ(file_version::of(folder_ / "link"), file_version::of(file_));
}

TEST_F(authorized_keys_test, has_a_version_that_may_be_another_file_s_where_times_are_coarse) {
    using namespace std::chrono_literals;
    const auto after_change = [](std::chrono::nanoseconds passed, std::chrono::nanoseconds changed) {
        file_version version;
        version.changed = changed;
        const auto time = std::chrono::duration_cast<std::chrono::system_clock::duration>(changed + passed);
        return version.changed_before(std::chrono::system_clock::time_point(time));
    };
    EXPECT_TRUE(after_change(1ms, 1000s + 7ns));
    EXPECT_FALSE(after_change(1999ms, 1000s));
    EXPECT_TRUE(after_change(2001ms, 1000s));
}

TEST_F(authorized_keys_test, does_not_accept_a_key_whose_options_it_would_ignore) {
    write("restrict,command=\"true\" " + a_.line() + "\n");
    EXPECT_EQ(keys_.find(a_), std::nullopt);
    EXPECT_EQ(keys_.read().skipped.size(), 1u);
}

TEST_F(authorized_keys_test, says_of_a_line_that_openssh_takes_why_it_does_not) {
    const std::pair<std::string, const char*> lines[] = {
        {"restrict,command=\"echo \\\"a b\\\" c\" " + a_.line(), "has options before the key"},
        {"no-pty\t" + r_.line("r"), "has options before the key"},
        {"cert-authority ecdsa-sha2-nistp256 AAAA", "has options before the key"},
        {"ecdsa-sha2-nistp256 AAAA lab", "the type ecdsa-sha2-nistp256 are not supported; use ssh-ed25519 or ssh-rsa"},
        {"sk-ssh-ed25519@openssh.com AAAA", "the type sk-ssh-ed25519@openssh.com are not supported"},
        {"ssh-dss AAAA", "the type ssh-dss are not supported"},
        {"\xef\xbb\xbf" + b_.line(), "begins with a byte order mark"},
        {"\"restrict " + a_.line(), "is no line with a public key"},
        {"one two three", "is no line with a public key"},
    };
    std::string text = "# lines\n";
    for (const auto& [line, why] : lines) text += line + "\n";
    write(text);
    const auto all = keys_.read();
    EXPECT_TRUE(all.entries.empty());
    ASSERT_EQ(all.skipped.size(), std::size(lines));
    for (std::size_t i = 0; i < std::size(lines); ++i) {
        EXPECT_EQ(all.skipped[i].number, i + 2);
        EXPECT_THAT(all.skipped[i].why, HasSubstr(lines[i].second)) << lines[i].first;
    }
}

TEST_F(authorized_keys_test, keeps_remarks_and_bad_lines_when_it_changes) {
    const std::string start = "# my keys\n\nnonsense\n" + a_.line("a");
    write(start);
    keys_.add(b_, "b");
    EXPECT_EQ(content(), start + "\n" + b_.line("b") + "\n");
    EXPECT_EQ(keys_.remove(a_), 1u);
    EXPECT_EQ(content(), "# my keys\n\nnonsense\n" + b_.line("b") + "\n");
}

TEST_F(authorized_keys_test, removes_by_key_fingerprint_or_comment) {
    write(a_.line("x") + "\n" + a_.line("again") + "\n" + b_.line("bob") + "\n" + r_.line() + "\n");
    EXPECT_EQ(keys_.remove(a_), 2u);
    EXPECT_EQ(keys_.remove("bob"), 1u);
    EXPECT_EQ(keys_.remove(""), 0u);
    EXPECT_EQ(keys_.remove("nobody"), 0u);
    EXPECT_EQ(keys_.remove(r_.fingerprint()), 1u);
    EXPECT_EQ(content(), "");
}

TEST_F(authorized_keys_test, refuses_a_comment_that_would_break_the_line) {
    EXPECT_EQ(error_of([&] { keys_.add(a_, "two\nlines"); }).code(), errc::bad_input);
    EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(authorized_keys_test, that_others_can_write_is_refused) {
    keys_.add(a_);
    ::chmod(file_.c_str(), 0620);
    EXPECT_THAT(error_of([&] { keys_.find(a_); }).what(), HasSubstr("chmod go-w " + file_.string()));
    EXPECT_EQ(error_of([&] { keys_.add(b_); }).code(), errc::bad_input);
    ::chmod(file_.c_str(), 0644);
    EXPECT_EQ(keys_.find(a_), "");
}

TEST_F(authorized_keys_test, in_a_folder_that_others_can_write_is_refused) {
    keys_.add(a_);
    ::chmod(folder_.path().c_str(), 0777);
    EXPECT_THAT(error_of([&] { keys_.find(a_); }).what(), HasSubstr("chmod go-w " + folder_.path().string()));
    EXPECT_EQ(error_of([&] { authorized_keys(folder_ / "new").add(a_); }).code(), errc::bad_input);
    EXPECT_FALSE(std::filesystem::exists(folder_ / "new"));
    ::chmod(folder_.path().c_str(), 01777);
    EXPECT_EQ(keys_.find(a_), "");
    ::chmod(folder_.path().c_str(), 0700);
}

TEST_F(authorized_keys_test, below_a_folder_that_others_can_write_is_refused) {
    const auto top = folder_ / "top", home = top / "home";
    const authorized_keys deep(home / "wherry" / "authorized_keys");
    deep.add(a_);
    const auto refused = [&] { return error_of([&] { deep.find(a_); }); };
    ::chmod(top.c_str(), 0777);
    EXPECT_THAT(refused().what(), HasSubstr("chmod go-w " + top.string()));
    EXPECT_EQ(error_of([&] { deep.add(b_); }).code(), errc::bad_input);
    ::chmod(top.c_str(), 01777);
    EXPECT_EQ(deep.find(a_), "");
    ::chmod(top.c_str(), 0777);

    // As with sshd, what is above the user's own folder is the system's.
    const char* const before = std::getenv("HOME");
    const std::string value = before != nullptr ? before : "";
    ::setenv("HOME", home.c_str(), 1);
    EXPECT_EQ(deep.find(a_), "");
    ::chmod(home.c_str(), 0770);
    EXPECT_THAT(refused().what(), HasSubstr("chmod go-w " + home.string()));
    before != nullptr ? ::setenv("HOME", value.c_str(), 1) : ::unsetenv("HOME");
}

TEST_F(authorized_keys_test, behind_a_link_through_a_folder_that_others_can_write_is_refused) {
    const authorized_keys real(folder_ / "shared" / "mine" / "keys");
    real.add(a_);
    std::filesystem::create_symlink(real.path(), file_);
    EXPECT_EQ(keys_.find(a_), "");
    ::chmod((folder_ / "shared").c_str(), 0777);
    EXPECT_THAT(error_of([&] { keys_.find(a_); }).what(), HasSubstr("chmod go-w " + (folder_ / "shared").string()));
}

TEST_F(authorized_keys_test, of_another_user_is_refused_by_root_too) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give files away";
    constexpr uid_t other = 1234;
    const authorized_keys deep(folder_ / "home" / "wherry" / "authorized_keys");
    deep.add(a_);
    for (const auto& path : {deep.path(), deep.path().parent_path(), folder_ / "home"}) {
        ASSERT_EQ(::chown(path.c_str(), other, 0), 0);
        EXPECT_THAT(error_of([&] { deep.find(a_); }).what(), HasSubstr(path.string() + " belongs to another user"));
        EXPECT_EQ(error_of([&] { deep.add(b_); }).code(), errc::bad_input);
        ASSERT_EQ(::chown(path.c_str(), 0, 0), 0);
    }
    EXPECT_EQ(deep.find(a_), "");
}

TEST_F(authorized_keys_test, of_root_serves_every_user) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
    constexpr uid_t user = 65534, other = 1234;
    const authorized_keys deep(folder_ / "home" / "authorized_keys");
    deep.add(a_);
    ::chmod(folder_.path().c_str(), 0755);
    ::chmod((folder_ / "home").c_str(), 0755);
    ::chmod(deep.path().c_str(), 0644);
    test::as_user(user, [&] { EXPECT_EQ(deep.find(a_), ""); });
    ASSERT_EQ(::chown((folder_ / "home").c_str(), other, 0), 0);
    test::as_user(
        user, [&] { EXPECT_THAT(error_of([&] { deep.find(a_); }).what(), HasSubstr("home belongs to another user")); });
}

TEST_F(authorized_keys_test, that_is_huge_is_refused) {
    write(std::string(1024 * 1024 + 1, '#'));
    EXPECT_THAT(error_of([&] { keys_.read(); }).what(), HasSubstr("larger than"));
}

TEST_F(authorized_keys_test, changes_the_file_behind_a_link) {
    std::filesystem::create_directory(folder_ / "dotfiles");
    const authorized_keys real(folder_ / "dotfiles" / "keys");
    real.add(a_);
    std::filesystem::create_symlink(real.path(), file_);
    keys_.add(b_);
    EXPECT_TRUE(std::filesystem::is_symlink(file_));
    EXPECT_EQ(real.read().entries.size(), 2u);
}

TEST_F(authorized_keys_test, leaves_no_temporary_files) {
    keys_.add(a_);
    keys_.remove(a_);
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path()))
        EXPECT_THAT(entry.path().filename().string(), ::testing::AnyOf("authorized_keys", "authorized_keys.lock"));
}

TEST_F(authorized_keys_test, loses_nothing_when_many_add_at_once) {
    constexpr int threads = 8, each = 4;
    std::vector<public_key> fresh;
    for (int i = 0; i < threads * each; ++i) fresh.push_back(private_key::generate(key_type::ed25519).public_part());
    std::vector<std::thread> running;
    for (int t = 0; t < threads; ++t)
        running.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) authorized_keys(file_).add(fresh[t * each + i], std::to_string(t));
        });
    for (auto& thread : running) thread.join();
    EXPECT_EQ(keys_.read().entries.size(), fresh.size());
    for (const auto& key : fresh) EXPECT_TRUE(keys_.find(key));
}

}  // namespace
}  // namespace wherry::keys
