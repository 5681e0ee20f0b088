// SPDX-License-Identifier: BSD-2-Clause
// The filesystem sink on file systems that lack calls, and where calls fail.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "error_of.hpp"
#include "file_mark.hpp"
#include "filesystem_sink.hpp"
#include "open_descriptors.hpp"
#include "temporary_folder.hpp"
#include "wherry/text.hpp"
#include "wherry/unique_fd.hpp"

namespace {

// Asked before each call that is replaced below: returns the code with which it fails, or 0. Only in the thread that
// sets it.
thread_local std::function<int(std::string_view call, std::string_view name)> judge;
// What the file system shows as owner and mode of everything, as FAT does; none: what it has.
thread_local std::optional<std::pair<uid_t, mode_t>> shown_owner;
thread_local time_t last_time = 0;          // that the file system can hold; 0: any
thread_local bool sets_both_times = false;  // or none

bool is_failed(std::string_view call, std::string_view name = {}) {
    if (!judge) return false;
    const auto asked = std::exchange(judge, nullptr);  // it may make such calls itself
    const int code = asked(call, name);
    judge = asked;
    if (code != 0) errno = code;
    return code != 0;
}

int system_call_result(long result) { return static_cast<int>(result); }

}  // namespace

// These replace the C library's functions, for this program only.
extern "C" int fstatat(int folder, const char* name, struct stat* found, int flags) noexcept {
    if (is_failed("fstatat", name)) return -1;
    const int result = system_call_result(::syscall(SYS_newfstatat, folder, name, found, flags));
    if (result == 0 && shown_owner) {
        found->st_uid = shown_owner->first;
        found->st_mode = (found->st_mode & S_IFMT) | shown_owner->second;
    }
    return result;
}
extern "C" int fstat(int fd, struct stat* found) noexcept {
    if (is_failed("fstat")) return -1;
    const auto asked = std::exchange(judge, nullptr);
    const int result = fstatat(fd, "", found, AT_EMPTY_PATH);
    judge = asked;
    return result;
}
extern "C" int openat(int folder, const char* name, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const auto mode = va_arg(more, mode_t);
    va_end(more);
    if (is_failed("openat", name)) return -1;
    return system_call_result(::syscall(SYS_openat, folder, name, flags, mode));
}
extern "C" int mkdirat(int folder, const char* name, mode_t mode) noexcept {
    return is_failed("mkdirat", name) ? -1 : system_call_result(::syscall(SYS_mkdirat, folder, name, mode));
}
extern "C" int flock(int fd, int how) noexcept {
    return is_failed("flock") ? -1 : system_call_result(::syscall(SYS_flock, fd, how));
}
extern "C" int fchmod(int fd, mode_t mode) noexcept {
    return is_failed("fchmod") ? -1 : system_call_result(::syscall(SYS_fchmod, fd, mode));
}
extern "C" int futimens(int fd, const struct timespec* times) noexcept {
    if (is_failed("futimens")) return -1;
    if (sets_both_times && times[0].tv_nsec == UTIME_OMIT) return 0;
    struct timespec held[2] = {times[0], times[1]};
    if (last_time != 0 && held[1].tv_sec > last_time) held[1] = {last_time, 0};
    return system_call_result(::syscall(SYS_utimensat, fd, nullptr, held, 0));
}
extern "C" ssize_t pwrite(int fd, const void* from, size_t size, off_t position) {
    return is_failed("pwrite") ? -1 : ::syscall(SYS_pwrite64, fd, from, size, position);
}
extern "C" ssize_t pread(int fd, void* into, size_t size, off_t position) {
    return is_failed("pread") ? -1 : ::syscall(SYS_pread64, fd, into, size, position);
}
// The disk is not asked: a run is one of many hundred.
extern "C" int fsync(int) { return is_failed("fsync") ? -1 : 0; }
extern "C" int fdatasync(int) { return is_failed("fdatasync") ? -1 : 0; }
extern "C" int syncfs(int) noexcept { return is_failed("syncfs") ? -1 : 0; }
extern "C" int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
    if (is_failed("renameat", to)) return -1;
    return system_call_result(::syscall(SYS_renameat, from_folder, from, to_folder, to));
}
extern "C" int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned how) noexcept {
    if (is_failed("renameat2", to)) return -1;
    return system_call_result(::syscall(SYS_renameat2, from_folder, from, to_folder, to, how));
}
extern "C" int linkat(int from_folder, const char* from, int to_folder, const char* to, int flags) noexcept {
    if (is_failed("linkat", to)) return -1;
    return system_call_result(::syscall(SYS_linkat, from_folder, from, to_folder, to, flags));
}
extern "C" int unlinkat(int folder, const char* name, int flags) noexcept {
    return is_failed("unlinkat", name) ? -1 : system_call_result(::syscall(SYS_unlinkat, folder, name, flags));
}
extern "C" int ftruncate(int fd, off_t size) noexcept {
    return is_failed("ftruncate") ? -1 : system_call_result(::syscall(SYS_ftruncate, fd, size));
}
extern "C" int statx(int folder, const char* name, int flags, unsigned mask, struct statx* found) noexcept {
    if (is_failed("statx", name)) return -1;
    return system_call_result(::syscall(SYS_statx, folder, name, flags, mask, found));
}

