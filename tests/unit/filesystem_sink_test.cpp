// SPDX-License-Identifier: BSD-2-Clause
#include "filesystem_sink.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <sstream>
#include <thread>

#include "error_of.hpp"
#include "item_name.hpp"
#include "open_descriptors.hpp"
#include "private_mounts.hpp"
#include "temporary_folder.hpp"
#include "wait_until.hpp"
#include "wherry/text.hpp"

namespace {

// A file's change time cannot be set. The functions below subtract the age that a test sets for the file.
std::atomic<bool> any_aged{false};
std::mutex aged_mutex;
std::map<ino_t, std::time_t> ages;  // seconds

void add_age(struct stat& file) {
    if (!any_aged) return;
    const std::lock_guard lock(aged_mutex);
    if (const auto aged = ages.find(file.st_ino); aged != ages.end()) file.st_ctim.tv_sec -= aged->second;
}

}  // namespace

// These replace the C library's functions, for this program only.
extern "C" int fstatat(int folder, const char* name, struct stat* found, int flags) noexcept {
    const auto result = static_cast<int>(::syscall(SYS_newfstatat, folder, name, found, flags));
    if (result == 0) add_age(*found);
    return result;
}
extern "C" int fstat(int fd, struct stat* found) noexcept { return fstatat(fd, "", found, AT_EMPTY_PATH); }

