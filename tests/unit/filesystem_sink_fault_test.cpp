// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <latch>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "error_of.hpp"
#include "filesystem_sink.hpp"
#include "temporary_folder.hpp"

namespace {

// What a disk that is going bad does: syncing a folder fails, after something else has happened meanwhile.
std::atomic<bool> folders_fail{false};
std::atomic<ino_t> failing_folder{0};  // only this one; 0: all
std::atomic<off_t> failing_size{0};    // of files, those of this size; 0: none
std::function<void()> meanwhile;
std::atomic<int> folder_syncs{0};
// Which of the other calls fail, and how many there were.
std::atomic<bool> exchanges_fail{false};
std::atomic<bool> removals_fail{false};
std::atomic<bool> disk_fails{false};
std::atomic<int> disk_syncs{0};
std::atomic<int> sleeps{0};
// Called before each sync of a file or a folder.
std::function<void(const struct stat& what)> watcher;
// Called once, before two names are exchanged.
std::function<void()> before_exchange;

}  // namespace

// In place of the C library's, for this program only.
extern "C" int fsync(int fd) {
    struct stat what {};
    const bool is_known = ::fstat(fd, &what) == 0;
    const bool is_folder = is_known && S_ISDIR(what.st_mode);
    if (watcher) watcher(what);
    if (is_folder) ++folder_syncs;
    if (is_known && !is_folder && failing_size != 0 && what.st_size == failing_size) {
        errno = EIO;
        return -1;
    }
    if (folders_fail && is_folder && (failing_folder == 0 || failing_folder == what.st_ino)) {
        if (meanwhile) std::exchange(meanwhile, nullptr)();
        errno = EIO;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_fsync, fd));
}

extern "C" int nanosleep(const struct timespec* time, struct timespec* left) {
    ++sleeps;
    return static_cast<int>(::syscall(SYS_nanosleep, time, left));
}

extern "C" int syncfs(int fd) noexcept {
    ++disk_syncs;
    if (!disk_fails) return static_cast<int>(::syscall(SYS_syncfs, fd));
    errno = EIO;
    return -1;
}

extern "C" int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned how) noexcept {
    if (how == RENAME_EXCHANGE && before_exchange) std::exchange(before_exchange, nullptr)();
    if (!exchanges_fail || how != RENAME_EXCHANGE)
        return static_cast<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, how));
    errno = EIO;
    return -1;
}

extern "C" int unlinkat(int folder, const char* name, int flags) noexcept {
    if (!removals_fail) return static_cast<int>(::syscall(SYS_unlinkat, folder, name, flags));
    errno = EIO;
    return -1;
}

namespace wherry::filesystem {
namespace {

class filesystem_sink_fault : public testing::Test {
protected:
    filesystem_sink_fault() {
        chosen.directory = (folder.path() / "in").string();
        chosen.least_kept = 0;
        peer.fingerprint = "SHA256:test";
    }
    ~filesystem_sink_fault() override {
        folders_fail = false;
        failing_folder = 0;
        failing_size = 0;
        meanwhile = nullptr;
        watcher = nullptr;
        before_exchange = nullptr;
        exchanges_fail = removals_fail = disk_fails = false;
    }

    struct ignored final : response {
        using response::append;
        void append(const_bytes) override {}
        void set_outcome(std::string_view) override {}
    };