namespace wherry::filesystem {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class filesystem_calls : public testing::Test {
protected:
    filesystem_calls() {
        chosen.directory = (folder.path() / "in").string();
        chosen.least_kept = 0;
        peer.fingerprint = "SHA256:test";
    }
    ~filesystem_calls() override {
        judge = nullptr;
        shown_owner.reset();
        last_time = 0;
        sets_both_times = false;
    }

    struct collected final : response {
        std::string text;
        using response::append;
        void append(const_bytes bytes) override { text += as_text(bytes); }
        void set_outcome(std::string_view) override {}
    };

    static offer file(const std::string& name, std::uint64_t size) {
        offer what;
        what.name = name;
        what.size = size;
        what.mode = 0640;
        what.mtime = file_time{1'000'000'000, 0};
        return what;
    }
    static offer resumable(const std::string& name, std::uint64_t size) {
        auto what = file(name, size);
        what.wants_resume = true;
        what.id = delivery_id{};
        return what;
    }
    std::unique_ptr<delivery> begin(sink& into, const offer& what) { return into.begin(what, {"test", peer}); }
    std::string deliver(sink& into, const offer& what, std::string_view content) {
        const auto item = begin(into, what);
        item->write(as_bytes(content).subspan(static_cast<std::size_t>(item->offset())));
        collected answer;
        item->finish(answer);
        return answer.text;
    }
    std::string path_of(const std::string& name) const { return chosen.directory + "/" + name; }
    std::string content_of(const std::string& name) const {
        std::ifstream in(path_of(name));
        std::ostringstream all;
        all << in.rdbuf();
        return in ? all.str() : "(there is none)";
    }
    // Files that belong to a delivery, and are of no use after it.
    std::vector<std::string> leftovers() const {
        std::vector<std::string> names;
        std::error_code missing;
        for (const auto& entry : std::filesystem::directory_iterator(path_of(".wherry-partial"), missing))
            if (entry.path().filename().string().starts_with("new-")) names.push_back(entry.path().filename());
        return names;
    }
    // Everything in the folder but what begins with a dot.
    std::size_t stored_count() const {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator(chosen.directory))
            if (!entry.path().filename().string().starts_with(".")) ++count;
        return count;
    }