namespace wherry::filesystem {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using namespace std::string_literals;
using test::error_of;
using test::open_descriptors;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::StartsWith;
using testing::UnorderedElementsAre;

struct collected final : response {
    std::string text;
    using response::append;
    void append(const_bytes bytes) override { text += as_text(bytes); }
    void set_outcome(std::string_view) override {}
};

const identity alice{"ssh-ed25519", "ssh-ed25519 AAAA", "SHA256:alice", "alice"};
const identity bob{"ssh-ed25519", "ssh-ed25519 BBBB", "SHA256:bob", "bob"};

offer file(std::string name, std::optional<std::uint64_t> size = {}) {
    offer what;
    what.name = std::move(name);
    what.size = size;
    return what;
}

offer resumable(std::string name, std::uint64_t size) {
    auto what = file(std::move(name), size);
    what.mtime = file_time{1'700'000'000, 5};
    what.wants_resume = true;
    return what;
}

offer folder(std::string name) {
    auto what = file(std::move(name));
    what.kind = item_kind::folder;
    return what;
}

std::unique_ptr<delivery> begin(sink& into, const offer& what, const identity& who = alice) {
    return into.begin(what, {"192.0.2.7:4711", who});
}

std::string finish(delivery& item) {
    collected answer;
    item.finish(answer);
    return answer.text;
}

std::string deliver(sink& into, const offer& what, std::string_view content = {}, const identity& who = alice) {
    const auto item = begin(into, what, who);
    item->write(as_bytes(content));
    return finish(*item);
}

// Several that are finished together.
class group {
public:
    void add(sink& into, const offer& what, std::string_view content) {
        items_.push_back(begin(into, what));
        items_.back()->write(as_bytes(content));
    }
    // What each answered, or why it failed.
    std::vector<std::string> finish() {
        std::vector<collected> answers(items_.size());
        std::vector<ending> all;
        for (std::size_t i = 0; i < items_.size(); ++i) all.push_back({items_[i].get(), &answers[i], std::nullopt});
        items_.front()->commits_with()->finish_group(all);
        std::vector<std::string> told;
        for (std::size_t i = 0; i < all.size(); ++i)
            told.push_back(all[i].failure ? "failed: "s + all[i].failure->what() : answers[i].text);
        items_.clear();
        return told;
    }

private:
    std::vector<std::unique_ptr<delivery>> items_;
};

std::string content_of(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream all;
    all << in.rdbuf();
    return in ? all.str() : "(cannot be read)";
}

void put(const fs::path& path, std::string_view content) { std::ofstream(path, std::ios::binary) << content; }

struct stat stat_of(const fs::path& path) {
    struct stat now {};
    EXPECT_EQ(::lstat(path.c_str(), &now), 0) << path;
    return now;
}

// Waits until a change would get another change time, because the clock of files ticks slowly.
void await_other_change_time_than(const fs::path& path) {
    const auto before = stat_of(path).st_ctim;
    const auto clock = path.string() + ".clock";
    for (auto now = before; now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec;
         now = stat_of(clock).st_ctim) {
        std::this_thread::yield();
        put(clock, "tick");
    }
    fs::remove(clock);
}

class filesystem_sink : public testing::Test {
protected:
    filesystem_sink() {
        chosen.directory = folder_path();
        chosen.least_kept = 0;
        ::mkdir((home / "outside").c_str(), 0755);
    }
    ~filesystem_sink() override { forget_ages(); }

    // Makes the file look as if it was changed so long ago.
    static void age(const fs::path& path, std::chrono::seconds duration) {
        const std::lock_guard lock(aged_mutex);
        ages[stat_of(path).st_ino] = duration.count();
        any_aged = true;
    }
    // Forgets all ages, because an inode number may be used again.
    static void forget_ages() {
        const std::lock_guard lock(aged_mutex);
        any_aged = false;
        ages.clear();
    }

    // Keeps a part of the item, and returns its path in the partial area.
    fs::path cut(sink& into, const offer& what, std::string_view content) const {
        const auto item = begin(into, what);
        item->write(as_bytes(content));
        item->abort(delivery::partial::keep);
        for (const auto& name : partials())
            if (name.starts_with("keep-")) return in(partial_area_name) / name;
        ADD_FAILURE() << "nothing is kept";
        return {};
    }

    // Its owner could not remove what is in a folder that is read-only.
    void make_removable(const fs::path& name) const { ::chmod(in(name).c_str(), 0700); }

    std::string folder_path() const { return (home / "in").string(); }
    fs::path in(const fs::path& name) const { return home / "in" / name; }

    // Everything but the partial area.
    std::vector<std::string> stored() const {
        std::vector<std::string> names;
        for (auto at = fs::recursive_directory_iterator(home / "in"); at != fs::recursive_directory_iterator(); ++at) {
            const auto name = at->path().lexically_relative(home / "in").string();
            if (name == partial_area_name)
                at.disable_recursion_pending();
            else
                names.push_back(name);
        }
        std::sort(names.begin(), names.end());
        return names;
    }

    std::vector<std::string> partials() const {
        std::vector<std::string> names;
        if (!fs::exists(in(partial_area_name))) return names;
        for (const auto& entry : fs::directory_iterator(in(partial_area_name)))
            if (entry.path().filename() != "journal" && entry.path().filename() != "format")
                names.push_back(entry.path().filename());
        return names;
    }

    test::temporary_folder home;
    options chosen;
};

// ---- Groups ----

TEST_F(filesystem_sink, stores_a_group) {
    sink into(chosen);
    group all;
    all.add(into, file("a", 1), "1");
    all.add(into, file("sub/b", 2), "22");
    all.add(into, file("c"), "");
    all.add(into, file("sub/d", 4), "4444");
    all.add(into, file("sub/deep/e", 5), "55555");
    EXPECT_THAT(all.finish(), ElementsAre("stored as a", "stored as sub/b", "stored as c", "stored as sub/d",
                                          "stored as sub/deep/e"));
    EXPECT_THAT(stored(), ElementsAre("a", "c", "sub", "sub/b", "sub/d", "sub/deep", "sub/deep/e"));
    EXPECT_EQ(content_of(in("a")), "1");
    EXPECT_EQ(content_of(in("sub/b")), "22");
    EXPECT_EQ(content_of(in("c")), "");
    EXPECT_EQ(content_of(in("sub/d")), "4444");
    EXPECT_EQ(content_of(in("sub/deep/e")), "55555");
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, sets_the_attributes_of_a_group) {
    sink into(chosen);
    auto what = file("tool", 1);
    what.mode = 0640;
    what.mtime = file_time{1'000'000'000, 5};
    group all;
    all.add(into, what, "x");
    what.name = "other";
    what.mode = 0400;
    all.add(into, what, "x");
    all.finish();
    EXPECT_EQ(stat_of(in("tool")).st_mode & 07777, 0640u);
    EXPECT_EQ(stat_of(in("other")).st_mode & 07777, 0400u);
    EXPECT_EQ(stat_of(in("other")).st_mtim.tv_sec, 1'000'000'000);
}

TEST_F(filesystem_sink, of_a_group_what_fails_fails_alone) {
    chosen.existing = existing_policy::refuse;
    sink into(chosen);
    group all;
    all.add(into, file("first", 1), "1");
    all.add(into, file("short", 9), "2");
    all.add(into, file("taken", 1), "3");
    all.add(into, file("way/barred", 1), "4");
    all.add(into, file("way/barred-too", 1), "5");
    all.add(into, file("last", 1), "6");
    put(in("taken"), "old");
    put(in("way"), "no folder");
    EXPECT_THAT(all.finish(),
                ElementsAre("stored as first", HasSubstr("only 1 of 9 bytes came"), HasSubstr("exists already"),
                            HasSubstr("is not a folder"), HasSubstr("is not a folder"), "stored as last"));
    EXPECT_THAT(stored(), ElementsAre("first", "last", "taken", "way"));
    EXPECT_EQ(content_of(in("first")), "1");
    EXPECT_EQ(content_of(in("taken")), "old");
    EXPECT_EQ(content_of(in("last")), "6");
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, a_group_makes_a_folder_anew_that_was_removed) {
    sink into(chosen);
    deliver(into, file("sub/old"), "x");
    group all;
    all.add(into, file("sub/a", 1), "1");
    all.add(into, file("sub/b", 1), "2");
    fs::remove_all(in("sub"));
    EXPECT_THAT(all.finish(), ElementsAre("stored as sub/a", "stored as sub/b"));
    EXPECT_THAT(stored(), ElementsAre("sub", "sub/a", "sub/b"));
}

TEST_F(filesystem_sink, a_group_takes_back_what_it_cannot_answer) {
    struct deaf final : response {
        using response::append;
        void append(const_bytes) override { throw error(errc::exhausted, "no room for an answer"); }
        void set_outcome(std::string_view) override {}
    } deaf;
    for (const auto policy : {existing_policy::rename, existing_policy::overwrite}) {
        chosen.existing = policy;
        sink into(chosen);
        const std::string old = policy == existing_policy::overwrite ? "replaced" : "other";
        deliver(into, file(old), "old");
        const auto heard = begin(into, file("heard", 1)), unheard = begin(into, file("replaced", 1));
        heard->write(as_bytes("1"));
        unheard->write(as_bytes("2"));
        collected answer;
        std::array<ending, 2> all{{{heard.get(), &answer, {}}, {unheard.get(), &deaf, {}}}};
        heard->commits_with()->finish_group(all);
        EXPECT_FALSE(all[0].failure);
        ASSERT_TRUE(all[1].failure);
        EXPECT_EQ(all[1].failure->code(), errc::exhausted);
        EXPECT_EQ(content_of(in(old)), "old");
        EXPECT_EQ(stored(),
                  (policy == existing_policy::overwrite ? std::vector<std::string>{"heard", "other", "replaced"}
                                                        : std::vector<std::string>{"heard", "other"}));
    }
}

TEST_F(filesystem_sink, a_group_of_one_name_under_each_policy) {
    const std::map<existing_policy, std::vector<std::string>> expected = {
        {existing_policy::rename, {"stored as a", "stored as a (1)", "stored as a (2)"}},
        {existing_policy::refuse,
         {"stored as a", "failed: 'a' exists already, and is not replaced",
          "failed: 'a' exists already, and is not replaced"}},
        {existing_policy::overwrite, {"stored as a", "stored as a", "stored as a"}}};
    for (const auto& [policy, answers] : expected) {
        chosen.existing = policy;
        fs::remove_all(home / "in");
        sink into(chosen);
        group all;
        for (const auto* content : {"1", "2", "3"}) all.add(into, file("a", 1), content);
        EXPECT_EQ(all.finish(), answers);
        EXPECT_EQ(content_of(in("a")), policy == existing_policy::overwrite ? "3" : "1");
        EXPECT_EQ(content_of(in("a (2)")), policy == existing_policy::rename ? "3" : "(cannot be read)");
        EXPECT_EQ(stored().size(), policy == existing_policy::rename ? 3u : 1u);
        EXPECT_THAT(partials(), IsEmpty());
    }
}

TEST_F(filesystem_sink, groups_hold_the_quota_and_keep_no_descriptors) {
    chosen.quota = 1000 + 10 * entry_bytes;
    sink into(chosen);
    deliver(into, file("first"), "x");
    const auto before = open_descriptors();
    for (int round = 0; round < 3; ++round) {
        group all;
        const auto suffix = std::to_string(round);
        all.add(into, file("a" + suffix, 100), std::string(100, 'a'));
        all.add(into, file("sub/short" + suffix, 300), "short");
        all.add(into, file("sub/b" + suffix, 100), std::string(100, 'b'));
        all.finish();
    }
    EXPECT_EQ(open_descriptors(), before);
    // What failed gave its part back, and what is stored counts: 601 of 1000, seven files and a folder.
    EXPECT_EQ(error_of([&] { begin(into, file("too-much", 400 + entry_bytes)); }).code(), errc::exhausted);
    EXPECT_NO_THROW(begin(into, file("fits", 399 + entry_bytes)));
}

TEST_F(filesystem_sink, groups_of_many_threads_do_not_disturb_each_other) {
    sink into(chosen);
    std::atomic<int> stored_count{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int round = 0; round < 10; ++round) {
                group all;
                for (int i = 0; i < 8; ++i)
                    all.add(into, file("sub" + std::to_string(i % 3) + "/same", 1), std::to_string(i));
                for (const auto& told : all.finish()) stored_count += told.starts_with("stored as ") ? 1 : 0;
            }
        });
    threads.clear();
    EXPECT_EQ(stored_count, 320);
    EXPECT_EQ(stored().size(), 323u);
}

// ---- What arrives ----

TEST_F(filesystem_sink, stores_a_file) {
    sink into(chosen);
    EXPECT_EQ(deliver(into, file("skull.stl", 5), "hello"), "stored as skull.stl");
    EXPECT_THAT(stored(), ElementsAre("skull.stl"));
    EXPECT_EQ(content_of(in("skull.stl")), "hello");
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, stores_an_empty_file_and_data_of_unknown_size) {
    sink into(chosen);
    deliver(into, file("empty", 0));
    auto data = file("pipe");
    data.kind = item_kind::data;
    deliver(into, data, "abc");
    EXPECT_EQ(content_of(in("empty")), "");
    EXPECT_EQ(content_of(in("pipe")), "abc");
}

TEST_F(filesystem_sink, makes_the_folders_that_a_name_needs) {
    sink into(chosen);
    EXPECT_EQ(deliver(into, file("a/b/c.txt"), "x"), "stored as a/b/c.txt");
    deliver(into, file("a/b/d.txt"), "y");
    EXPECT_THAT(stored(), ElementsAre("a", "a/b", "a/b/c.txt", "a/b/d.txt"));
    EXPECT_EQ(stat_of(in("a")).st_mode & 07777, 0700u);
}

TEST_F(filesystem_sink, keeps_what_it_makes_to_its_user) {
    sink into(chosen);
    deliver(into, file("a"), "x");
    EXPECT_EQ(stat_of(folder_path()).st_mode & 07777, 0700u);
    EXPECT_EQ(stat_of(in("a")).st_mode & 07777, 0600u);
    EXPECT_EQ(stat_of(in(partial_area_name)).st_mode & 07777, 0700u);
    const auto item = begin(into, file("b"));
    ASSERT_EQ(partials().size(), 1u);
    EXPECT_EQ(stat_of(in(partial_area_name) / partials()[0]).st_mode & 07777, 0600u);
}

TEST_F(filesystem_sink, sets_mode_and_time_but_no_special_bits) {
    sink into(chosen);
    auto what = file("tool", 1);
    what.mode = 06755;
    what.mtime = file_time{1'000'000'000, 123'456'789};
    deliver(into, what, "x");
    const auto now = stat_of(in("tool"));
    EXPECT_EQ(now.st_mode & 07777, 0755u);
    EXPECT_EQ(now.st_mtim.tv_sec, 1'000'000'000);
    EXPECT_EQ(now.st_mtim.tv_nsec, 123'456'789);

    what.name = "old";
    what.mode = 0400;
    what.mtime = file_time{-1, 0};
    deliver(into, what, "x");
    EXPECT_EQ(stat_of(in("old")).st_mode & 07777, 0400u);
    EXPECT_EQ(stat_of(in("old")).st_mtim.tv_sec, -1);

    what.name = "nonsense";
    what.mtime = file_time{0, 4'000'000'000};
    deliver(into, what, "x");
    EXPECT_EQ(content_of(in("nonsense")), "x");
}

TEST_F(filesystem_sink, a_folder_arrives_after_its_content_and_may_be_read_only) {
    sink into(chosen);
    deliver(into, file("scans/1.dcm"), "x");
    auto what = folder("scans");
    what.mode = 01555;
    what.mtime = file_time{1'000'000'000, 0};
    EXPECT_EQ(deliver(into, what), "stored as scans");
    EXPECT_EQ(stat_of(in("scans")).st_mode & 07777, 0555u);
    EXPECT_EQ(stat_of(in("scans")).st_mtim.tv_sec, 1'000'000'000);
    deliver(into, folder("deep/er/empty"));
    EXPECT_THAT(stored(), ElementsAre("deep", "deep/er", "deep/er/empty", "scans", "scans/1.dcm"));
    make_removable("scans");
}

TEST_F(filesystem_sink, what_comes_after_its_read_only_folder_is_stored) {
    const auto early = std::make_unique<sink>(chosen);
    const auto slow = begin(*early, file("a/slow", 1));
    slow->write(as_bytes("x"));
    for (const auto& [name, mode, stays] : {std::tuple("a", 0555u, 0555u), std::tuple("b", 0500u, 0500u),
                                            std::tuple("c", 0000u, 0500u), std::tuple("d", 0277u, 0755u)}) {
        auto what = folder(name);
        what.mode = mode;
        deliver(*early, what);
        EXPECT_EQ(stat_of(in(name)).st_mode & 07777, stays) << name;
    }
    EXPECT_EQ(finish(*slow), "stored as a/slow");
    // A receiver that knows nothing of them: a second sending, a folder beneath, a group, and an old file that goes.
    auto overwriting = chosen;
    overwriting.existing = existing_policy::overwrite;
    sink into(overwriting);
    deliver(into, file("b/later"), "x");
    deliver(into, file("a/slow"), "new");
    EXPECT_EQ(content_of(in("a/slow")), "new");
    auto beneath = folder("a/new/er");
    beneath.mode = 0500;
    deliver(into, beneath);
    deliver(into, file("a/new/er/x"), "x");
    group all;
    for (const auto* name : {"a/1", "c/2", "a/3"}) all.add(into, file(name, 1), "x");
    EXPECT_THAT(all.finish(), ElementsAre("stored as a/1", "stored as c/2", "stored as a/3"));
    EXPECT_EQ(stat_of(in("a")).st_mode & 07777, 0555u);
    EXPECT_EQ(stat_of(in("a/new")).st_mode & 07777, 0700u);
    EXPECT_EQ(stat_of(in("a/new/er")).st_mode & 07777, 0500u);
    EXPECT_EQ(stat_of(in("b")).st_mode & 07777, 0500u);
    EXPECT_EQ(stat_of(in("c")).st_mode & 07777, 0500u);
    // The folder that a person named is the person's.
    ::chmod(folder_path().c_str(), 0555);
    if (::geteuid() != 0) {
        EXPECT_THAT(error_of([&] { deliver(into, file("x"), "x"); }).what(), HasSubstr("permission"));
    }
    EXPECT_EQ(stat_of(folder_path()).st_mode & 07777, 0555u);
    ::chmod(folder_path().c_str(), 0700);
    for (const auto* name : {"a/new/er", "a", "b", "c"}) make_removable(name);
}

TEST_F(filesystem_sink, receivers_store_into_one_read_only_folder_at_once) {
    chosen.sync = durability::lazy;
    sink first(chosen), second(chosen);
    deliver(first, file("a/x"), "x");
    auto what = folder("a");
    what.mode = 0500;
    deliver(first, what);
    constexpr int each = 100;
    std::atomic<int> failed{0};
    const auto fill = [&](sink& into, const std::string& name) {
        for (int i = 0; i < each; ++i) try {
                deliver(into, file("a/" + name + std::to_string(i) + (i % 10 == 0 ? "/sub" : ""), 1), "x");
            } catch (const error& e) {
                ++failed;
                ADD_FAILURE() << e.what();
            }
    };
    {
        std::vector<std::jthread> crew;
        for (const auto* name : {"1", "2"}) crew.emplace_back([&, name] { fill(first, name + "-"s); });
        for (const auto* name : {"3", "4"}) crew.emplace_back([&, name] { fill(second, name + "-"s); });
    }
    EXPECT_EQ(stat_of(in("a")).st_mode & 07777, 0500u);
    EXPECT_EQ(stored().size(), 2 + 4 * each + 4 * each / 10u);
    make_removable("a");
}

TEST_F(filesystem_sink, the_mode_that_a_person_sets_meanwhile_stays) {
    sink into(chosen);
    deliver(into, file("a/x"), "x");
    auto what = folder("a");
    what.mode = 0500;
    deliver(into, what);
    const folder_tree tree(folder_path(), durability::lazy);
    const unique_fd fd(::open(in("a").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto mode = [&] { return stat_of(in("a")).st_mode & 07777; };
    const auto lent = ::geteuid() == 0 ? 0500u : 0700u;
    {
        const folder_writing one(tree, fd.get());
        EXPECT_EQ(mode(), lent);
        { const folder_writing another(tree, fd.get()); }
        EXPECT_EQ(mode(), lent);
        ::fchmod(fd.get(), 0750);
    }
    EXPECT_EQ(mode(), 0750u);
    {
        const folder_writing one(tree, fd.get());
        tree.set_mode(fd.get(), 0550, "");
        EXPECT_EQ(mode(), 0750u);
    }
    EXPECT_EQ(mode(), 0550u);
    make_removable("a");
}

TEST_F(filesystem_sink, a_new_folder_keeps_the_bit_that_hands_on_its_group) {
    sink into(chosen);
    fs::create_directory(in("shared"));
    ASSERT_EQ(::chmod(in("shared").c_str(), 02770), 0);
    auto what = folder("shared/new");
    what.mode = 0750;
    deliver(into, what);
    EXPECT_EQ(stat_of(in("shared/new")).st_mode & 07777, 02750u);
}

TEST_F(filesystem_sink, a_folder_that_hands_on_its_group_gives_it_to_files) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs groups that this user is not in";
    constexpr gid_t ours = 4711, theirs = 4712;
    ASSERT_EQ(::chmod(home.path().c_str(), 0755), 0);
    const auto make = [](const fs::path& path, gid_t group) {
        fs::create_directory(path);
        ASSERT_EQ(::chown(path.c_str(), 65534, group), 0);
        ASSERT_EQ(::chmod(path.c_str(), 02770), 0);
    };
    // Even a user who is in no such group gets it for files in the sink's own folder, as from the kernel.
    make(folder_path(), ours);
    ASSERT_EQ(::seteuid(65534), 0);
    try {
        sink into(chosen);
        deliver(into, file("a"), "x");
    } catch (const error& e) {
        ADD_FAILURE() << e.what();
    }
    ASSERT_EQ(::seteuid(0), 0);
    EXPECT_EQ(stat_of(in("a")).st_gid, ours);
    make(in("shared"), theirs);
    fs::create_directory(in("plain"));
    ASSERT_EQ(::chmod(in("plain").c_str(), 0755), 0);
    sink into(chosen);
    group all;
    for (const auto* name : {"b", "shared/c", "shared/new/er/d", "plain/e"}) all.add(into, file(name, 1), "x");
    all.finish();
    EXPECT_EQ(stat_of(in("b")).st_gid, ours);
    EXPECT_EQ(stat_of(in("shared/c")).st_gid, theirs);
    EXPECT_EQ(stat_of(in("shared/new/er")).st_gid, theirs);
    EXPECT_EQ(stat_of(in("shared/new/er/d")).st_gid, theirs);
    EXPECT_EQ(stat_of(in("plain/e")).st_gid, ::getegid());
}

TEST_F(filesystem_sink, a_folder_that_was_there_keeps_its_attributes) {
    sink into(chosen);
    fs::create_directory(in("theirs"));
    ASSERT_EQ(::chmod(in("theirs").c_str(), 0700), 0);
    const auto before = stat_of(in("theirs"));
    auto what = folder("theirs");
    what.mode = 0777;
    what.mtime = file_time{0, 0};
    EXPECT_EQ(deliver(into, what), "stored as theirs");
    EXPECT_EQ(stat_of(in("theirs")).st_mode & 07777, 0700u);
    EXPECT_EQ(stat_of(in("theirs")).st_mtim.tv_sec, before.st_mtim.tv_sec);
    // Nor does one that this side made, once its own item has come.
    deliver(into, folder("ours"));
    auto again = folder("ours");
    again.mode = 0;
    deliver(into, again);
    EXPECT_EQ(stat_of(in("ours")).st_mode & 0700, 0700u);
}

TEST_F(filesystem_sink, nothing_gets_bits_that_the_umask_forbids) {
    const auto old = ::umask(027);
    sink into(chosen);
    ::umask(old);
    auto what = file("a");
    what.mode = 0666;
    deliver(into, what, "x");
    EXPECT_EQ(stat_of(in("a")).st_mode & 07777, 0640u);
    auto beneath = folder("b");
    beneath.mode = 0777;
    deliver(into, beneath);
    EXPECT_EQ(stat_of(in("b")).st_mode & 07777, 0750u);
}

TEST_F(filesystem_sink, a_folder_does_not_replace_a_file_nor_take_content) {
    chosen.existing = existing_policy::refuse;
    sink into(chosen);
    deliver(into, file("a"), "x");
    EXPECT_EQ(error_of([&] { begin(into, folder("a")); }).code(), errc::refused);
    const auto item = begin(into, folder("b"));
    put(in("b"), "came meanwhile");
    EXPECT_EQ(error_of([&] { finish(*item); }).code(), errc::refused);
    EXPECT_EQ(error_of([&] { begin(into, folder("c"))->write(as_bytes("x")); }).code(), errc::protocol);
    auto sized = folder("c");
    sized.size = 1;
    EXPECT_EQ(error_of([&] { begin(into, sized); }).code(), errc::protocol);
    EXPECT_THAT(stored(), ElementsAre("a", "b"));
}

TEST_F(filesystem_sink, messages_are_files_named_by_their_time) {
    for (const auto policy : {existing_policy::rename, existing_policy::refuse, existing_policy::overwrite}) {
        chosen.existing = policy;
        sink into(chosen);
        offer what;
        what.kind = item_kind::message;
        for (int i = 0; i < 3; ++i)
            EXPECT_THAT(deliver(into, what, "hello"),
                        MatchesRegex("stored as message-[0-9]{8}T[0-9]{6}Z( \\([0-9]+\\))?\\.txt"));
        what.name = "x";
        EXPECT_EQ(error_of([&] { begin(into, what); }).code(), errc::refused);
    }
    EXPECT_EQ(stored().size(), 9u) << "a message was lost";
}

TEST_F(filesystem_sink, keeps_the_bytes_of_a_name) {
    sink into(chosen);
    for (const auto& name : {"\x1b[2J\n"s, "\xff\xfe.stl"s, std::string(255, 'x'), "..."s, ".hidden"s, " "s, "-rf"s,
                             "C:\\windows"s, "~root"s, "a\\..\\b"s}) {
        EXPECT_EQ(deliver(into, file(name), "x"), "stored as " + name);
        EXPECT_EQ(content_of(in(name)), "x");
    }
    std::string deep;
    while (deep.size() < 4096) deep += std::string(63, 'd') + "/";
    deep.pop_back();
    EXPECT_EQ(deliver(into, file(deep), "x"), "stored as " + deep);
}

TEST_F(filesystem_sink, refuses_hostile_names_and_leaves_nothing) {
    sink into(chosen);
    for (const auto& name : {"../x"s, "/etc/x"s, "a/../../x"s, "a//b"s, "./a"s, "a\0b"s, "x/"s, ""s,
                             std::string(256, 'x'), "\x1b[31m/../x"s, ".wherry-partial/x"s, ".wherry-partial"s}) {
        for (auto what : {file(name), folder(name)}) {
            const auto failure = error_of([&] { begin(into, what); });
            EXPECT_EQ(failure.code(), errc::refused) << printable(name);
            EXPECT_EQ(printable(failure.what()), failure.what());
        }
    }
    EXPECT_THAT(stored(), IsEmpty());
    EXPECT_THAT(partials(), IsEmpty());
    EXPECT_FALSE(fs::exists(home / "x"));
}

TEST_F(filesystem_sink, refuses_kinds_that_it_does_not_know) {
    sink into(chosen);
    auto what = file("a");
    what.kind = static_cast<item_kind>(99);
    EXPECT_EQ(error_of([&] { begin(into, what); }).code(), errc::unsupported);
}

// ---- What must not be left behind ----

TEST_F(filesystem_sink, nothing_is_left_of_what_was_aborted) {
    sink into(chosen);
    for (const auto how : {delivery::partial::drop, delivery::partial::keep}) {
        auto item = begin(into, file("sub/a", 10));
        item->write(as_bytes("12345"));
        item->abort(how);  // without wants_resume there is nothing to keep
        EXPECT_THAT(partials(), IsEmpty());
    }
    begin(into, file("b"))->write(as_bytes("x"));  // destroyed without an end
    EXPECT_THAT(partials(), IsEmpty());
    EXPECT_THAT(stored(), IsEmpty());
}

TEST_F(filesystem_sink, believes_no_size) {
    sink into(chosen);
    {
        const auto item = begin(into, file("more", 3));
        item->write(as_bytes("12"));
        EXPECT_EQ(error_of([&] { item->write(as_bytes("34")); }).code(), errc::protocol);
        EXPECT_THAT(partials(), IsEmpty()) << "a delivery that failed still takes room";
        EXPECT_EQ(error_of([&] { item->write(as_bytes("3")); }).code(), errc::protocol);
        EXPECT_EQ(error_of([&] { finish(*item); }).code(), errc::protocol);
    }
    EXPECT_EQ(error_of([&] { deliver(into, file("fewer", 3), "12"); }).code(), errc::protocol);
    EXPECT_EQ(error_of([&] { deliver(into, file("none", 3)); }).code(), errc::protocol);
    EXPECT_THAT(stored(), IsEmpty());
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, takes_back_what_it_cannot_answer) {
    struct broken final : response {
        using response::append;
        void append(const_bytes) override { throw error(errc::exhausted, "no room for an answer"); }
        void set_outcome(std::string_view) override {}
    };
    sink into(chosen);
    {
        const auto item = begin(into, file("a"));
        broken answer;
        EXPECT_EQ(error_of([&] { item->finish(answer); }).code(), errc::exhausted);
    }
    EXPECT_THAT(stored(), IsEmpty());
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, removes_its_partial_area_when_it_ends) {
    { sink into(chosen); }
    EXPECT_TRUE(fs::is_empty(folder_path()));
}

TEST_F(filesystem_sink, its_partial_area_names_its_format) {
    const auto format = in(partial_area_name) / "format";
    {
        sink into(chosen);
        EXPECT_EQ(content_of(format), "wherry-format 1\n");
        cut(into, resumable("a", 3), "ab");
    }
    EXPECT_EQ(content_of(format), "wherry-format 1\n") << "beside what is kept";
    fs::remove(format);
    sink into(chosen);
    EXPECT_EQ(begin(into, resumable("a", 3))->offset(), 2u) << "without it the format is the first";
    EXPECT_EQ(content_of(format), "wherry-format 1\n");
}

TEST_F(filesystem_sink, refuses_a_partial_area_of_a_newer_format) {
    const auto area = in(partial_area_name);
    {
        sink into(chosen);
        cut(into, resumable("a", 3), "ab");
    }
    put(area / "format", "wherry-format 2\n");
    const auto before = partials();
    const auto refusal = error_of([&] { sink into(chosen); });
    EXPECT_EQ(refusal.code(), errc::unsupported);
    EXPECT_STREQ(
        refusal.what(),
        "the partial area .wherry-partial in the receiver's folder was left by a newer wherry (format 2); receive with "
        "that one, or remove .wherry-partial: cut files then begin anew, and a repeated delivery is stored again");
    EXPECT_EQ(partials(), before);
    EXPECT_EQ(content_of(area / "format"), "wherry-format 2\n");
    put(area / "format", "");  // its maker was killed
    EXPECT_NO_THROW(sink into(chosen));
    EXPECT_EQ(content_of(area / "format"), "wherry-format 1\n");
    EXPECT_EQ(partials(), before);
}

TEST_F(filesystem_sink, clears_what_a_crash_left_but_nothing_of_the_living) {
    sink living(chosen);
    const auto at_work = begin(living, file("a"));
    const auto area = in(partial_area_name);
    const auto mine = partials();
    put(area / "new-0123", "left by a crash");
    put(area / "keep-0123", "recent");
    put(area / "keep-4567", "old");
    age(area / "keep-4567", 8 * 24h);
    put(area / "notes", "not ours to judge");
    sink second(chosen);
    EXPECT_THAT(partials(), UnorderedElementsAre(mine[0], "keep-0123", "notes"));
    EXPECT_EQ(finish(*at_work), "stored as a");
}

TEST_F(filesystem_sink, clears_what_nobody_resumes_while_it_runs) {
    const folder_tree tree(folder_path(), durability::lazy);
    const partial_area area(tree, 7 * 24h, 1ms);
    const auto path = in(partial_area_name);
    put(path / "keep-0123", "recent");
    put(path / "keep-4567", "old");
    age(path / "keep-4567", 8 * 24h);
    wait_until([&] { return !fs::exists(path / "keep-4567"); });
    EXPECT_THAT(partials(), ElementsAre("keep-0123"));
}

TEST_F(filesystem_sink, never_clears_what_is_worked_on) {
    const folder_tree tree(folder_path(), durability::lazy);
    partial_area area(tree, 1h, 1ms);
    const auto path = in(partial_area_name);
    put(path / "keep-01", "0123");
    const auto at_work = area.open_kept("01", 10);
    ASSERT_EQ(at_work.present, 4u);
    put(path / "keep-02", "left");
    for (const auto* name : {"keep-01", "keep-02"}) age(path / name, 24h);
    wait_until([&] { return !fs::exists(path / "keep-02"); });
    EXPECT_THAT(partials(), ElementsAre("keep-01"));
}

TEST_F(filesystem_sink, the_lifetime_of_what_is_kept_runs_from_the_last_write) {
    sink into(chosen);
    const auto what = resumable("a", 10);
    const auto kept = cut(into, what, "0123");
    const auto written = stat_of(kept).st_ctim;
    await_other_change_time_than(kept);
    // Who comes back and sends nothing does not make it younger.
    begin(into, what)->abort(delivery::partial::keep);
    EXPECT_EQ(stat_of(kept).st_ctim.tv_sec, written.tv_sec);
    EXPECT_EQ(stat_of(kept).st_ctim.tv_nsec, written.tv_nsec);
}

TEST_F(filesystem_sink, the_age_of_a_kept_file_is_not_the_senders_time) {
    sink into(chosen);
    const auto what = resumable("a", 10);
    const auto kept = cut(into, what, "0123");
    for (const auto shift : {-1000 * 24h, 1000 * 24h}) {
        fs::last_write_time(kept, fs::file_time_type::clock::now() + shift);
        { sink again(chosen); }
        ASSERT_TRUE(fs::exists(kept));
        age(kept, 8 * 24h);
        { sink again(chosen); }
        EXPECT_THAT(partials(), IsEmpty());
        forget_ages();
        cut(into, what, "0123");
    }
}

TEST_F(filesystem_sink, the_age_starts_anew_when_the_clock_was_set_back) {
    sink into(chosen);
    const auto kept = cut(into, resumable("a", 10), "0123");
    const auto before = stat_of(kept).st_ctim;
    await_other_change_time_than(kept);
    age(kept, -24h);
    sink again(chosen);
    const auto after = stat_of(kept).st_ctim;
    EXPECT_TRUE(after.tv_sec != before.tv_sec || after.tv_nsec != before.tv_nsec);
}

// ---- Files that a receiver leaves when it is killed while a delivery ends ----

constexpr std::array<mode_t, 6> awkward_modes = {0444, 0400, 0200, 0000, 0111, 0755};

TEST_F(filesystem_sink, resumes_a_part_that_has_the_senders_mode_already) {
    for (const auto mode : awkward_modes) {
        sink into(chosen);
        auto what = resumable("a" + std::to_string(mode), 6);
        what.mode = mode;
        const auto kept = cut(into, what, "012");
        ASSERT_EQ(::chmod(kept.c_str(), mode), 0);
        {
            const auto item = begin(into, what);
            ASSERT_EQ(item->offset(), 3u) << mode;
            EXPECT_EQ(stat_of(kept).st_mode & 07777, 0600u);
            item->write(as_bytes("345"));
            EXPECT_EQ(finish(*item), "stored as " + what.name);
        }
        EXPECT_EQ(stat_of(in(what.name)).st_mode & 0777, mode & ~022u);
        ASSERT_EQ(::chmod(in(what.name).c_str(), 0600), 0);
        EXPECT_EQ(content_of(in(what.name)), "012345");
        EXPECT_THAT(partials(), IsEmpty());
    }
}

TEST_F(filesystem_sink, a_start_mends_a_part_that_has_the_senders_mode_already) {
    sink into(chosen);
    for (const auto mode : awkward_modes) {
        const auto kept = cut(into, resumable("a", 6), "012");
        ASSERT_EQ(::chmod(kept.c_str(), mode), 0);
        sink again(chosen);
        EXPECT_EQ(stat_of(kept).st_mode & 07777, 0600u) << mode;
        fs::remove(kept);
    }
}

TEST_F(filesystem_sink, clears_files_of_any_mode) {
    sink into(chosen);
    const auto area = in(partial_area_name);
    put(area / "notes", "not ours to judge; it also keeps the folder from being removed");
    for (const auto mode : awkward_modes)
        for (const auto* name : {"new-01", "keep-01"}) {
            put(area / name, "x");
            ASSERT_EQ(::chmod((area / name).c_str(), mode), 0);
            age(area / name, 8 * 24h);
            sink again(chosen);
            EXPECT_THAT(partials(), ElementsAre("notes")) << name << " of mode " << mode;
            forget_ages();
        }
}

TEST_F(filesystem_sink, clears_what_is_no_file) {
    sink into(chosen);
    const auto area = in(partial_area_name);
    put(home / "outside/victim", "precious");
    fs::create_symlink(home / "outside/victim", area / "new-01");
    fs::create_symlink("nowhere", area / "new-02");
    fs::create_directory(area / "new-03");
    ASSERT_EQ(::mkfifo((area / "new-04").c_str(), 0), 0);
    fs::create_hard_link(home / "outside/victim", area / "new-05");
    sink again(chosen);
    EXPECT_THAT(partials(), IsEmpty());
    EXPECT_EQ(content_of(home / "outside/victim"), "precious");
}

TEST_F(filesystem_sink, an_entry_that_can_never_be_resumed_is_no_obstacle) {
    const auto victim = home / "outside/victim";
    std::map<std::string, std::function<void(const fs::path&)>> obstacles = {
        {"link", [&](const auto& path) { fs::create_symlink(victim, path); }},
        {"dangling link", [&](const auto& path) { fs::create_symlink("nowhere", path); }},
        {"folder", [&](const auto& path) { fs::create_directory(path); }},
        {"locked folder",
         [&](const auto& path) {
             fs::create_directory(path);
             ::chmod(path.c_str(), 0);
         }},
        {"fifo", [&](const auto& path) { ::mkfifo(path.c_str(), 0600); }},
        {"second name", [&](const auto& path) { fs::create_hard_link(victim, path); }},
        {"second name of a read-only file",
         [&](const auto& path) {
             ::chmod(victim.c_str(), 0400);
             fs::create_hard_link(victim, path);
         }},
    };
    if (::geteuid() == 0)  // another user cannot make one
        obstacles["another user's file"] = [&](const auto& path) {
            put(path, "their");
            ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
        };
    put(victim, "precious");
    for (const auto& [kind, make] : obstacles) {
        sink into(chosen);
        const auto what = resumable(kind, 6);
        const auto kept = cut(into, what, "012");
        fs::remove(kept);
        make(kept);
        {
            const auto item = begin(into, what);
            EXPECT_EQ(item->offset(), 0u) << kind;
            item->write(as_bytes("012"));
            item->abort(delivery::partial::keep);
        }
        const auto item = begin(into, what);
        EXPECT_EQ(item->offset(), 3u) << kind << ": what comes now cannot be kept";
        item->write(as_bytes("345"));
        EXPECT_EQ(finish(*item), "stored as " + kind);
        EXPECT_EQ(content_of(in(kind)), "012345");
        EXPECT_EQ(content_of(victim), "precious");
        EXPECT_EQ(stat_of(victim).st_mode & 0200, kind == "second name of a read-only file" ? 0u : 0200u);
        EXPECT_THAT(partials(), ElementsAre(StartsWith("new-"))) << kind;
        sink again(chosen);
        EXPECT_THAT(partials(), IsEmpty()) << kind;
        ::chmod(victim.c_str(), 0600);
    }
}

TEST_F(filesystem_sink, a_file_of_an_ending_delivery_is_left_alone) {
    const folder_tree tree(folder_path(), durability::lazy);
    partial_area area(tree, 1h);
    const auto path = in(partial_area_name);
    for (const auto* name : {"keep-01", "keep-02", "new-01", "new-02"}) put(path / name, "x");
    fs::create_symlink("nowhere", path / "new-03");
    ::chmod((path / "keep-01").c_str(), 0000);
    ::chmod((path / "new-01").c_str(), 0000);
    age(path / "keep-02", 2h);
    {
        const auto held = area.hold(), by_another = area.hold();
        const partial_area other(tree, 1h);
        EXPECT_THAT(partials(), UnorderedElementsAre("keep-01", "new-01", "new-02", "new-03"))
            << "only a kept file's own lock shows that no delivery works on it";
        // Root can open the file, and its lock shows that no delivery works on it.
        auto wanted = area.open_kept("01", 10);
        EXPECT_EQ(wanted.may_be_kept, ::geteuid() == 0);
        wanted = {};
        EXPECT_EQ(stat_of(path / "keep-01").st_mode & 07777, ::geteuid() == 0 ? 0600u : 0u);
    }
    for (const auto& name : partials())
        if (name.starts_with("new-") && fs::is_regular_file(path / name) && fs::file_size(path / name) == 0)
            fs::remove(path / name);  // what open_kept() made instead
    const partial_area other(tree, 1h);
    EXPECT_THAT(partials(), ElementsAre("keep-01"));
    EXPECT_TRUE(area.open_kept("01", 10).may_be_kept);
}

TEST_F(filesystem_sink, a_lifetime_of_nothing_keeps_nothing) {
    sink before(chosen);
    const auto what = resumable("a", 10);
    auto item = begin(before, what);
    item->write(as_bytes("0123"));
    item->abort(delivery::partial::keep);
    chosen.partial_lifetime = 0ms;
    sink into(chosen);
    EXPECT_THAT(partials(), IsEmpty());
    item = begin(into, what);
    item->write(as_bytes("0123"));
    item->abort(delivery::partial::keep);
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, a_lifetime_beyond_all_clocks_keeps_everything) {
    chosen.partial_lifetime = std::chrono::milliseconds::max();
    const auto what = resumable("a", 10);
    for (const auto had : {0u, 4u}) {
        sink into(chosen);
        auto item = begin(into, what);
        EXPECT_EQ(item->offset(), had);
        if (had == 0) item->write(as_bytes("0123"));
        item->abort(delivery::partial::keep);
    }
}

TEST_F(filesystem_sink, keeps_no_descriptors) {
    const auto before = open_descriptors();
    {
        sink into(chosen);
        const auto idle = open_descriptors().size();
        for (int i = 0; i < 10; ++i) {
            deliver(into, file("a/b/c"), "x");
            deliver(into, folder("a/b"));
            begin(into, file("x"))->abort(delivery::partial::drop);
            begin(into, resumable("x", 5))->abort(delivery::partial::keep);
            error_of([&] { begin(into, file("../x")); });
            begin(into, file("a/b/c/d"))->abort(delivery::partial::drop);
            error_of([&] { deliver(into, file("y", 7), "x"); });
        }
        EXPECT_EQ(open_descriptors().size(), idle);
        const auto one = begin(into, file("a/b/d"));
        EXPECT_EQ(open_descriptors().size(), idle + 1) << "a delivery is one descriptor";
    }
    EXPECT_EQ(open_descriptors(), before);
}

// ---- Names that are taken ----

TEST_F(filesystem_sink, renames_by_default) {
    sink into(chosen);
    EXPECT_EQ(deliver(into, file("s/a.stl"), "0"), "stored as s/a.stl");
    for (int i = 1; i <= 40; ++i)
        EXPECT_EQ(deliver(into, file("s/a.stl"), std::to_string(i)), "stored as s/a (" + std::to_string(i) + ").stl");
    EXPECT_EQ(content_of(in("s/a.stl")), "0");
    EXPECT_EQ(content_of(in("s/a (40).stl")), "40");
    fs::remove(in("s/a.stl"));
    EXPECT_EQ(deliver(into, file("s/a.stl"), "new"), "stored as s/a.stl");
    fs::create_directory(in("d"));
    EXPECT_EQ(deliver(into, file("d"), "x"), "stored as d (1)");
}

TEST_F(filesystem_sink, refuses_a_taken_name_at_the_start_and_at_the_end) {
    chosen.existing = existing_policy::refuse;
    sink into(chosen);
    const auto early = begin(into, file("a"));
    deliver(into, file("a"), "first");
    EXPECT_THAT(error_of([&] { begin(into, file("a")); }).what(), HasSubstr("'a' exists already"));
    EXPECT_EQ(error_of([&] { finish(*early); }).code(), errc::refused);
    EXPECT_EQ(content_of(in("a")), "first");
    EXPECT_THAT(stored(), ElementsAre("a"));
}

TEST_F(filesystem_sink, overwrites_only_when_all_is_there) {
    chosen.existing = existing_policy::overwrite;
    sink into(chosen);
    deliver(into, file("a"), "old");
    {
        const auto item = begin(into, file("a", 3));
        item->write(as_bytes("new"));
        EXPECT_EQ(content_of(in("a")), "old");
        EXPECT_EQ(finish(*item), "stored as a");
    }
    EXPECT_EQ(content_of(in("a")), "new");
    error_of([&] { deliver(into, file("a", 9), "half"); });
    EXPECT_EQ(content_of(in("a")), "new");

    fs::create_directory(in("d"));
    EXPECT_EQ(error_of([&] { begin(into, file("d")); }).code(), errc::refused);
    const auto item = begin(into, file("later"));
    fs::create_directory(in("later"));
    EXPECT_EQ(error_of([&] { finish(*item); }).code(), errc::refused);
}

TEST_F(filesystem_sink, a_folder_whose_name_a_file_has_is_renamed_as_a_file_is) {
    sink into(chosen);
    deliver(into, file("y"), "the file");
    EXPECT_EQ(deliver(into, file("y/a"), "1"), "stored as y (1)/a");
    EXPECT_EQ(deliver(into, file("y/b/c"), "2"), "stored as y (1)/b/c");
    EXPECT_EQ(deliver(into, folder("y/b")), "stored as y (1)/b");
    EXPECT_EQ(deliver(into, folder("y")), "stored as y (1)");
    // The folder is sent again: what is in it goes where it went before.
    EXPECT_EQ(deliver(into, file("y/a"), "3"), "stored as y (1)/a (1)");
    // Beneath, too, and where a number is taken.
    deliver(into, file("deep/z"), "a file");
    deliver(into, file("deep/z"), "another file");
    EXPECT_EQ(deliver(into, file("deep/z/a"), "4"), "stored as deep/z (2)/a");
    EXPECT_EQ(content_of(in("y")), "the file");
    // What was cut goes on there.
    const auto what = resumable("y/cut", 3);
    cut(into, what, "ab");
    EXPECT_EQ(begin(into, what)->offset(), 2u);
}

TEST_F(filesystem_sink, a_folder_whose_name_a_file_has_is_refused_where_the_file_would_be) {
    for (const auto policy : {existing_policy::refuse, existing_policy::overwrite}) {
        chosen.existing = policy;
        sink into(chosen);
        fs::remove_all(in("y"));
        deliver(into, file("y"), "x");
        EXPECT_THAT(error_of([&] { begin(into, file("y/a")); }).what(), HasSubstr("'y' is in"));
        EXPECT_EQ(error_of([&] { begin(into, folder("y")); }).code(), errc::refused);
        deliver(into, folder("d"));
        EXPECT_EQ(error_of([&] { begin(into, file("d")); }).code(), errc::refused);
    }
}

TEST_F(filesystem_sink, eight_deliveries_of_one_name_all_survive) {
    sink into(chosen);
    constexpr int threads = 8, each = 10;
    std::barrier together(threads);
    std::vector<std::thread> crew;
    for (int t = 0; t < threads; ++t)
        crew.emplace_back([&, t] {
            together.arrive_and_wait();
            for (int i = 0; i < each; ++i)
                deliver(into, file("same/name.bin"), std::to_string(t) + "-" + std::to_string(i));
        });
    for (auto& one : crew) one.join();
    std::set<std::string> contents;
    for (const auto& entry : fs::directory_iterator(in("same"))) contents.insert(content_of(entry.path()));
    EXPECT_EQ(contents.size(), std::size_t{threads * each});
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, of_eight_deliveries_of_one_name_one_wins_under_refuse) {
    chosen.existing = existing_policy::refuse;
    sink into(chosen);
    std::atomic<int> stored_ones{0}, refused{0};
    std::barrier together(8);
    std::vector<std::thread> crew;
    for (int t = 0; t < 8; ++t)
        crew.emplace_back([&] {
            const auto item = begin(into, file("one/name"));
            together.arrive_and_wait();
            try {
                finish(*item);
                ++stored_ones;
            } catch (const error& e) {
                if (e.code() == errc::refused) ++refused;
            }
        });
    for (auto& one : crew) one.join();
    EXPECT_EQ(stored_ones, 1);
    EXPECT_EQ(refused, 7);
}

TEST_F(filesystem_sink, places_by_a_link_where_it_cannot_rename) {
    fs::create_directory(folder_path());
    put(in("from"), "new");
    put(in("taken"), "old");
    const unique_fd at(::open(folder_path().c_str(), O_DIRECTORY | O_CLOEXEC));
    EXPECT_EQ(link_exclusively(at.get(), "from", at.get(), "taken"), -1);
    EXPECT_EQ(errno, EEXIST);
    EXPECT_EQ(link_exclusively(at.get(), "from", at.get(), "to"), 0);
    EXPECT_THAT(stored(), ElementsAre("taken", "to"));
    EXPECT_EQ(content_of(in("taken")), "old");
}

// ---- Symbolic links ----

TEST_F(filesystem_sink, follows_no_link_to_a_folder) {
    sink into(chosen);
    fs::create_directory_symlink(home / "outside", in("out"));
    fs::create_directory_symlink("..", in("up"));
    fs::create_directory(in("real"));
    fs::create_directory_symlink("real", in("inner"));
    for (const auto* name : {"out/x", "up/x", "inner/x", "out/new/x"}) {
        for (const auto& what : {file(name), folder(name)}) {
            const auto failure = error_of([&] { begin(into, what); });
            EXPECT_EQ(failure.code(), errc::refused) << name;
            EXPECT_THAT(failure.what(), HasSubstr("symbolic link")) << name;
        }
    }
    EXPECT_EQ(error_of([&] { begin(into, folder("out")); }).code(), errc::refused);
    EXPECT_TRUE(fs::is_empty(home / "outside"));
}

TEST_F(filesystem_sink, a_group_follows_no_link_that_came_meanwhile) {
    sink into(chosen);
    deliver(into, file("sub/old"), "x");
    group all;
    all.add(into, file("sub/a", 1), "1");
    all.add(into, file("sub/inner/b", 1), "2");
    all.add(into, file("c", 1), "3");
    fs::remove_all(in("sub"));
    fs::create_directory_symlink(home / "outside", in("sub"));
    EXPECT_THAT(all.finish(), ElementsAre(HasSubstr("symbolic link"), HasSubstr("symbolic link"), "stored as c"));
    EXPECT_TRUE(fs::is_empty(home / "outside"));
}

TEST_F(filesystem_sink, follows_no_link_in_the_last_place) {
    put(home / "outside/victim", "precious");
    const auto target = (home / "outside/victim").string();
    for (const auto policy : {existing_policy::rename, existing_policy::refuse, existing_policy::overwrite}) {
        chosen.existing = policy;
        sink into(chosen);
        for (const auto& aim : {target, (home / "outside/dangling").string()}) {
            fs::remove(in("a"));
            fs::create_symlink(aim, in("a"));
            if (policy == existing_policy::refuse) {
                EXPECT_EQ(error_of([&] { begin(into, file("a")); }).code(), errc::refused);
            } else {
                deliver(into, file("a"), "x");
            }
            EXPECT_EQ(fs::is_symlink(in("a")), policy != existing_policy::overwrite);
        }
    }
    EXPECT_EQ(content_of(target), "precious");
    EXPECT_FALSE(fs::exists(home / "outside/dangling"));
}

TEST_F(filesystem_sink, does_not_use_a_planted_partial_area) {
    const auto second = partial_area_name_for(::geteuid(), 1);
    const std::vector<std::pair<const char*, std::function<void()>>> planted = {
        {"a link", [&] { fs::create_directory_symlink(home / "outside", in(partial_area_name)); }},
        {"a file", [&] { put(in(partial_area_name), "a file"); }},
        {"a folder that others can write to",
         [&] {
             fs::create_directory(in(partial_area_name));
             ASSERT_EQ(::chmod(in(partial_area_name).c_str(), 0777), 0);
         }},
        {"a folder that others can read",
         [&] {
             fs::create_directory(in(partial_area_name));
             ASSERT_EQ(::chmod(in(partial_area_name).c_str(), 0755), 0);
         }},
        {"another user's folder",
         [&] {
             fs::create_directory(in(partial_area_name));
             ASSERT_EQ(::chmod(in(partial_area_name).c_str(), 0700), 0);
             if (::geteuid() != 0) return;
             ASSERT_EQ(::chown(in(partial_area_name).c_str(), 65534, 65534), 0);
         }},
    };
    const std::size_t skipped_as_user = ::geteuid() == 0 ? 0 : 1;
    for (const auto& [what, plant] : std::span(planted).first(planted.size() - skipped_as_user)) {
        fs::create_directory(folder_path());
        plant();
        const auto before = stat_of(in(partial_area_name));
        sink into(chosen);
        const auto item = begin(into, file("a", 1));
        EXPECT_EQ(stat_of(in(second)).st_mode & 0777, 0700u) << what;
        item->write(as_bytes("x"));
        EXPECT_EQ(finish(*item), "stored as a") << what;
        const auto after = stat_of(in(partial_area_name));
        EXPECT_EQ(after.st_ino, before.st_ino) << what;
        EXPECT_EQ(after.st_mode, before.st_mode) << what;
        if (S_ISDIR(after.st_mode)) {
            EXPECT_TRUE(fs::is_empty(in(partial_area_name))) << what;
        }
        fs::remove_all(folder_path());
    }
    EXPECT_TRUE(fs::is_empty(home / "outside"));
}

TEST_F(filesystem_sink, keeps_to_its_partial_area_when_the_first_name_becomes_free) {
    fs::create_directory(folder_path());
    put(in(partial_area_name), "in the way");
    const auto what = resumable("a", 3);
    {
        sink into(chosen);
        const auto item = begin(into, what);
        item->write(as_bytes("ab"));
        item->abort(delivery::partial::keep);
    }
    fs::remove(in(partial_area_name));
    sink into(chosen);
    EXPECT_EQ(begin(into, what)->offset(), 2u);
}

TEST_F(filesystem_sink, says_that_no_name_is_left_for_its_partial_area) {
    fs::create_directory(folder_path());
    for (unsigned i = 0; i < most_partial_area_names; ++i) put(in(partial_area_name_for(::geteuid(), i)), "in the way");
    EXPECT_THAT(error_of([&] { sink into(chosen); }).what(),
                HasSubstr("others have that name and all that are tried instead"));
}

TEST_F(filesystem_sink, two_users_share_a_folder) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs two users";
    ASSERT_EQ(::chmod(home.path().c_str(), 0755), 0);
    fs::create_directory(folder_path());
    ASSERT_EQ(::chmod(folder_path().c_str(), 01777), 0);
    chosen.existing = existing_policy::overwrite;
    const auto as = [](uid_t user, const std::function<void()>& body) {
        ASSERT_EQ(::seteuid(user), 0);
        try {
            body();
        } catch (const error& e) {
            ADD_FAILURE() << user << ": " << e.what();
        }
        ASSERT_EQ(::seteuid(0), 0);
    };
    std::unique_ptr<sink> first, second;
    as(1001, [&] {
        first = std::make_unique<sink>(chosen);
        deliver(*first, file("theirs"), "1");
        fs::create_directory(in("locked"));
    });
    as(1002, [&] {
        second = std::make_unique<sink>(chosen);
        EXPECT_EQ(deliver(*second, file("ours"), "2"), "stored as ours");
        // The reason is the true one: there is permission to write in the folder.
        EXPECT_THAT(error_of([&] { deliver(*second, file("theirs"), "2"); }).what(),
                    HasSubstr("'theirs' belongs to another user here, and is not replaced"));
        EXPECT_THAT(error_of([&] { deliver(*second, file("locked/a"), "2"); }).what(),
                    HasSubstr("no permission to write in 'locked'"));
        // Nor does one user's peer reach into the area of the other.
        for (const auto* name : {".wherry-partial", ".wherry-partial-1001", ".wherry-partial-1002"})
            EXPECT_THAT(error_of([&] { begin(*second, file(name + "/x"s)); }).what(), HasSubstr("receiver's own"));
    });
    EXPECT_EQ(content_of(in("theirs")), "1");
    EXPECT_EQ(stat_of(in(".wherry-partial")).st_uid, 1001u);
    EXPECT_EQ(stat_of(in(".wherry-partial-1002")).st_uid, 1002u);
    as(1001, [&] { first.reset(); });
    as(1002, [&] { second.reset(); });
}

TEST_F(filesystem_sink, a_folder_that_turns_into_a_link_leads_nowhere) {
    chosen.sync = durability::lazy;
    sink into(chosen);
    fs::create_directory(home / "spare");
    fs::create_directory_symlink(home / "outside", home / "trap");
    std::atomic<bool> stop{false};
    // "swap" is now missing, now a folder, now a link out.
    std::thread attacker([&] {
        while (!stop) {
            ::rename((home / "spare").c_str(), in("swap").c_str());
            ::rename(in("swap").c_str(), (home / "spare").c_str());
            ::rename((home / "trap").c_str(), in("swap").c_str());
            ::rename(in("swap").c_str(), (home / "trap").c_str());
            std::error_code ignored;
            if (fs::symlink_status(in("swap"), ignored).type() == fs::file_type::directory)
                fs::remove_all(in("swap"), ignored);
        }
    });
    int stored_ones = 0, refused = 0;
    // On a busy machine the attacker may get no turn for long.
    for (int i = 0; i < 2000 || (i < 200'000 && (refused == 0 || stored_ones == 0)); ++i) {
        try {
            deliver(into, file("swap/" + std::to_string(i)), "x");
            ++stored_ones;
        } catch (const error&) {
            ++refused;
        }
    }
    stop = true;
    attacker.join();
    EXPECT_TRUE(fs::is_empty(home / "outside"));
    EXPECT_GT(refused, 0) << "the race was never lost, so nothing was proved";
    EXPECT_THAT(partials(), IsEmpty());
}

// ---- Room ----

TEST_F(filesystem_sink, takes_nothing_over_the_largest_size) {
    chosen.max_size = 4;
    sink into(chosen);
    deliver(into, file("four", 4), "1234");
    deliver(into, file("four of a pipe"), "1234");
    EXPECT_EQ(error_of([&] { begin(into, file("five", 5)); }).code(), errc::refused);
    EXPECT_EQ(error_of([&] { deliver(into, file("five of a pipe"), "12345"); }).code(), errc::refused);
    EXPECT_EQ(stored().size(), 2u);
}

TEST_F(filesystem_sink, holds_its_quota) {
    chosen.quota = 10 + 4 * entry_bytes;
    fs::create_directory(folder_path());
    fs::create_directory(in("sub"));
    put(in("sub/before"), "123");
    sink into(chosen);
    deliver(into, file("a", 4), "1234");
    EXPECT_EQ(error_of([&] { begin(into, file("b", 4)); }).code(), errc::exhausted);
    deliver(into, file("c"), "123");
    for (const auto& what : {file("d"), file("empty", 0)}) {
        const auto failure = error_of([&] { begin(into, what); });
        EXPECT_EQ(failure.code(), errc::exhausted);
        EXPECT_STREQ(failure.what(),
                     "needs 4.00 KiB but only 0 B is left of the quota of 16.0 KiB for the receiver's folder, which "
                     "counts 4.00 KiB for each file and folder besides its content");
    }
    EXPECT_THAT(partials(), IsEmpty());
    std::this_thread::sleep_for(20ms);
    fs::remove(in("a"));
    EXPECT_EQ(deliver(into, file("e", 4), "1234"), "stored as e") << "room made by hand does not count";
}

TEST_F(filesystem_sink, counts_what_is_empty_against_its_quota) {
    chosen.quota = 10 * entry_bytes;
    sink into(chosen);
    for (int i = 0; i < 4; ++i) deliver(into, file("file" + std::to_string(i), 0));
    deliver(into, folder("a/b/c"));
    deliver(into, folder("a/b"));
    deliver(into, file("a/b/file", 0));
    EXPECT_EQ(error_of([&] { deliver(into, folder("d/e/f")); }).code(), errc::exhausted);
    EXPECT_THAT(stored(), ElementsAre("a", "a/b", "a/b/c", "a/b/file", "d", "d/e", "file0", "file1", "file2", "file3"));
    // What is there still takes in what needs no room.
    deliver(into, folder("d/e"));
    EXPECT_EQ(error_of([&] { begin(into, file("d/file", 0)); }).code(), errc::exhausted);
    sink again(chosen);
    EXPECT_EQ(error_of([&] { begin(again, file("d/file", 0)); }).code(), errc::exhausted);
    fs::remove(in("d/e"));
    // What is there is counted again from time to time.
    wait_until([&] {
        try {
            deliver(into, folder("again"));
            return true;
        } catch (const error&) {
            return false;
        }
    });
}

TEST_F(filesystem_sink, promises_room_for_the_folders_of_a_file) {
    chosen.quota = 10 + 3 * entry_bytes;
    sink into(chosen);
    EXPECT_EQ(error_of([&] { begin(into, file("a/b/c", 11)); }).code(), errc::exhausted);
    EXPECT_EQ(error_of([&] { begin(into, file("a/b/c/d", 10)); }).code(), errc::exhausted);
    EXPECT_EQ(deliver(into, file("a/b/c", 10), "1234567890"), "stored as a/b/c");
}

TEST_F(filesystem_sink, promises_no_room_twice) {
    chosen.quota = 10 + entry_bytes;
    sink into(chosen);
    auto first = begin(into, file("a", 6));
    EXPECT_EQ(error_of([&] { begin(into, file("b", 6)); }).code(), errc::exhausted);
    first->abort(delivery::partial::drop);
    first.reset();
    EXPECT_EQ(deliver(into, file("b", 6), "123456"), "stored as b");
}

TEST_F(filesystem_sink, holds_its_quota_among_many) {
    chosen.quota = 1000 + 33 * entry_bytes;
    chosen.sync = durability::lazy;
    sink into(chosen);
    std::atomic<int> stored_ones{0};
    std::vector<std::thread> crew;
    for (int t = 0; t < 8; ++t)
        crew.emplace_back([&, t] {
            for (int i = 0; i < 30; ++i) try {
                    const auto known = i % 2 == 0 ? std::optional<std::uint64_t>(30) : std::nullopt;
                    deliver(into, file(std::to_string(t) + "-" + std::to_string(i), known), std::string(30, 'x'));
                    ++stored_ones;
                } catch (const error& e) {
                    EXPECT_EQ(e.code(), errc::exhausted) << e.what();
                }
        });
    for (auto& one : crew) one.join();
    EXPECT_LE(stored_ones, 33);
    EXPECT_GE(stored_ones, 25);
    EXPECT_THAT(partials(), IsEmpty());
    const auto before = static_cast<int>(stored_ones);
    for (int i = before; i < 33; ++i) {
        std::this_thread::sleep_for(20ms);
        deliver(into, file("last" + std::to_string(i), 30), std::string(30, 'x'));
    }
    EXPECT_EQ(error_of([&] { begin(into, file("one too many", 30)); }).code(), errc::exhausted);
}

TEST_F(filesystem_sink, what_is_kept_counts_once) {
    chosen.quota = 10 + 2 * entry_bytes;
    sink into(chosen);
    auto what = resumable("a", 8);
    {
        const auto item = begin(into, what);
        item->write(as_bytes("12345"));
        item->abort(delivery::partial::keep);
    }
    EXPECT_EQ(error_of([&] { begin(into, file("b", 6)); }).code(), errc::exhausted);
    begin(into, file("b", 5));
    {
        const auto item = begin(into, what);
        EXPECT_EQ(item->offset(), 5u);
        EXPECT_EQ(error_of([&] { begin(into, file("b", 3)); }).code(), errc::exhausted);
        item->write(as_bytes("678"));
        finish(*item);
    }
    deliver(into, file("b", 2), "12");
    EXPECT_EQ(error_of([&] { begin(into, file("c", 1)); }).code(), errc::exhausted);

    sink again(chosen);
    EXPECT_EQ(error_of([&] { begin(again, file("c", 1)); }).code(), errc::exhausted);
}

TEST_F(filesystem_sink, says_how_much_room_there_is) {
    const auto skipped = test::in_private_mounts([&] {
        ::mkdir(folder_path().c_str(), 0700);
        test::mount_small_disk(folder_path(), "size=1m");
        sink into(chosen);
        const auto failure = error_of([&] { begin(into, file("big", 5 << 20)); });
        EXPECT_EQ(failure.code(), errc::exhausted);
        EXPECT_THAT(failure.what(), MatchesRegex("needs 5\\.00 MiB but only [0-9.]+ [KM]iB is free in .*"));
        // Two that fit alone but not together.
        auto first = begin(into, file("half", 700 << 10));
        EXPECT_EQ(error_of([&] { begin(into, file("half", 700 << 10)); }).code(), errc::exhausted);
        first.reset();
        begin(into, file("half", 700 << 10));
        EXPECT_EQ(error_of([&] { begin(into, file("huge", ~std::uint64_t{0})); }).code(), errc::exhausted);
        EXPECT_EQ(error_of([&] { begin(into, file("huge", ~std::uint64_t{0} >> 1)); }).code(), errc::exhausted);
        begin(into, file("half", 700 << 10));
        EXPECT_THAT(partials(), IsEmpty());
    });
    if (!skipped.empty()) GTEST_SKIP() << skipped;
}

TEST_F(filesystem_sink, a_full_disk_is_told_and_leaves_nothing) {
    const auto skipped = test::in_private_mounts([&] {
        ::mkdir(folder_path().c_str(), 0700);
        test::mount_small_disk(folder_path(), "size=1m");
        sink into(chosen);
        const std::string chunk(100'001, 'x');
        {
            const auto item = begin(into, file("endless"));
            const auto failure = error_of([&] {
                for (;;) item->write(as_bytes(chunk));
            });
            EXPECT_EQ(failure.code(), errc::exhausted);
            EXPECT_EQ(failure.system_error(), ENOSPC);
            EXPECT_THAT(failure.what(), HasSubstr("'endless'"));
            EXPECT_THAT(failure.what(), HasSubstr("is full"));
            EXPECT_THAT(partials(), IsEmpty());
            EXPECT_EQ(error_of([&] { finish(*item); }).code(), errc::exhausted);
        }
        EXPECT_THAT(stored(), IsEmpty());
        EXPECT_EQ(deliver(into, file("small"), chunk), "stored as small") << "the room was not given back";
    });
    if (!skipped.empty()) GTEST_SKIP() << skipped;
}

TEST_F(filesystem_sink, a_disk_without_room_for_a_name_is_told) {
    const auto skipped = test::in_private_mounts([&] {
        ::mkdir(folder_path().c_str(), 0700);
        test::mount_small_disk(folder_path(), "size=1m,nr_inodes=4");
        sink into(chosen);  // the root, the partial area, one partial file: one is left
        auto item = begin(into, file("a/b/c"));
        const auto told = error_of([&] { finish(*item); });
        EXPECT_EQ(told.code(), errc::exhausted);
        EXPECT_THAT(told.what(), HasSubstr("room for no further file, whatever its size; remove files there"));
        item.reset();
        EXPECT_THAT(partials(), IsEmpty());
    });
    if (!skipped.empty()) GTEST_SKIP() << skipped;
}

// ---- Folders in trouble ----

TEST_F(filesystem_sink, says_that_the_folder_above_is_missing) {
    chosen.directory = (home / "no/such").string();
    const auto failure = error_of([&] { sink into(chosen); });
    EXPECT_EQ(failure.code(), errc::bad_input);
    EXPECT_THAT(failure.what(), HasSubstr("the folder above it is missing"));
}

TEST_F(filesystem_sink, says_that_the_folder_is_a_file) {
    put(home / "in", "x");
    EXPECT_THAT(error_of([&] { sink into(chosen); }).what(), HasSubstr("is not a folder"));
}

TEST_F(filesystem_sink, takes_a_link_that_the_user_chose) {
    fs::create_directory_symlink(home / "outside", home / "in");
    sink into(chosen);
    deliver(into, file("a"), "x");
    EXPECT_EQ(content_of(home / "outside/a"), "x");
}

TEST_F(filesystem_sink, says_that_the_folder_was_removed) {
    sink into(chosen);
    const auto item = begin(into, file("a", 1));
    item->write(as_bytes("x"));
    fs::remove_all(folder_path());
    for (const auto& failure : {error_of([&] { finish(*item); }), error_of([&] { begin(into, file("b")); }),
                                error_of([&] { finish(*begin(into, folder("b"))); })}) {
        EXPECT_EQ(failure.code(), errc::io);
        EXPECT_THAT(failure.what(), HasSubstr("the receiver's folder was removed; make it again"));
        EXPECT_THAT(failure.what(), testing::Not(HasSubstr("the folder the")));
    }
}

TEST_F(filesystem_sink, makes_its_partial_area_anew) {
    sink into(chosen);
    deliver(into, file("a"), "x");
    const auto cut = begin(into, file("b"));
    fs::remove_all(in(partial_area_name));
    EXPECT_EQ(deliver(into, file("c"), "x"), "stored as c");
    EXPECT_EQ(error_of([&] { finish(*cut); }).code(), errc::io);
    EXPECT_THAT(stored(), ElementsAre("a", "c"));
}

TEST_F(filesystem_sink, says_that_it_may_not_write) {
    const bool is_root = ::geteuid() == 0;
    fs::create_directory(folder_path());
    ASSERT_EQ(::chmod(home.path().c_str(), 0755), 0);
    ASSERT_EQ(::chmod(folder_path().c_str(), 0555), 0);
    if (is_root) {
        ASSERT_EQ(::seteuid(65534), 0);
    }
    std::string text;
    try {
        sink into(chosen);
    } catch (const error& e) {
        text = e.what();
    }
    if (is_root) {
        ASSERT_EQ(::seteuid(0), 0);
    }
    EXPECT_THAT(text, HasSubstr("no permission to write in " + folder_path()));
}

TEST_F(filesystem_sink, says_that_a_sub_folder_may_not_be_written) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs a folder of another user";
    ASSERT_EQ(::chmod(home.path().c_str(), 0755), 0);
    fs::create_directory(folder_path());
    ASSERT_EQ(::chown(folder_path().c_str(), 65534, 65534), 0);
    ASSERT_EQ(::seteuid(65534), 0);
    std::string text, after;
    try {
        sink into(chosen);
        fs::create_directory(in("locked"));
        // Its owner could lend itself the right to write.
        ASSERT_EQ(::seteuid(0), 0);
        ASSERT_EQ(::chown(in("locked").c_str(), 0, 0), 0);
        ASSERT_EQ(::chmod(in("locked").c_str(), 0755), 0);
        ASSERT_EQ(::seteuid(65534), 0);
        try {
            deliver(into, file("locked/a"), "x");
        } catch (const error& e) {
            text = e.what();
        }
        after = deliver(into, file("free"), "x");
    } catch (const error& e) {
        after = e.what();
    }
    ASSERT_EQ(::seteuid(0), 0);
    EXPECT_THAT(text, HasSubstr("'locked/a'"));
    EXPECT_THAT(text, HasSubstr("no permission"));
    EXPECT_EQ(after, "stored as free");
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, says_that_the_disk_can_only_be_read) {
    const auto skipped = test::in_private_mounts([&] {
        ::mkdir(folder_path().c_str(), 0700);
        test::mount_small_disk(folder_path(), "size=1m");
        sink into(chosen);
        deliver(into, file("a"), "x");
        ASSERT_EQ(::mount("none", folder_path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
        for (const auto& failure :
             {error_of([&] { begin(into, file("b")); }), error_of([&] { sink second(chosen); })}) {
            EXPECT_EQ(failure.code(), errc::io);
            EXPECT_THAT(failure.what(), HasSubstr("can only be read"));
        }
    });
    if (!skipped.empty()) GTEST_SKIP() << skipped;
}

TEST_F(filesystem_sink, says_that_a_sub_folder_is_another_disk) {
    const auto skipped = test::in_private_mounts([&] {
        sink into(chosen);
        fs::create_directory(in("usb"));
        fs::create_directory(in("again"));
        test::mount_small_disk(in("usb"), "size=1m");
        const auto failure = error_of([&] { begin(into, file("usb/a")); });
        EXPECT_EQ(failure.code(), errc::unsupported);
        EXPECT_THAT(failure.what(), HasSubstr("'usb' is on another file system"));

        // The same file system, but as another mount: only the renaming shows it.
        ASSERT_EQ(::mount((home / "outside").c_str(), in("again").c_str(), nullptr, MS_BIND, nullptr), 0);
        EXPECT_EQ(error_of([&] { deliver(into, file("again/a"), "x"); }).code(), errc::unsupported);
        EXPECT_TRUE(fs::is_empty(home / "outside"));
        EXPECT_THAT(partials(), IsEmpty());
    });
    if (!skipped.empty()) GTEST_SKIP() << skipped;
}

TEST_F(filesystem_sink, a_lack_of_descriptors_is_told) {
    sink into(chosen);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit low = before;
    low.rlim_cur = 1;
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    const auto failure = error_of([&] { begin(into, file("a")); });
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_EQ(failure.code(), errc::exhausted);
}

// ---- Going on with what was cut ----

TEST_F(filesystem_sink, goes_on_where_it_was_cut) {
    sink into(chosen);
    const auto what = resumable("big.bin", 10);
    {
        const auto item = begin(into, what);
        EXPECT_EQ(item->offset(), 0u);
        item->write(as_bytes("0123"));
        item->abort(delivery::partial::keep);
    }
    EXPECT_THAT(stored(), IsEmpty());
    EXPECT_THAT(partials(), ElementsAre(StartsWith("keep-")));
    {
        sink later(chosen);
        const auto item = begin(later, what);
        ASSERT_EQ(item->offset(), 4u);
        std::byte back[3];
        ASSERT_EQ(item->read_back(0, back), 3u);
        EXPECT_EQ(as_text(back), "012");
        ASSERT_EQ(item->read_back(3, back), 1u);
        EXPECT_EQ(item->read_back(4, back), 0u);
        EXPECT_EQ(item->read_back(400, back), 0u);
        item->write(as_bytes("456789"));
        EXPECT_EQ(finish(*item), "stored as big.bin");
    }
    EXPECT_EQ(content_of(in("big.bin")), "0123456789");
    EXPECT_THAT(partials(), IsEmpty());
    EXPECT_EQ(begin(into, what)->offset(), 10u) << "what is finished is there as a whole";
}

TEST_F(filesystem_sink, goes_on_only_with_the_same_item_of_the_same_peer) {
    sink into(chosen);
    const auto what = resumable("a", 10);
    const auto cut = begin(into, what);
    cut->write(as_bytes("0123"));
    cut->abort(delivery::partial::keep);

    auto newer = what;
    newer.mtime = file_time{1'700'000'000, 6};
    auto longer = what;
    longer.size = 11;
    auto timeless = what;
    timeless.mtime.reset();
    for (const auto& other : {newer, longer, timeless, resumable("b", 10), file("a", 10)})
        EXPECT_EQ(begin(into, other)->offset(), 0u);
    EXPECT_EQ(begin(into, what, bob)->offset(), 0u);
    EXPECT_EQ(begin(into, what)->offset(), 4u);
}

TEST_F(filesystem_sink, drops_what_is_not_to_be_kept) {
    sink into(chosen);
    const auto what = resumable("a", 10);
    auto item = begin(into, what);
    item->write(as_bytes("0123"));
    item->abort(delivery::partial::keep);
    item = begin(into, what);
    ASSERT_EQ(item->offset(), 4u);
    item->abort(delivery::partial::drop);
    EXPECT_EQ(begin(into, what)->offset(), 0u);
    item = begin(into, what);
    item->abort(delivery::partial::keep);  // of nothing
    EXPECT_THAT(partials(), IsEmpty());
    auto unknown = what;
    unknown.size.reset();
    item = begin(into, unknown);
    item->write(as_bytes("x"));
    item->abort(delivery::partial::keep);
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, one_delivery_at_a_time_goes_on) {
    sink into(chosen);
    const auto what = resumable("a", 6);
    auto cut = begin(into, what);
    cut->write(as_bytes("012"));
    cut->abort(delivery::partial::keep);
    cut.reset();

    const auto first = begin(into, what);
    sink other_process(chosen);
    const auto second = begin(other_process, what);
    ASSERT_EQ(first->offset(), 3u);
    ASSERT_EQ(second->offset(), 0u);
    second->write(as_bytes("012345"));
    first->write(as_bytes("345"));
    EXPECT_EQ(finish(*second), "stored as a");
    EXPECT_EQ(finish(*first), "stored as a") << "it is there already";
    EXPECT_EQ(content_of(in("a")), "012345");
    EXPECT_THAT(stored(), ElementsAre("a"));
    EXPECT_THAT(partials(), IsEmpty());
}

TEST_F(filesystem_sink, a_crash_keeps_what_can_be_gone_on_with) {
    fs::create_directory(folder_path());
    const auto what = resumable("a", 6);
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        sink into(chosen);
        const auto kept = begin(into, what);
        kept->write(as_bytes("012"));
        const auto lost = begin(into, file("b"));
        lost->write(as_bytes("012"));
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(partials().size(), 2u);
    sink into(chosen);
    EXPECT_EQ(partials().size(), 1u);
    const auto item = begin(into, what);
    EXPECT_EQ(item->offset(), 3u);
    item->write(as_bytes("345"));
    finish(*item);
    EXPECT_EQ(content_of(in("a")), "012345");
}

TEST_F(filesystem_sink, a_refusal_does_not_cost_what_was_kept) {
    sink into(chosen);
    const auto what = resumable("a", 10);
    auto cut = begin(into, what);
    cut->write(as_bytes("0123"));
    cut->abort(delivery::partial::keep);
    cut.reset();
    auto small = chosen;
    small.quota = 5 + entry_bytes;
    {
        sink tight(small);
        EXPECT_EQ(error_of([&] { begin(tight, what); }).code(), errc::exhausted);
    }
    EXPECT_EQ(begin(into, what)->offset(), 4u);
}

TEST_F(filesystem_sink, kept_data_that_are_all_there_need_only_be_finished) {
    sink into(chosen);
    const auto what = resumable("a", 4);
    auto item = begin(into, what);
    item->write(as_bytes("0123"));
    item->abort(delivery::partial::keep);
    item = begin(into, what);
    EXPECT_EQ(item->offset(), 4u);
    EXPECT_EQ(finish(*item), "stored as a");
    EXPECT_EQ(content_of(in("a")), "0123");
}

}  // namespace
}  // namespace wherry::filesystem