    std::unique_ptr<delivery> begin(sink& into, const std::string& name, const std::string& content) {
        offer what;
        what.name = name;
        what.size = content.size();
        auto item = into.begin(what, {"test", peer});
        item->write(as_bytes(content));
        return item;
    }
    void deliver(sink& into, const std::string& name, const std::string& content) {
        ignored answer;
        begin(into, name, content)->finish(answer);
    }
    // A file that may be kept.
    offer resumable(const std::string& name, std::uint64_t size, std::uint32_t mode = 0600) const {
        offer what;
        what.name = name;
        what.size = size;
        what.mode = mode;
        what.mtime = file_time{1'000'000'000, 0};
        what.wants_resume = true;
        return what;
    }
    std::unique_ptr<delivery> begin(sink& into, const offer& what, const std::string& content) {
        auto item = into.begin(what, {"test", peer});
        item->write(as_bytes(content).subspan(std::min<std::size_t>(content.size(), item->offset())));
        return item;
    }
    void deliver(sink& into, const offer& what, const std::string& content) {
        ignored answer;
        begin(into, what, content)->finish(answer);
    }
    // Runs a receiver that is killed at the nth sync.
    void deliver_and_die(const offer& what, const std::string& content, int at_sync) {
        const auto child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            int left = at_sync;
            sink into(chosen);
            watcher = [&](const struct stat&) {
                if (--left == 0) ::_exit(99);
            };
            deliver(into, what, content);
            ::_exit(0);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 99) << "it was not killed";
    }
    std::string path_of(const std::string& name) const { return chosen.directory + "/" + name; }
    struct stat stat_of(const std::string& name) const {
        struct stat now {};
        EXPECT_EQ(::lstat(path_of(name).c_str(), &now), 0) << name;
        return now;
    }
    // Whether a file with this content lies in the partial area.
    bool lies_in_area(const std::string& content) const {
        std::error_code missing;
        for (const auto& entry : std::filesystem::directory_iterator(chosen.directory + "/.wherry-partial", missing))
            if (content_of(".wherry-partial/" + entry.path().filename().string()) == content) return true;
        return false;
    }
    // As one group. The codes of those that failed.
    std::vector<std::optional<errc>> deliver(sink& into,
                                             const std::vector<std::pair<std::string, std::string>>& items) {
        ignored answer;
        std::vector<std::unique_ptr<delivery>> open;
        std::vector<ending> all;
        for (const auto& [name, content] : items) {
            open.push_back(begin(into, name, content));
            all.push_back({open.back().get(), &answer, std::nullopt});
        }
        into.finish_group(all);
        std::vector<std::optional<errc>> failures;
        for (const auto& one : all) failures.push_back(one.failure ? std::optional(one.failure->code()) : std::nullopt);
        return failures;
    }
    ino_t inode_of(const std::string& name) const {
        struct stat now {};
        EXPECT_EQ(::stat((chosen.directory + "/" + name).c_str(), &now), 0);
        return now.st_ino;
    }
    // In the partial area, without the journal and the format.
    std::size_t partial_count() const {
        const std::filesystem::directory_iterator all(chosen.directory + "/.wherry-partial"), end;
        return static_cast<std::size_t>(std::count_if(all, end, [](const auto& entry) {
            return entry.path().filename() != "journal" && entry.path().filename() != "format";
        }));
    }
    std::string content_of(const std::string& name) const {
        std::ifstream file(chosen.directory + "/" + name);
        std::stringstream all;
        all << file.rdbuf();
        return file ? all.str() : "(there is none)";
    }

