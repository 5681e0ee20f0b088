// SPDX-License-Identifier: BSD-2-Clause
// What sink-filesystem remembers of deliveries after it was killed, and what it does about files that are there
// already.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "error_of.hpp"
#include "filesystem_sink.hpp"
#include "item_name.hpp"
#include "journal_record.hpp"
#include "temporary_folder.hpp"

namespace {

// Ends the process before the nth of the calls below; 0: never.
std::atomic<int> die_at{0};
std::atomic<int> calls{0};

void count_call() noexcept {
    if (die_at != 0 && ++calls == die_at) ::_exit(99);
}

}  // namespace

// In place of the C library's, for this program only.
extern "C" int fsync(int fd) {
    count_call();
    return static_cast<int>(::syscall(SYS_fsync, fd));
}
extern "C" int fdatasync(int fd) {
    count_call();
    return static_cast<int>(::syscall(SYS_fdatasync, fd));
}
extern "C" ssize_t write(int fd, const void* bytes, size_t count) {
    count_call();
    return ::syscall(SYS_write, fd, bytes, count);
}
extern "C" int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned how) noexcept {
    count_call();
    return static_cast<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, how));
}
extern "C" int unlinkat(int folder, const char* name, int flags) noexcept {
    count_call();
    return static_cast<int>(::syscall(SYS_unlinkat, folder, name, flags));
}

namespace wherry::filesystem {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

struct collected final : response {
    std::string text, outcome;
    using response::append;
    void append(const_bytes bytes) override { text += as_text(bytes); }
    void set_outcome(std::string_view word) override { outcome = word; }
};

identity key(std::string fingerprint) {
    identity who;
    who.fingerprint = std::move(fingerprint);
    return who;
}
const identity alice = key("SHA256:alice"), bob = key("SHA256:bob");

delivery_id id(unsigned number) {
    delivery_id made{};
    made[0] = static_cast<std::byte>(number);
    return made;
}

offer piped(std::string name, std::optional<delivery_id> id = std::nullopt) {
    offer what;
    what.kind = item_kind::data;
    what.name = std::move(name);
    what.id = id;
    return what;
}

offer file(std::string name, std::uint64_t size, std::optional<delivery_id> id = std::nullopt) {
    offer what;
    what.name = std::move(name);
    what.size = size;
    what.mtime = file_time{1'700'000'000, 5};
    what.id = id;
    return what;
}

offer update_of(offer what) {
    what.wants_resume = true;
    return what;
}

offer message(delivery_id id) {
    offer what;
    what.kind = item_kind::message;
    what.id = id;
    return what;
}

std::unique_ptr<delivery> begin(sink& into, const offer& what, const identity& who = alice) {
    return into.begin(what, {"192.0.2.7:4711", who});
}

// "stored as a", or with the outcome: "stored as a [already there]".
std::string told(const collected& answer) {
    return answer.outcome.empty() ? answer.text : answer.text + " [" + answer.outcome + "]";
}

std::string deliver(sink& into, const offer& what, std::string_view content, const identity& who = alice) {
    const auto item = begin(into, what, who);
    item->write(as_bytes(content).subspan(item->offset()));
    collected answer;
    item->finish(answer);
    return told(answer);
}

// As a receiver does when the sender offers again what it has not heard of: "before: stored as a" for what is known.
std::string deliver_again(sink& into, const offer& what, std::string_view content, const identity& who = alice) {
    {
        const auto item = begin(into, what, who);
        collected answer;
        if (item->already(answer)) {
            item->abort(delivery::partial::drop);
            return "before: " + told(answer);
        }
        item->abort(delivery::partial::keep);
    }
    return deliver(into, what, content, who);
}

std::string content_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return in ? all.str() : "(cannot be read)";
}

void write_file(const fs::path& path, std::string_view content) { std::ofstream(path, std::ios::binary) << content; }

class filesystem_journal : public testing::Test {
protected:
    filesystem_journal() { chosen.directory = (home / "in").string(); }

    fs::path in(const fs::path& name) const { return home / "in" / name; }
    fs::path journal_path() const { return in(partial_area_name) / "journal"; }

    // Everything but the partial area.
    std::vector<std::string> stored() const {
        std::vector<std::string> names;
        for (auto at = fs::recursive_directory_iterator(home / "in"); at != fs::recursive_directory_iterator(); ++at) {
            const auto name = at->path().lexically_relative(home / "in").string();
            if (name == partial_area_name)
                at.disable_recursion_pending();
            else if (!at->is_directory())
                names.push_back(name);
        }
        std::sort(names.begin(), names.end());
        return names;
    }