    test::temporary_folder folder;
    options chosen;
    identity peer;
    std::vector<std::string> warnings;
    std::function<void(const std::string&)> warn = [this](const std::string& text) { warnings.push_back(text); };
};

// ---- File systems that lack something ----

// Makes the calls fail in this way.
std::function<int(std::string_view, std::string_view)> lacking(std::map<std::string_view, int> codes,
                                                               int name_code = EINVAL) {
    return [codes, name_code](std::string_view call, std::string_view name) {
        const auto found = codes.find(call);
        // FAT's own say in names.
        if ((call == "renameat" || call == "mkdirat") && name.find(':') != name.npos) return name_code;
        return found == codes.end() ? 0 : found->second;
    };
}

const std::map<std::string_view, int> exfat = {
    {"renameat2", EINVAL}, {"linkat", EPERM}, {"fchmod", EPERM}, {"fdatasync", EINVAL}};
const std::map<std::string_view, int> fusefat = {
    {"renameat2", ENOSYS}, {"linkat", ENOSYS}, {"fchmod", ENOSYS}, {"flock", ENOSYS}, {"fsync", ENOSYS}};

TEST_F(filesystem_calls, stores_where_the_file_system_has_little) {
    for (const auto& [name, codes] : {std::pair("exfat", exfat), std::pair("fusefat", fusefat)})
        for (const auto policy : {existing_policy::rename, existing_policy::refuse, existing_policy::overwrite}) {
            SCOPED_TRACE(name);
            chosen.existing = policy;
            shown_owner = {4711, 0777};
            judge = lacking(codes);
            {
                sink into(chosen, warn);
                EXPECT_EQ(deliver(into, file("a", 3), "old"), "stored as a");
                EXPECT_EQ(deliver(into, file("sub/b", 1), "x"), "stored as sub/b");
                if (policy == existing_policy::rename) {
                    EXPECT_EQ(deliver(into, file("a", 3), "new"), "stored as a (1)");
                } else if (policy == existing_policy::overwrite) {
                    EXPECT_EQ(deliver(into, file("a", 3), "new"), "stored as a");
                } else {
                    EXPECT_EQ(test::error_of([&] { deliver(into, file("a", 4), "newer"); }).code(), errc::refused);
                }
                EXPECT_THAT(leftovers(), IsEmpty());
            }
            judge = nullptr;
            shown_owner.reset();
            EXPECT_EQ(content_of("a"), policy == existing_policy::overwrite ? "new" : "old");
            EXPECT_FALSE(std::filesystem::exists(path_of(".wherry-partial-" + std::to_string(::geteuid()))));
            std::filesystem::remove_all(chosen.directory);
        }
    EXPECT_THAT(warnings, testing::Contains(HasSubstr("can neither rename without replacing nor make hard links")));
    EXPECT_THAT(warnings, testing::Contains(HasSubstr("cannot exchange two files")));
    EXPECT_THAT(warnings, testing::Contains(HasSubstr("has no locks")));
}

TEST_F(filesystem_calls, knows_a_file_without_its_birth_where_there_is_no_statx) {
    const auto name = folder.path() / "a";
    std::ofstream(name) << "abc";
    const auto whole = mark_of(AT_FDCWD, name.string());
    judge = lacking({{"statx", ENOSYS}});
    const auto lesser = mark_of(AT_FDCWD, name.string());
    const unique_fd opened(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(mark_of(opened.get()), lesser);
    EXPECT_EQ(mark_of(AT_FDCWD, folder.path().string()), std::nullopt);
    judge = nullptr;
    ASSERT_TRUE(whole && lesser);
    EXPECT_EQ(lesser->birth, std::nullopt);
    auto expected = *whole;
    expected.birth.reset();
    EXPECT_EQ(*lesser, expected);
}

TEST_F(filesystem_calls, goes_on_where_it_was_cut_on_a_file_system_without_owners) {
    shown_owner = {4711, 0755};
    judge = lacking(exfat);
    sink into(chosen, warn);
    {
        const auto item = begin(into, resumable("a", 3));
        item->write(as_bytes("ab"));
        item->abort(delivery::partial::keep);
    }
    const auto item = begin(into, resumable("a", 3));
    EXPECT_EQ(item->offset(), 2u);
    item->write(as_bytes("c"));
    collected answer;
    item->finish(answer);
    judge = nullptr;
    EXPECT_EQ(content_of("a"), "abc");
}

TEST_F(filesystem_calls, nothing_is_kept_without_locks) {
    judge = lacking(fusefat);
    sink into(chosen, warn);
    const auto one = begin(into, resumable("a", 3)), other = begin(into, resumable("a", 3));
    one->write(as_bytes("ab"));
    one->abort(delivery::partial::keep);
    other->write(as_bytes("xyz"));
    collected answer;
    other->finish(answer);
    EXPECT_EQ(begin(into, resumable("a", 4))->offset(), 0u);
    judge = nullptr;
    EXPECT_EQ(content_of("a"), "xyz");
}

TEST_F(filesystem_calls, a_lock_that_another_program_holds_keeps_nothing_from_its_place) {
    judge = lacking(exfat);
    sink into(chosen, warn);
    const unique_fd held(::openat(AT_FDCWD, chosen.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_EQ(::flock(held.get(), LOCK_SH), 0);
    EXPECT_EQ(deliver(into, file("a", 1), "x"), "stored as a");
}

TEST_F(filesystem_calls, a_name_that_the_file_system_does_not_take_is_told) {
    sink into(chosen, warn);
    for (const int code : {EINVAL, ENOENT})
        for (const auto* name : {"10:30", "sub/10:30", "10:30/a"}) {
            judge = lacking(exfat, code);
            const auto told = test::error_of([&] { deliver(into, file(name, 1), "x"); });
            EXPECT_EQ(told.code(), errc::refused) << name;
            EXPECT_THAT(told.what(), HasSubstr("10:30")) << name;
            EXPECT_THAT(told.what(), HasSubstr("takes no such name; send it under another")) << name;
        }
    EXPECT_THAT(leftovers(), IsEmpty());
}

TEST_F(filesystem_calls, a_time_that_the_file_system_cannot_hold_is_told) {
    sink into(chosen, warn);
    last_time = 2'147'483'647;
    auto what = file("a", 1);
    what.mtime = file_time{4'000'000'000, 0};
    EXPECT_EQ(deliver(into, what, "x"), "stored as a; the file system there cannot hold its time");
    EXPECT_EQ(deliver(into, file("b", 1), "x"), "stored as b");
    // Some can set both times only.
    last_time = 0;
    sets_both_times = true;
    EXPECT_EQ(deliver(into, file("both", 1), "x"), "stored as both");
    EXPECT_EQ(std::chrono::file_clock::to_sys(std::filesystem::last_write_time(path_of("both"))).time_since_epoch(),
              std::chrono::seconds(1'000'000'000));
    sets_both_times = false;
    // One that is only coarser is no other time.
    what = file("c", 1);
    last_time = what.mtime->seconds - 1;
    EXPECT_EQ(deliver(into, what, "x"), "stored as c");
}

// ---- The nth call fails ----

// Runs `body` with each call failing in turn, until one run has no such call left. check(failed call, error).
void fail_each_call(int code, const std::function<void()>& prepare, const std::function<void()>& body,
                    const std::function<void(const std::string& failed, const std::optional<error>& told)>& check) {
    for (int nth = 1;; ++nth) {
        prepare();
        int calls = 0;
        std::string failed;
        std::optional<error> told;
        judge = [&](std::string_view call, std::string_view) {
            if (++calls != nth) return 0;
            failed = call;
            return code;
        };
        try {
            body();
        } catch (const error& e) {
            told = e;
        }
        judge = nullptr;
        SCOPED_TRACE(testing::Message() << failed << ", call " << nth << " with errno " << code << ": "
                                        << (told ? told->what() : "no error"));
        check(failed, told);
        if (testing::Test::HasFailure()) return;
        if (failed.empty()) {
            EXPECT_GT(nth, 10) << "hardly any call was seen";
            return;
        }
    }
}

class filesystem_calls_each : public filesystem_calls, public testing::WithParamInterface<int> {};

TEST_P(filesystem_calls_each, a_failed_call_gives_no_false_answer_and_leaves_nothing) {
    for (const auto policy : {existing_policy::rename, existing_policy::refuse, existing_policy::overwrite})
        for (const bool may_be_kept : {false, true}) {
            chosen.existing = policy;
            std::unique_ptr<sink> into;
            const std::string name = policy == existing_policy::refuse ? "sub/b" : "sub/a";
            std::string answer;
            auto what = may_be_kept ? resumable(name, 3) : file(name, 3);
            what.mtime->seconds += 1;  // it is no other sending of the old one
            fail_each_call(
                GetParam(),
                [&] {
                    into.reset();
                    std::filesystem::remove_all(chosen.directory);
                    into = std::make_unique<sink>(chosen, warn);
                    deliver(*into, file("sub/a", 3), "old");
                    answer.clear();
                },
                [&] { answer = deliver(*into, what, "new"); },
                [&](const std::string& failed, const std::optional<error>& told) {
                    EXPECT_EQ(answer.empty(), told.has_value());
                    if (policy != existing_policy::overwrite) {
                        EXPECT_EQ(content_of("sub/a"), "old");
                    }
                    if (told) {
                        EXPECT_EQ(content_of("sub/a"), "old");
                        EXPECT_EQ(content_of("sub/b"), "(there is none)");
                        EXPECT_EQ(content_of("sub/a (1)"), "(there is none)");
                    } else {
                        const std::size_t begin = std::string("stored as ").size();
                        EXPECT_EQ(content_of(answer.substr(begin, answer.find(';') - begin)), "new") << answer;
                    }
                    if (failed != "unlinkat") {
                        EXPECT_THAT(leftovers(), IsEmpty());
                    }
                    // Nothing is broken for the next one.
                    EXPECT_EQ(deliver(*into, file("c", 1), "x"), "stored as c");
                });
        }
}

TEST_P(filesystem_calls_each, a_failed_call_loses_no_part_that_was_kept) {
    std::unique_ptr<sink> into;
    std::uint64_t offset = 0;
    bool is_done = false;
    fail_each_call(
        GetParam(),
        [&] {
            into.reset();
            std::filesystem::remove_all(chosen.directory);
            into = std::make_unique<sink>(chosen, warn);
            const auto item = begin(*into, resumable("a", 3));
            item->write(as_bytes("ab"));
            item->abort(delivery::partial::keep);
            is_done = false;
        },
        [&] {
            const auto item = begin(*into, resumable("a", 3));
            offset = item->offset();
            item->write(as_bytes("abc").subspan(static_cast<std::size_t>(offset)));
            collected answer;
            item->finish(answer);
            is_done = true;
        },
        [&](const std::string& failed, const std::optional<error>& told) {
            EXPECT_EQ(is_done, !told.has_value());
            EXPECT_EQ(content_of("a"), told ? "(there is none)" : "abc");
            // A part that cannot be opened is set aside, and waits for the next clearing.
            if (failed != "unlinkat" && !(failed == "openat" && GetParam() == EACCES)) {
                EXPECT_THAT(leftovers(), IsEmpty());
            }
            EXPECT_EQ(deliver(*into, resumable("a", 3), "abc"), "stored as a");
            EXPECT_EQ(content_of("a"), "abc");
        });
}

TEST_P(filesystem_calls_each, a_receiver_whose_start_fails_leaves_the_folder_to_the_next) {
    fail_each_call(
        GetParam(),
        [&] {
            std::filesystem::remove_all(chosen.directory);
            sink into(chosen, warn);
            deliver(into, resumable("a", 3), "abc");
            const auto item = begin(into, resumable("b", 3));
            item->write(as_bytes("ab"));
            item->abort(delivery::partial::keep);
        },
        [&] { sink into(chosen, warn); },
        [&](const std::string&, const std::optional<error>&) {
            EXPECT_EQ(content_of("a"), "abc");
            sink into(chosen, warn);
            EXPECT_EQ(begin(into, resumable("b", 3))->offset(), 2u);
            EXPECT_THAT(leftovers(), IsEmpty());
        });
}

INSTANTIATE_TEST_SUITE_P(errors, filesystem_calls_each, testing::Values(EIO, ENOSPC, EACCES, ENOSYS));

}  // namespace
}  // namespace wherry::filesystem