    test::temporary_folder folder;
    options chosen;
    identity peer;
};

TEST_F(filesystem_sink_fault, a_new_file_that_cannot_be_made_durable_is_taken_back) {
    sink into(chosen);
    folders_fail = true;
    EXPECT_EQ(test::error_of([&] { deliver(into, "a", "new"); }).code(), errc::io);
    EXPECT_EQ(content_of("a"), "(there is none)");
}

TEST_F(filesystem_sink_fault, an_old_file_comes_back_if_the_new_one_cannot_be_made_durable) {
    chosen.existing = existing_policy::overwrite;
    sink into(chosen);
    deliver(into, "a", "old");
    folders_fail = true;
    EXPECT_EQ(test::error_of([&] { deliver(into, "a", "new"); }).code(), errc::io);
    EXPECT_EQ(content_of("a"), "old");
    folders_fail = false;
    deliver(into, "a", "newer");
    EXPECT_EQ(content_of("a"), "newer");
}

TEST_F(filesystem_sink_fault, what_another_delivery_has_put_there_meanwhile_stays) {
    for (const auto policy : {existing_policy::rename, existing_policy::overwrite}) {
        chosen.existing = policy;
        sink into(chosen);
        deliver(into, "a", "old");
        const std::string name = policy == existing_policy::rename ? "a (1)" : "a";
        meanwhile = [&] {
            // The other delivery's own sync succeeds.
            folders_fail = false;
            if (policy == existing_policy::rename) ::unlink((chosen.directory + "/" + name).c_str());
            deliver(into, name, "another's");
        };
        folders_fail = true;
        EXPECT_EQ(test::error_of([&] { deliver(into, "a", "new"); }).code(), errc::io);
        EXPECT_EQ(content_of(name), "another's");
    }
}

TEST_F(filesystem_sink_fault, a_folder_that_could_not_be_made_durable_is_not_taken_for_durable_later) {
    sink into(chosen);
    folders_fail = true;
    EXPECT_EQ(test::error_of([&] { deliver(into, "sub/a", "x"); }).code(), errc::io);
    struct stat none {};
    EXPECT_NE(::stat((chosen.directory + "/sub").c_str(), &none), 0);
}

// ---- Files that may be kept ----

TEST_F(filesystem_sink_fault, attributes_are_set_after_the_content_of_a_resumable_file_is_synced) {
    using seen = std::vector<std::pair<mode_t, bool>>;
    seen syncs;
    watcher = [&](const struct stat& what) {
        if (S_ISREG(what.st_mode)) syncs.emplace_back(what.st_mode & 07777, what.st_mtim.tv_sec == 1'000'000'000);
    };
    sink into(chosen);
    auto what = resumable("a", 3, 0400);
    deliver(into, what, "abc");
    EXPECT_EQ(syncs, (seen{{0600, false}, {0400, true}}));
    syncs.clear();
    what.wants_resume = false;
    deliver(into, what, "abc");
    EXPECT_EQ(syncs, (seen{{0400, true}})) << "a file that is of no use after a cut is synced once";
}

TEST_F(filesystem_sink_fault, a_groups_attributes_are_set_after_the_content_of_resumable_files_is_synced) {
    std::vector<std::pair<off_t, mode_t>> syncs;
    watcher = [&](const struct stat& what) {
        if (S_ISREG(what.st_mode)) syncs.emplace_back(what.st_size, what.st_mode & 07777);
    };
    sink into(chosen);
    auto passing = resumable("b", 2, 0444);
    passing.wants_resume = false;
    const auto first = begin(into, resumable("a", 1, 0400), "1"), second = begin(into, passing, "22"),
               third = begin(into, resumable("c", 3, 0), "333");
    ignored answer;
    std::vector<ending> all = {{first.get(), &answer, {}}, {second.get(), &answer, {}}, {third.get(), &answer, {}}};
    into.finish_group(all);
    for (const auto& one : all) EXPECT_FALSE(one.failure);
    EXPECT_THAT(syncs, testing::ElementsAre(std::pair(1, 0600), std::pair(3, 0600), std::pair(1, 0400),
                                            std::pair(2, 0444), std::pair(3, 0)));
    EXPECT_EQ(stat_of("a").st_mode & 07777, 0400u);
    EXPECT_EQ(stat_of("c").st_mode & 07777, 0u);
    EXPECT_EQ(partial_count(), 0u);
}

TEST_F(filesystem_sink_fault, a_file_that_a_kill_left_during_a_sync_is_resumed) {
    std::filesystem::create_directory(chosen.directory);
    for (const mode_t mode : {0444u, 0400u, 0200u, 0u})
        for (const int at_sync : {1, 2, 3}) {
            const auto name = std::to_string(mode) + "-" + std::to_string(at_sync);
            const auto what = resumable(name, 3, mode);
            deliver_and_die(what, "abc", at_sync);
            sink into(chosen);
            EXPECT_EQ(partial_count(), at_sync == 3 ? 0u : 1u);
            if (at_sync == 3) continue;  // it has its name, and waits for its folder
            const auto item = begin(into, what, "abc");
            EXPECT_EQ(item->offset(), 3u) << name;
            ignored answer;
            item->finish(answer);
            EXPECT_EQ(stat_of(name).st_mode & 07777, mode);
            EXPECT_EQ(stat_of(name).st_mtim.tv_sec, 1'000'000'000);
            EXPECT_EQ(partial_count(), 0u);
        }
}

TEST_F(filesystem_sink_fault, an_ending_delivery_is_neither_mended_nor_cleared) {
    for (const auto policy : {existing_policy::rename, existing_policy::overwrite})
        for (const bool may_be_kept : {true, false}) {
            chosen.existing = policy;
            sink into(chosen);
            if (!may_be_kept) std::ofstream(path_of("a")) << "old";
            auto what = resumable("a", 3, 0);
            what.wants_resume = may_be_kept;
            const auto item = begin(into, what, "abc");
            int syncs = 0;
            std::string second_answer;
            watcher = [&](const struct stat&) {
                if (++syncs != (may_be_kept ? 2 : 1)) return;
                // The file has its final mode while another receiver starts.
                sink other(chosen);
                const auto second = other.begin(resumable("a", 3, 0), {"test", peer});
                EXPECT_EQ(second->offset(), 0u);
                second->abort(delivery::partial::drop);
            };
            ignored answer;
            item->finish(answer);
            watcher = nullptr;
            const auto name = policy == existing_policy::rename && !may_be_kept ? "a (1)" : "a";
            EXPECT_EQ(stat_of(name).st_mode & 07777, 0u);
            EXPECT_EQ(stat_of(name).st_size, 3);
            EXPECT_EQ(partial_count(), 0u);
            std::filesystem::remove_all(chosen.directory);
        }
}

TEST_F(filesystem_sink_fault, another_delivery_may_use_the_partial_name_of_a_placed_file) {
    for (const auto policy : {existing_policy::rename, existing_policy::overwrite}) {
        chosen.existing = policy;
        sink into(chosen);
        deliver(into, "a", "old");
        const auto what = resumable("a", 3);
        std::unique_ptr<delivery> second;
        meanwhile = [&] { second = begin(into, what, "ab"); };
        folders_fail = true;
        EXPECT_EQ(test::error_of([&] { deliver(into, what, "abc"); }).code(), errc::io);
        folders_fail = false;
        ASSERT_TRUE(second);
        EXPECT_EQ(second->offset(), 0u) << "the old file is not what came of the new one";
        second->abort(delivery::partial::keep);
        second = begin(into, what, "abc");
        EXPECT_EQ(second->offset(), 2u);
        ignored answer;
        second->finish(answer);
        EXPECT_EQ(content_of(policy == existing_policy::rename ? "a (1)" : "a"), "abc");
        EXPECT_EQ(partial_count(), 0u);
        std::filesystem::remove_all(chosen.directory);
    }
}

TEST_F(filesystem_sink_fault, the_quota_tells_two_deliveries_apart_that_have_one_key) {
    chosen.quota = 100 + 3 * entry_bytes;
    sink into(chosen);
    const auto what = resumable("a", 30);
    std::unique_ptr<delivery> second;
    watcher = [&](const struct stat& synced) {
        if (S_ISDIR(synced.st_mode) && !second) second = begin(into, what, std::string(20, 'x'));
    };
    deliver(into, what, std::string(30, 'x'));
    watcher = nullptr;
    ASSERT_TRUE(second);
    // 30 are stored and 30 promised. The sink finds one more file at its next count, which it delays.
    std::ofstream(path_of("by hand")) << "x";
    const auto refusal = [&] {
        return std::string(test::error_of([&] { begin(into, "b", std::string(41, 'x')); }).what());
    };
    auto told = refusal();
    while (told.find("only 4.04 KiB") != told.npos) told = refusal();
    EXPECT_THAT(told, testing::HasSubstr("only 39 B is left"));
}

TEST_F(filesystem_sink_fault, another_receiver_may_take_back_the_right_to_write_that_it_had_lent) {
    chosen.existing = existing_policy::overwrite;
    sink into(chosen);
    deliver(into, "a/x", "old");
    const auto set_mode = [&] { ASSERT_EQ(::chmod(path_of("a").c_str(), 0500), 0); };
    set_mode();
    before_exchange = set_mode;
    deliver(into, "a/x", "new");
    std::string content;
    std::ifstream(path_of("a/x")) >> content;
    EXPECT_EQ(content, "new");
    struct stat now {};
    EXPECT_EQ(::stat(path_of("a").c_str(), &now), 0);
    EXPECT_EQ(now.st_mode & 07777, 0500u);
    ::chmod(path_of("a").c_str(), 0700);
}

// ---- Old files, while the new one is not synced ----

void make_old(const std::string& path, int kind) {
    if (kind == 0) {
        ASSERT_EQ(::symlink("nowhere", path.c_str()), 0);
        return;
    }
    std::ofstream(path) << "old";
    ASSERT_EQ(::chmod(path.c_str(), kind == 1 ? 0 : kind == 2 ? 0444 : 0644), 0);
}

TEST_F(filesystem_sink_fault, an_old_file_that_a_kill_left_is_no_obstacle) {
    chosen.existing = existing_policy::overwrite;
    for (const bool may_be_kept : {true, false})
        for (const int kind : {0, 1, 2, 3}) {
            std::filesystem::create_directory(chosen.directory);
            make_old(path_of("a"), kind);
            auto what = resumable("a", 3, 0444);
            what.wants_resume = may_be_kept;
            deliver_and_die(what, "abc", may_be_kept ? 3 : 2);
            EXPECT_EQ(content_of("a"), "abc");
            EXPECT_EQ(partial_count(), 1u) << "the old file";
            {
                sink into(chosen);
                EXPECT_EQ(partial_count(), 0u);
                deliver(into, what, "abc");
                EXPECT_EQ(content_of("a"), "abc");
                EXPECT_EQ(partial_count(), 0u);
            }
            std::filesystem::remove_all(chosen.directory);
        }
}

TEST_F(filesystem_sink_fault, no_other_receiver_clears_an_old_file_that_may_come_back) {
    chosen.existing = existing_policy::overwrite;
    for (const bool may_be_kept : {true, false})
        for (const int kind : {0, 1, 2, 3}) {
            std::filesystem::create_directory(chosen.directory);
            make_old(path_of("a"), kind);
            const auto old = stat_of("a");
            sink into(chosen);
            auto what = resumable("a", 3);
            what.wants_resume = may_be_kept;
            meanwhile = [&] {
                EXPECT_EQ(content_of("a"), "abc");
                sink other(chosen);
                EXPECT_EQ(partial_count(), 1u);
            };
            folders_fail = true;
            EXPECT_EQ(test::error_of([&] { deliver(into, what, "abc"); }).code(), errc::io);
            folders_fail = false;
            EXPECT_EQ(stat_of("a").st_ino, old.st_ino);
            EXPECT_EQ(stat_of("a").st_mode, old.st_mode);
            EXPECT_EQ(partial_count(), 0u);
            std::filesystem::remove_all(chosen.directory);
        }
}

TEST_F(filesystem_sink_fault, an_old_file_that_cannot_come_back_stays_and_it_is_told) {
    chosen.existing = existing_policy::overwrite;
    for (const bool is_group : {false, true}) {
        sink into(chosen);
        deliver(into, "a", "old");
        meanwhile = [] { exchanges_fail = true; };
        folders_fail = true;
        std::optional<error> told;
        ignored answer;
        {
            const auto item = begin(into, resumable("a", 3), "new");
            std::vector<ending> all = {{item.get(), &answer, {}}};
            if (is_group) {
                into.finish_group(all);
                told = all[0].failure;
            } else {
                told = test::error_of([&] { item->finish(answer); });
            }
        }
        folders_fail = exchanges_fail = false;
        ASSERT_TRUE(told);
        EXPECT_EQ(told->code(), errc::io);
        EXPECT_THAT(told->what(), testing::HasSubstr("cannot be taken back"));
        EXPECT_EQ(content_of("a"), "new");
        EXPECT_TRUE(lies_in_area("old"));
        // A new receiver does not remove the old file while the new one may still be lost.
        disk_fails = true;
        { sink again(chosen); }
        EXPECT_TRUE(lies_in_area("old"));
        disk_fails = false;
        sink again(chosen);
        EXPECT_EQ(partial_count(), 0u);
        EXPECT_EQ(content_of("a"), "new");
        std::filesystem::remove_all(chosen.directory);
    }
}

TEST_F(filesystem_sink_fault, a_file_replaces_what_has_just_come_but_no_folder) {
    chosen.existing = existing_policy::overwrite;
    for (const bool is_folder : {false, true}) {
        sink into(chosen);
        deliver(into, "a", "old");
        before_exchange = [&] {
            std::filesystem::remove(path_of("a"));
            if (!is_folder) return;
            std::filesystem::create_directory(path_of("a"));
            std::ofstream(path_of("a/b")) << "precious";
        };
        if (is_folder) {
            EXPECT_EQ(test::error_of([&] { deliver(into, "a", "new"); }).code(), errc::refused);
            EXPECT_EQ(content_of("a/b"), "precious");
        } else {
            deliver(into, "a", "new");
            EXPECT_EQ(content_of("a"), "new");
        }
        EXPECT_EQ(partial_count(), 0u);
    }
}

TEST_F(filesystem_sink_fault, a_new_file_that_cannot_be_taken_back_is_told) {
    sink into(chosen);
    meanwhile = [] { removals_fail = true; };
    folders_fail = true;
    const auto told = test::error_of([&] { deliver(into, "a", "new"); });
    EXPECT_EQ(told.code(), errc::io);
    EXPECT_THAT(told.what(), testing::HasSubstr("cannot be taken back"));
    EXPECT_EQ(content_of("a"), "new");
    removals_fail = false;
    EXPECT_THAT(test::error_of([&] { deliver(into, "b", "new"); }).what(),
                testing::Not(testing::HasSubstr("cannot be taken back")));
}

TEST_F(filesystem_sink_fault, nothing_is_cleared_that_the_disk_may_still_need) {
    sink into(chosen);
    const auto leave = [&] {
        ::mkdir(path_of(".wherry-partial").c_str(), 0700);  // the last receiver that ended removed it
        std::ofstream(path_of(".wherry-partial/new-01")) << "old";
    };
    disk_syncs = 0;
    { sink again(chosen); }
    {
        const auto under_way = begin(into, "a", "x"), may_be_kept = begin(into, resumable("a", 3), "x");
        sink again(chosen);
    }
    EXPECT_EQ(disk_syncs, 0) << "there is nothing to clear";
    leave();
    disk_fails = true;
    { sink again(chosen); }
    EXPECT_TRUE(lies_in_area("old"));
    disk_fails = false;
    { sink again(chosen); }
    EXPECT_EQ(disk_syncs, 2);
    chosen.sync = durability::lazy;
    disk_fails = true;
    sink lazy(chosen);
    leave();
    { sink again(chosen); }
    EXPECT_FALSE(lies_in_area("old"));
}

// ---- Groups ----

constexpr auto none = std::nullopt;
using failures = std::vector<std::optional<errc>>;

TEST_F(filesystem_sink_fault, a_group_syncs_each_folder_once) {
    sink into(chosen);
    deliver(into, "one/a", "x");
    deliver(into, "two/a", "x");
    folder_syncs = 0;
    EXPECT_EQ(deliver(into, {{"one/b", "1"}, {"two/b", "2"}, {"one/c", "3"}, {"two/c", "4"}, {"one/d", "5"}}),
              failures(5, none));
    EXPECT_EQ(folder_syncs, 2);
}

TEST_F(filesystem_sink_fault, a_group_waits_for_descriptors_once) {
    sink into(chosen);
    ignored answer;
    std::vector<std::unique_ptr<delivery>> open;
    std::vector<ending> all;
    for (const std::string name : {"one/a", "two/a", "three/a", "four/a"}) {
        open.push_back(begin(into, name, "x"));
        all.push_back({open.back().get(), &answer, std::nullopt});
    }
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none_left{0, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none_left), 0);
    sleeps = 0;
    into.finish_group(all);
    ::setrlimit(RLIMIT_NOFILE, &before);
    for (const auto& one : all) {
        EXPECT_EQ(one.failure.value().code(), errc::exhausted);
        EXPECT_THAT(one.failure->what(), testing::Not(testing::HasSubstr("the folder the")));
    }
    // Ten seconds at the most, of ten milliseconds at the least.
    EXPECT_GT(sleeps, 0);
    EXPECT_LE(sleeps, 1000);
}

TEST_F(filesystem_sink_fault, deliveries_that_end_together_do_not_keep_descriptors_from_each_other) {
    constexpr std::size_t count = 8;
    sink into(chosen);
    std::vector<std::unique_ptr<delivery>> open;
    for (std::size_t i = 0; i < count; ++i) open.push_back(begin(into, std::to_string(i), "x"));
    std::latch all_hold(count);
    watcher = [&](const struct stat& what) {
        if (S_ISREG(what.st_mode)) all_hold.arrive_and_wait();
    };
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const int next = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    ::close(next);
    const rlimit one_for_each{static_cast<rlim_t>(next) + count, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &one_for_each), 0);
    std::vector<std::future<void>> ended;
    for (auto& item : open)
        ended.push_back(std::async(std::launch::async, [&item] {
            ignored answer;
            item->finish(answer);
        }));
    for (auto& one : ended) EXPECT_NO_THROW(one.get());
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(content_of("7"), "x");
}

TEST_F(filesystem_sink_fault, of_a_group_all_of_the_folder_that_fails_is_taken_back) {
    for (const auto policy : {existing_policy::rename, existing_policy::refuse, existing_policy::overwrite}) {
        chosen.existing = policy;
        std::filesystem::remove_all(chosen.directory);
        sink into(chosen);
        deliver(into, "good/old", "x");
        deliver(into, "bad/old", "x");
        failing_folder = inode_of("bad");
        folders_fail = true;
        EXPECT_EQ(deliver(into, {{"bad/a", "1"}, {"good/a", "2"}, {"bad/b", "3"}, {"good/b", "4"}}),
                  (failures{errc::io, none, errc::io, none}));
        folders_fail = false;
        EXPECT_EQ(content_of("bad/a"), "(there is none)");
        EXPECT_EQ(content_of("bad/b"), "(there is none)");
        EXPECT_EQ(content_of("good/a"), "2");
        EXPECT_EQ(content_of("good/b"), "4");
        EXPECT_EQ(content_of("bad/old"), "x");
        EXPECT_EQ(partial_count(), 0u);
    }
}

TEST_F(filesystem_sink_fault, of_a_group_the_old_files_come_back) {
    chosen.existing = existing_policy::overwrite;
    sink into(chosen);
    deliver(into, "a", "old a");
    deliver(into, "b", "old b");
    folders_fail = true;
    EXPECT_EQ(deliver(into, {{"a", "1"}, {"b", "2"}, {"c", "3"}}), failures(3, errc::io));
    folders_fail = false;
    EXPECT_EQ(content_of("a"), "old a");
    EXPECT_EQ(content_of("b"), "old b");
    EXPECT_EQ(content_of("c"), "(there is none)");
    EXPECT_EQ(partial_count(), 0u);
}

TEST_F(filesystem_sink_fault, the_old_file_comes_back_where_several_of_a_group_took_its_place) {
    chosen.existing = existing_policy::overwrite;
    sink into(chosen);
    deliver(into, "a", "old");
    folders_fail = true;
    EXPECT_EQ(deliver(into, {{"a", "1"}, {"a", "2"}, {"a", "3"}}), failures(3, errc::io));
    EXPECT_EQ(content_of("a"), "old");
    EXPECT_EQ(partial_count(), 0u);
    // And nothing comes back where nothing was.
    EXPECT_EQ(deliver(into, {{"b", "1"}, {"b", "2"}, {"b", "3"}}), failures(3, errc::io));
    EXPECT_EQ(content_of("b"), "(there is none)");
    EXPECT_EQ(partial_count(), 0u);
}

TEST_F(filesystem_sink_fault, of_one_name_in_a_group_all_are_taken_back_under_each_policy) {
    for (const auto policy : {existing_policy::rename, existing_policy::refuse}) {
        chosen.existing = policy;
        std::filesystem::remove_all(chosen.directory);
        sink into(chosen);
        const auto taken = policy == existing_policy::rename ? errc::io : errc::refused;
        folders_fail = true;
        EXPECT_EQ(deliver(into, {{"a", "1"}, {"a", "2"}}), (failures{errc::io, taken}));
        folders_fail = false;
        EXPECT_EQ(content_of("a"), "(there is none)");
        EXPECT_EQ(content_of("a (1)"), "(there is none)");
        EXPECT_EQ(partial_count(), 0u);
    }
}

TEST_F(filesystem_sink_fault, of_a_group_what_another_delivery_has_put_there_meanwhile_stays) {
    chosen.existing = existing_policy::overwrite;
    sink into(chosen);
    deliver(into, "a", "old a");
    deliver(into, "b", "old b");
    meanwhile = [&] {
        folders_fail = false;
        deliver(into, "a", "another's");
    };
    folders_fail = true;
    EXPECT_EQ(deliver(into, {{"a", "1"}, {"b", "2"}}), failures(2, errc::io));
    EXPECT_EQ(content_of("a"), "another's");
    EXPECT_EQ(content_of("b"), "old b");
}

TEST_F(filesystem_sink_fault, of_a_group_a_file_that_cannot_be_made_durable_fails_alone) {
    chosen.existing = existing_policy::overwrite;
    sink into(chosen);
    deliver(into, "b", "old");
    failing_size = 3;
    EXPECT_EQ(deliver(into, {{"a", "1"}, {"b", "333"}, {"c", "22"}}), (failures{none, errc::io, none}));
    EXPECT_EQ(content_of("a"), "1");
    EXPECT_EQ(content_of("b"), "old");
    EXPECT_EQ(content_of("c"), "22");
    EXPECT_EQ(partial_count(), 0u);
}

TEST_F(filesystem_sink_fault, a_folder_that_a_group_could_not_make_durable_fails_only_what_is_for_it) {
    sink into(chosen);
    deliver(into, "good/old", "x");
    failing_folder = inode_of(".");
    folders_fail = true;
    EXPECT_EQ(deliver(into, {{"new/a", "1"}, {"good/a", "2"}, {"new/b", "3"}}), (failures{errc::io, none, errc::io}));
    struct stat nothing {};
    EXPECT_NE(::stat((chosen.directory + "/new").c_str(), &nothing), 0);
    EXPECT_EQ(content_of("good/a"), "2");
}

TEST_F(filesystem_sink_fault, a_lazy_group_syncs_nothing) {
    chosen.sync = durability::lazy;
    sink into(chosen);
    folder_syncs = 0;
    folders_fail = true;
    failing_size = 3;
    EXPECT_EQ(deliver(into, {{"a", "333"}, {"sub/b", "22"}}), failures(2, none));
    EXPECT_EQ(folder_syncs, 0);
}

}  // namespace
}  // namespace wherry::filesystem
