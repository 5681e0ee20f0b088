#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
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

}  // namespace

// In place of the C library's, for this program only.
extern "C" int fsync(int fd) {
    struct stat what {};
    const bool is_known = ::fstat(fd, &what) == 0;
    const bool is_folder = is_known && S_ISDIR(what.st_mode);
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

namespace wherry::filesystem {
namespace {

class filesystem_sink_fault : public testing::Test {
protected:
    filesystem_sink_fault() {
        chosen.directory = (folder.path() / "in").string();
        peer.fingerprint = "SHA256:test";
    }
    ~filesystem_sink_fault() override {
        folders_fail = false;
        failing_folder = 0;
        failing_size = 0;
        meanwhile = nullptr;
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
    // In the partial area.
    std::size_t partial_count() const {
        const std::filesystem::directory_iterator all(chosen.directory + "/.wherry-partial"), end;
        return static_cast<std::size_t>(std::distance(all, end));
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