    // Runs a receiver that is killed before the nth call, or behind the answer of the last delivery. Returns whether it
    // lived until then.
    template <class Deliveries>
    bool run_and_die(int at_call, Deliveries&& deliveries) const {
        const auto child = ::fork();
        if (child == 0) {
            auto into = std::make_unique<sink>(chosen);
            calls = 0;
            die_at = at_call;
            deliveries(*into);
            ::_exit(0);  // killed: the sink does not end
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && (WEXITSTATUS(status) == 99 || WEXITSTATUS(status) == 0));
        return WEXITSTATUS(status) == 0;
    }

    // Writes a journal as a killed receiver would have left it.
    void put_journal(const std::vector<journal_entry>& entries, std::string_view behind = {}) const {
        auto bytes = journal_header();
        for (const auto& entry : entries) put(bytes, entry);
        fs::create_directories(in(partial_area_name));
        fs::permissions(in(partial_area_name), fs::perms::owner_all);
        write_file(journal_path(), std::string(as_text(bytes)) + std::string(behind));
    }

    // Of a file that stands there.
    journal_entry entry_of(const std::string& name, delivery_id number) const {
        const int fd = ::open(in(name).c_str(), O_RDONLY | O_CLOEXEC);
        const auto mark = mark_of(fd);
        ::close(fd);
        journal_entry entry;
        entry.fingerprint = alice.fingerprint;
        entry.id = number;
        entry.kind = item_kind::data;
        entry.path = name;
        entry.file = mark.value_or(file_mark{});
        entry.written = std::time(nullptr);
        return entry;
    }

    test::temporary_folder home;
    options chosen;
};

// ---- Killed ----

// Nothing of it has a size and a time, so that only the journal knows whether it was stored.
TEST_F(filesystem_journal, a_delivery_is_stored_once_wherever_the_receiver_is_killed) {
    for (const auto policy : {existing_policy::rename, existing_policy::overwrite, existing_policy::refuse})
        for (const auto& what : {piped("a", id(1)), piped("sub/deep/a", id(1)), message(id(1))}) {
            chosen.existing = policy;
            int was_known = 0, was_stored_later = 0;
            for (int at_call = 1;; ++at_call) {
                fs::remove_all(in(""));
                fs::create_directory(in(""));
                if (policy == existing_policy::overwrite && what.name == "a") write_file(in("a"), "old");
                const bool lived = run_and_die(at_call, [&](sink& into) { deliver(into, what, "content"); });
                sink into(chosen);
                const auto answer = deliver_again(into, what, "content");
                (answer.starts_with("before: ") ? was_known : was_stored_later)++;
                ASSERT_EQ(stored().size(), 1u) << "killed at call " << at_call << ": " << answer;
                EXPECT_EQ(content_of(in(stored()[0])), "content");
                EXPECT_THAT(answer, HasSubstr("stored as " + stored()[0]));
                if (!lived) continue;
                EXPECT_THAT(answer, HasSubstr("before: ")) << "it was answered";
                break;
            }
            EXPECT_GE(was_known, 2) << "behind the renaming, and behind the answer";
            EXPECT_GE(was_stored_later, 3) << "before the content was synced, the journal, the renaming";
        }
}

TEST_F(filesystem_journal, a_group_is_stored_once_wherever_the_receiver_is_killed) {
    const std::vector<offer> all = {piped("a", id(1)), piped("sub/b", id(2)), piped("a", id(3)), piped("c")};
    for (int at_call = 1;; ++at_call) {
        fs::remove_all(in(""));
        const bool lived = run_and_die(at_call, [&](sink& into) {
            std::vector<std::unique_ptr<delivery>> items;
            std::vector<collected> answers(all.size());
            std::vector<ending> endings;
            for (std::size_t i = 0; i < all.size(); ++i) {
                items.push_back(begin(into, all[i]));
                items.back()->write(as_bytes(all[i].name));
                endings.push_back({items.back().get(), &answers[i], std::nullopt});
            }
            into.finish_group(endings);
        });
        sink into(chosen);
        for (const auto& what : all)
            if (what.id) deliver_again(into, what, what.name);
        auto names = stored();
        std::erase(names, "c");
        EXPECT_THAT(names, ElementsAre("a", "a (1)", "sub/b")) << "killed at call " << at_call;
        if (lived) break;
    }
}

TEST_F(filesystem_journal, what_was_answered_is_known_after_a_kill_and_after_a_clean_end) {
    for (const bool is_killed : {true, false}) {
        const auto first = [&](sink& into) {
            deliver(into, piped("a", id(1)), "1");
            deliver(into, piped("a", id(2)), "2");
            deliver(into, message(id(3)), "3");
        };
        if (is_killed) {
            EXPECT_TRUE(run_and_die(0, first));
        } else {
            sink into(chosen);
            first(into);
        }
        const auto names = stored();
        sink into(chosen);
        EXPECT_EQ(deliver_again(into, piped("a", id(1)), "1"), "before: stored as a");
        EXPECT_EQ(deliver_again(into, piped("a", id(2)), "2"), "before: stored as a (1)");
        EXPECT_THAT(deliver_again(into, message(id(3)), "3"), HasSubstr("before: stored as message-"));
        EXPECT_EQ(stored(), names);
        fs::remove_all(in(""));
    }
}

TEST_F(filesystem_journal, only_the_very_delivery_is_known) {
    {
        sink into(chosen);
        deliver(into, file("a", 1, id(1)), "1");
    }
    sink into(chosen);
    const auto is_known = [&](const offer& what, const identity& who = alice) {
        const auto item = begin(into, what, who);
        collected answer;
        const bool known = item->already(answer);
        item->abort(delivery::partial::drop);
        return known;
    };
    EXPECT_TRUE(is_known(file("a", 1, id(1))));
    EXPECT_FALSE(is_known(file("a", 1, id(2)))) << "another id";
    EXPECT_FALSE(is_known(file("a", 1, id(1)), bob)) << "another key";
    EXPECT_FALSE(is_known(file("b", 1, id(1)))) << "another name";
    EXPECT_FALSE(is_known(file("a", 2, id(1)))) << "another size";
    EXPECT_FALSE(is_known(piped("a", id(1)))) << "another kind";
    auto later = file("a", 1, id(1));
    later.mtime->nanoseconds = 6;
    EXPECT_FALSE(is_known(later)) << "another time";
    EXPECT_TRUE(is_known(update_of(file("a", 1, id(1))))) << "whether it is to be resumed makes no difference";
}

TEST_F(filesystem_journal, an_entry_without_a_mark_counts_only_if_its_file_stands_there) {
    fs::create_directory(in(""));
    write_file(in("a"), "content");
    const auto entry = entry_of("a", id(1));
    const auto answer = [&](const journal_entry& left) {
        put_journal({left});
        sink into(chosen);
        const auto item = begin(into, piped("a", id(1)));
        collected told;
        return item->already(told) ? told.text : "not known";
    };
    EXPECT_EQ(answer(entry), "stored as a");
    auto other = entry;
    ++other.file.inode;
    EXPECT_EQ(answer(other), "not known");
    other = entry;
    ++other.file.size;
    EXPECT_EQ(answer(other), "not known");
    other = entry;
    ++other.file.device;
    EXPECT_EQ(answer(other), "not known");
    other = entry;
    if (other.file.birth) {
        other.file.birth->nanoseconds ^= 1;
        EXPECT_EQ(answer(other), "not known") << "the inode was used again";
        other = entry;
        ++other.file.modified.seconds;
        EXPECT_EQ(answer(other), "stored as a") << "it may have been touched since";
        other.file.birth.reset();
    } else {
        ++other.file.modified.seconds;
    }
    EXPECT_EQ(answer(other), "not known") << "without a birth time the time of modification counts";

    fs::rename(in("a"), in("a (7)"));
    EXPECT_EQ(answer(entry), "stored as a (7)");
    fs::rename(in("a (7)"), in("a (07)"));
    EXPECT_EQ(answer(entry), "not known") << "it was moved by hand";
    fs::create_directory(in("sub"));
    fs::rename(in("a (07)"), in("sub/a"));
    EXPECT_EQ(answer(entry), "not known");
    fs::create_symlink("sub/a", in("a"));
    EXPECT_EQ(answer(entry), "not known") << "a link is not followed";
}

// Another receiver of the folder may take it back.
TEST_F(filesystem_journal, a_file_that_a_delivery_works_on_does_not_count) {
    fs::create_directory(in(""));
    write_file(in("a"), "content");
    put_journal({entry_of("a", id(1))});
    const int held = ::open(in("a").c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(::flock(held, LOCK_EX), 0);
    sink into(chosen);
    collected answer;
    EXPECT_FALSE(begin(into, piped("a", id(1)))->already(answer));
    ::close(held);
    EXPECT_TRUE(begin(into, piped("a", id(1)))->already(answer));
}

TEST_F(filesystem_journal, a_delivery_that_failed_does_not_count) {
    fs::create_directory(in(""));
    write_file(in("a"), "content");
    auto bytes = journal_header();
    const auto reference = put(bytes, entry_of("a", id(1)));
    put(bytes, placed_mark{reference, placed_mark::withdrawn});
    fs::create_directories(in(partial_area_name));
    fs::permissions(in(partial_area_name), fs::perms::owner_all);
    write_file(journal_path(), as_text(bytes));
    sink into(chosen);
    collected answer;
    EXPECT_FALSE(begin(into, piped("a", id(1)))->already(answer));
}

TEST_F(filesystem_journal, what_is_marked_may_be_moved_away) {
    {
        sink into(chosen);
        deliver(into, piped("a", id(1)), "1");
    }
    fs::remove(in("a"));
    sink into(chosen);
    EXPECT_EQ(deliver_again(into, piped("a", id(1)), "1"), "before: stored as a");
    EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(filesystem_journal, what_was_answered_before_a_kill_may_be_moved_away) {
    EXPECT_TRUE(run_and_die(0, [&](sink& into) { deliver(into, piped("a", id(1)), "1"); }));
    fs::remove(in("a"));
    sink into(chosen);
    EXPECT_EQ(deliver_again(into, piped("a", id(1)), "1"), "before: stored as a");
}

TEST_F(filesystem_journal, what_is_found_at_the_start_may_be_moved_away_later) {
    fs::create_directory(in(""));
    write_file(in("a"), "1");
    put_journal({entry_of("a", id(1))});
    EXPECT_TRUE(run_and_die(0, [](sink&) {}));
    sink into(chosen);
    fs::remove(in("a"));
    EXPECT_EQ(deliver_again(into, piped("a", id(1)), "1"), "before: stored as a");
}

TEST_F(filesystem_journal, a_result_is_known_for_a_day) {
    fs::create_directory(in(""));
    write_file(in("a"), "content");
    auto entry = entry_of("a", id(1));
    entry.written -= 24 * 3600 + 1;
    put_journal({entry});
    sink into(chosen);
    collected answer;
    EXPECT_FALSE(begin(into, piped("a", id(1)))->already(answer));
}

TEST_F(filesystem_journal, the_newest_4096_results_of_a_key_are_known) {
    fs::create_directory(in(""));
    write_file(in("a"), "content");
    const auto numbered_id = [](unsigned number) {
        auto made = id(number & 0xFF);
        made[1] = static_cast<std::byte>(number >> 8);
        return made;
    };
    std::vector<journal_entry> entries;
    for (unsigned i = 0; i < 4097; ++i) entries.push_back(entry_of("a", numbered_id(i)));
    entries.push_back(entry_of("a", id(1)));
    entries.back().fingerprint = bob.fingerprint;
    put_journal(entries);
    sink into(chosen);
    collected answer;
    EXPECT_FALSE(begin(into, piped("a", numbered_id(0)))->already(answer));
    EXPECT_TRUE(begin(into, piped("a", numbered_id(1)))->already(answer));
    EXPECT_TRUE(begin(into, piped("a", numbered_id(4096)))->already(answer));
    EXPECT_TRUE(begin(into, piped("a", id(1)), bob)->already(answer)) << "another key's are not pushed out";
}

// ---- The file ----

TEST_F(filesystem_journal, receivers_of_one_folder_share_it) {
    auto one = std::make_unique<sink>(chosen);
    sink other(chosen);
    deliver(*one, piped("a", id(1)), "1");
    EXPECT_EQ(deliver_again(other, piped("a", id(1)), "1"), "before: stored as a");
    deliver(other, piped("b", id(2)), "2");
    EXPECT_EQ(deliver_again(*one, piped("b", id(2)), "2"), "before: stored as b");
    one.reset();
    deliver(other, piped("c", id(3)), "3");
    sink third(chosen);
    EXPECT_EQ(deliver_again(third, piped("a", id(1)), "1"), "before: stored as a");
    EXPECT_EQ(deliver_again(third, piped("c", id(3)), "3"), "before: stored as c");
    EXPECT_THAT(stored(), ElementsAre("a", "b", "c"));
}

TEST_F(filesystem_journal, is_not_there_where_nothing_is_to_be_remembered) {
    {
        sink into(chosen);
        deliver(into, piped("a"), "1");
        EXPECT_FALSE(fs::exists(journal_path()));
    }
    EXPECT_FALSE(fs::exists(in(partial_area_name)));
    chosen.partial_lifetime = std::chrono::milliseconds(0);
    {
        sink into(chosen);
        deliver(into, file("b", 1), "1");
    }
    EXPECT_FALSE(fs::exists(in(partial_area_name)));
    chosen.sync = durability::lazy;
    {
        sink into(chosen);
        deliver(into, piped("c", id(1)), "1");
    }
    EXPECT_FALSE(fs::exists(in(partial_area_name)));
}

TEST_F(filesystem_journal, goes_with_the_area_when_all_is_outdated) {
    fs::create_directory(in(""));
    write_file(in("a"), "content");
    auto entry = entry_of("a", id(1));
    entry.written -= 24 * 3600 + 1;
    put_journal({entry});
    { sink into(chosen); }
    EXPECT_FALSE(fs::exists(in(partial_area_name)));
}

TEST_F(filesystem_journal, of_a_newer_format_is_refused) {
    put_journal({});
    auto bytes = content_of(journal_path());
    bytes[11] = 2;
    write_file(journal_path(), bytes);
    const auto refusal = test::error_of([&] { sink into(chosen); });
    EXPECT_EQ(refusal.code(), errc::unsupported);
    EXPECT_THAT(
        refusal.what(),
        HasSubstr("the journal .wherry-partial/journal in the receiver's folder: it was written by a newer wherry "
                  "(format 2"));
    EXPECT_EQ(content_of(journal_path()), bytes);
    write_file(journal_path(), "something else");
    EXPECT_THAT(test::error_of([&] { sink into(chosen); }).what(),
                HasSubstr("it is no journal of wherry's; remove it"));
}

TEST_F(filesystem_journal, what_a_killed_receiver_began_to_write_is_cut_off) {
    for (const auto& behind : {"x"s, "\0\0\0\x04 less"s, "\0\0\0\x04 and a wrong check"s})
        for (const std::size_t header : {std::size_t{5}, std::size_t{12}}) {
            fs::remove_all(in(""));
            put_journal({}, behind);
            if (header < journal_header_bytes) fs::resize_file(journal_path(), header);
            {
                sink into(chosen);
                deliver(into, piped("a", id(1)), "1");
            }
            sink into(chosen);
            EXPECT_EQ(deliver_again(into, piped("a", id(1)), "1"), "before: stored as a");
        }
}

TEST_F(filesystem_journal, is_written_anew_when_it_has_grown) {
    fs::create_directory(in(""));
    write_file(in("old"), "content");
    std::vector<journal_entry> entries;
    for (unsigned i = 0; i < 12'000; ++i) {
        entries.push_back(entry_of("old", id(i)));
        entries.back().written -= 24 * 3600 + 1;
        entries.back().path = "long ago/" + std::string(40, 'x');
    }
    put_journal(entries);
    const auto size = fs::file_size(journal_path());
    ASSERT_GT(size, std::uintmax_t{1} << 20);
    sink into(chosen), other(chosen);
    deliver(into, piped("a", id(1)), "1");
    // It is, at the next delivery that finds it twice as large as it was.
    std::ofstream(journal_path(), std::ios::binary | std::ios::app) << content_of(journal_path()).substr(12);
    deliver(other, piped("b", id(2)), "2");
    deliver(into, piped("c", id(3)), "3");
    EXPECT_LT(fs::file_size(journal_path()), 4096u);
    for (auto* const receiver : {&into, &other}) {
        EXPECT_EQ(deliver_again(*receiver, piped("a", id(1)), "1"), "before: stored as a");
        EXPECT_EQ(deliver_again(*receiver, piped("b", id(2)), "2"), "before: stored as b");
        EXPECT_EQ(deliver_again(*receiver, piped("c", id(3)), "3"), "before: stored as c");
    }
}

TEST_F(filesystem_journal, that_cannot_be_written_fails_no_delivery) {
    std::vector<std::string> warnings;
    sink into(chosen, [&](const std::string& text) { warnings.push_back(text); });
    fs::create_directories(journal_path());
    EXPECT_EQ(deliver(into, piped("a", id(1)), "1"), "stored as a");
    EXPECT_THAT(stored(), ElementsAre("a"));
    ASSERT_FALSE(warnings.empty());
    EXPECT_THAT(warnings.back(), HasSubstr("may be stored twice"));
}

TEST_F(filesystem_journal, a_key_that_fits_no_record_hides_nothing) {
    {
        sink into(chosen);
        EXPECT_EQ(deliver(into, piped("a", id(1)), "1", key(std::string(2000, 'x'))), "stored as a");
        deliver(into, piped("b", id(2)), "2");
    }
    sink into(chosen);
    EXPECT_EQ(deliver_again(into, piped("b", id(2)), "2"), "before: stored as b");
}

TEST_F(filesystem_journal, a_name_of_any_length_fits_a_record) {
    std::string name;
    while (name.size() < 3900) name += std::string(99, 'x') + '/';
    name += 'a';
    {
        sink into(chosen);
        EXPECT_EQ(deliver(into, piped(name, id(1)), "1"), "stored as " + name);
    }
    sink into(chosen);
    EXPECT_EQ(deliver_again(into, piped(name, id(1)), "1"), "before: stored as " + name);
}

TEST_F(filesystem_journal, that_was_removed_by_hand_begins_anew) {
    sink into(chosen);
    deliver(into, piped("a", id(1)), "1");
    fs::remove_all(in(partial_area_name));
    deliver(into, piped("b", id(2)), "2");
    EXPECT_EQ(deliver_again(into, piped("b", id(2)), "2"), "before: stored as b");
    EXPECT_EQ(deliver_again(into, piped("a", id(1)), "1"), "stored as a (1)");
}

// ---- Already there ----

TEST_F(filesystem_journal, the_same_content_of_the_same_time_is_not_stored_again) {
    for (const auto policy : {existing_policy::rename, existing_policy::overwrite, existing_policy::refuse}) {
        chosen.existing = policy;
        sink into(chosen);
        deliver(into, file("sub/a", 7), "content");
        struct stat before {};
        ASSERT_EQ(::stat(in("sub/a").c_str(), &before), 0);
        EXPECT_EQ(deliver(into, file("sub/a", 7), "content"), "stored as sub/a [already there]");
        EXPECT_EQ(deliver(into, file("sub/a", 7), "content", bob), "stored as sub/a [already there]");
        struct stat after {};
        ASSERT_EQ(::stat(in("sub/a").c_str(), &after), 0);
        EXPECT_EQ(before.st_ino, after.st_ino);
        EXPECT_THAT(stored(), ElementsAre("sub/a"));
        fs::remove_all(in(""));
    }
}

TEST_F(filesystem_journal, a_file_that_got_another_name_is_not_stored_again) {
    fs::create_directory(in(""));
    write_file(in("a"), "by hand");
    sink into(chosen);
    EXPECT_EQ(deliver(into, file("a", 7), "content"), "stored as a (1)");
    EXPECT_EQ(deliver(into, file("a", 7), "content"), "stored as a (1) [already there]");
    EXPECT_EQ(deliver(into, file("a", 7), "content", bob), "stored as a (2)") << "another key";
}

TEST_F(filesystem_journal, a_file_that_may_be_taken_back_is_not_there_already) {
    sink into(chosen);
    deliver(into, file("a", 7), "content");
    const int held = ::open(in("a").c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(::flock(held, LOCK_EX), 0);
    EXPECT_EQ(deliver(into, file("a", 7), "content", bob), "stored as a (1)");
    ::close(held);
    EXPECT_EQ(deliver(into, file("a", 7), "content", bob), "stored as a [already there]");
}

TEST_F(filesystem_journal, what_was_there_already_is_compared_again_after_a_kill) {
    EXPECT_TRUE(run_and_die(0, [&](sink& into) {
        deliver(into, file("a", 7), "content");
        deliver(into, file("a", 7, id(1)), "content");
    }));
    sink into(chosen);
    EXPECT_EQ(deliver_again(into, file("a", 7, id(1)), "content"), "stored as a [already there]");
}

TEST_F(filesystem_journal, an_empty_file_is_there_already_too) {
    sink into(chosen);
    deliver(into, file("a", 0), "");
    EXPECT_EQ(deliver(into, file("a", 0), ""), "stored as a [already there]");
    EXPECT_EQ(deliver(into, update_of(file("a", 0)), ""), "stored as a [already there]");
}

TEST_F(filesystem_journal, at_any_difference_the_policy_decides) {
    sink into(chosen);
    const std::string large(300'000, 'x');
    auto other = large;
    other.back() = 'y';
    deliver(into, file("a", large.size()), large);
    EXPECT_EQ(deliver(into, file("a", large.size()), other), "stored as a (1)") << "the last byte";
    auto later = file("a", large.size());
    later.mtime->nanoseconds = 6;
    EXPECT_EQ(deliver(into, later, large), "stored as a (2)") << "the time";
    auto timeless = file("a", large.size());
    timeless.mtime.reset();
    EXPECT_EQ(deliver(into, timeless, large), "stored as a (3)") << "no time";
    EXPECT_EQ(deliver(into, file("a", 3), "xxx"), "stored as a (4)") << "the size";

    fs::rename(in("a"), in("b"));
    fs::create_symlink("b", in("a"));
    EXPECT_EQ(deliver(into, file("a", large.size()), large), "stored as a (5)") << "a link is not followed";
    fs::remove(in("a"));
    ASSERT_EQ(::mkfifo(in("a").c_str(), 0600), 0);
    EXPECT_EQ(deliver(into, file("a", large.size()), large), "stored as a (5) [already there]")
        << "a pipe is not read, but what this key stored is";

    chosen.existing = existing_policy::refuse;
    sink refusing(chosen);
    EXPECT_EQ(test::error_of([&] { deliver(refusing, file("b", large.size()), other); }).code(), errc::refused);
    EXPECT_EQ(test::error_of([&] { begin(refusing, file("b", 3)); }).code(), errc::refused)
        << "before anything has come, where the size tells";
}

TEST_F(filesystem_journal, a_comparison_ends_with_the_program) {
    sink into(chosen);
    chosen.least_kept = 1;
    sink ending_soon(chosen);
    deliver(into, file("a", 7), "content");
    auto what = update_of(file("a", 7));
    what.mtime->nanoseconds = 5;
    const auto item = begin(ending_soon, what, bob);
    item->write(as_bytes("content"));
    ending_soon.interrupt();
    collected answer;
    EXPECT_EQ(test::error_of([&] { item->finish(answer); }).code(), errc::cancelled);
    sink later(chosen);
    EXPECT_EQ(begin(later, what, bob)->offset(), 7u) << "what came is kept";
}

// ---- Update ----

TEST_F(filesystem_journal, what_this_key_stored_is_offered_whole) {
    {
        sink into(chosen);
        deliver(into, file("sub/a", 7), "content");
        deliver(into, file("sub/b", 7), "another");
        write_file(in("c"), "by hand");
        deliver(into, file("c", 7), "another");
    }
    sink into(chosen);
    const auto item = begin(into, update_of(file("sub/a", 7)));
    ASSERT_EQ(item->offset(), 7u);
    std::array<std::byte, 5> back{};
    ASSERT_EQ(item->read_back(0, back), 5u);
    EXPECT_EQ(as_text(back), "conte");
    ASSERT_EQ(item->read_back(5, back), 2u);
    EXPECT_EQ(item->read_back(7, back), 0u);
    EXPECT_THROW(item->write(as_bytes("more")), error);
    collected answer;
    item->finish(answer);
    EXPECT_EQ(told(answer), "stored as sub/a [already there]");
    EXPECT_EQ(deliver(into, update_of(file("c", 7)), "another"), "stored as c (1) [already there]");
    EXPECT_THAT(stored(), ElementsAre("c", "c (1)", "sub/a", "sub/b"));
}

TEST_F(filesystem_journal, anything_else_begins_at_0) {
    sink into(chosen);
    const auto what = update_of(file("a", 7));
    const auto offset = [&](const offer& offered, const identity& who = alice) {
        return begin(into, offered, who)->offset();
    };
    deliver(into, file("a", 7), "content");
    EXPECT_EQ(offset(what, bob), 0u) << "another key";
    EXPECT_EQ(offset(file("a", 7)), 0u) << "who did not ask";
    EXPECT_EQ(offset(update_of(file("a", 8))), 0u) << "another size";
    auto later = what;
    later.mtime->nanoseconds = 6;
    EXPECT_EQ(offset(later), 0u) << "another time";
    EXPECT_EQ(offset(what), 7u);

    fs::rename(in("a"), in("moved"));
    EXPECT_EQ(offset(what), 0u) << "moved away";
    fs::copy_file(in("moved"), in("a"));
    EXPECT_EQ(offset(what), 0u) << "another file";
    fs::rename(in("moved"), in("a"));
    EXPECT_EQ(offset(what), 7u) << "moved back";
    write_file(in("a"), "changed");
    EXPECT_EQ(offset(what), 0u) << "changed";
}

TEST_F(filesystem_journal, what_turned_out_to_differ_is_not_offered_again) {
    sink into(chosen);
    deliver(into, file("a", 7), "content");
    const auto what = update_of(file("a", 7));
    begin(into, what)->abort(delivery::partial::keep);
    EXPECT_EQ(begin(into, what)->offset(), 7u) << "the link was lost";
    begin(into, what)->abort(delivery::partial::drop);
    EXPECT_EQ(begin(into, what)->offset(), 0u);
    EXPECT_EQ(deliver(into, what, "changed"), "stored as a (1)");
    EXPECT_EQ(begin(into, what)->offset(), 7u) << "the newest of its name";
}

TEST_F(filesystem_journal, a_file_that_changes_while_it_is_compared_is_not_confirmed) {
    sink into(chosen);
    deliver(into, file("a", 7), "content");
    const auto item = begin(into, update_of(file("a", 7)));
    ASSERT_EQ(item->offset(), 7u);
    write_file(in("a"), "changed");
    collected answer;
    EXPECT_THAT(test::error_of([&] { item->finish(answer); }).what(), HasSubstr("changed while it was compared"));
}

TEST_F(filesystem_journal, what_was_there_already_is_known_as_this_keys_too) {
    sink into(chosen);
    deliver(into, file("a", 7), "content");
    deliver(into, file("a", 7), "content", bob);
    EXPECT_EQ(begin(into, update_of(file("a", 7)), bob)->offset(), 7u);
}

TEST_F(filesystem_journal, a_small_file_leaves_no_part) {
    sink into(chosen);
    const auto what = update_of(file("a", 7));
    const auto item = begin(into, what);
    item->write(as_bytes("cont"));
    item->abort(delivery::partial::keep);
    EXPECT_EQ(begin(into, what)->offset(), 0u);
}

// ---- Records ----

TEST(filesystem_journal_record, comes_back_as_it_was) {
    journal_entry entry;
    entry.fingerprint = "SHA256:x";
    entry.path = "sub/a";
    entry.kind = item_kind::message;
    entry.file = {1, 2, std::nullopt, 3, {-4, 5}};
    entry.written = 6;
    for (int present = 0; present < 16; ++present) {
        if (present & 1) entry.id = id(7);
        if (present & 2) entry.offered_size = 8;
        if (present & 4) entry.offered_time = file_time{-9, 10};
        if (present & 8) entry.file.birth = file_time{11, 12};
        std::vector<std::byte> bytes;
        const auto reference = put(bytes, entry);
        put(bytes, placed_mark{reference, 13});
        int entries = 0, marks = 0;
        const auto length = read_records(
            bytes,
            [&](const journal_entry& got, entry_reference known) {
                ++entries;
                EXPECT_EQ(known, reference);
                EXPECT_EQ(got.fingerprint, entry.fingerprint);
                EXPECT_EQ(got.id, entry.id);
                EXPECT_EQ(got.kind, entry.kind);
                EXPECT_EQ(got.offered_size, entry.offered_size);
                EXPECT_EQ(got.offered_time, entry.offered_time);
                EXPECT_EQ(got.path, entry.path);
                EXPECT_EQ(got.file, entry.file);
                EXPECT_EQ(got.written, entry.written);
            },
            [&](const placed_mark& mark) {
                ++marks;
                EXPECT_EQ(mark.entry, reference);
                EXPECT_EQ(mark.number, 13u);
            });
        EXPECT_EQ(length, bytes.size());
        EXPECT_EQ(entries, 1);
        EXPECT_EQ(marks, 1);
        entry.id.reset(), entry.offered_size.reset(), entry.offered_time.reset(), entry.file.birth.reset();
    }
}

TEST(filesystem_journal_record, is_not_read_beyond_a_wrong_byte) {
    journal_entry entry;
    std::vector<std::byte> bytes;
    put(bytes, entry);
    const auto first = bytes.size();
    put(bytes, entry);
    for (std::size_t i = first; i < bytes.size(); ++i) {
        auto changed = bytes;
        changed[i] ^= std::byte{1};
        EXPECT_EQ(read_records(
                      changed, [](const journal_entry&, entry_reference) {}, [](const placed_mark&) {}),
                  first)
            << i;
    }
}

}  // namespace
}  // namespace wherry::filesystem
