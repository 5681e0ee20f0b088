// SPDX-License-Identifier: BSD-2-Clause
// What the C library has, and what stands in for it where it has not.
#include "wherry/system_calls.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "temporary_folder.hpp"
#include "wherry/unique_fd.hpp"

extern char** environ;

namespace wherry {
namespace {

struct functions {
    const char* name;
    const char* (*signal_abbreviation)(int) noexcept;
    int (*rename_in_mode)(int, const char*, int, const char*, rename_mode) noexcept;
    int (*add_close_from)(posix_spawn_file_actions_t*, int) noexcept;
};

namespace fallback = system_calls_fallback;
constexpr functions all[] = {
    {"chosen", signal_abbreviation, rename_in_mode, add_close_from},
    {"fallback", fallback::signal_abbreviation, fallback::rename_in_mode, fallback::add_close_from}};

class system_calls : public testing::TestWithParam<functions> {
protected:
    void write(const std::string& name, const std::string& content) { std::ofstream(path(name)) << content; }
    std::string read(const std::string& name) {
        std::ifstream in(path(name));
        return {std::istreambuf_iterator<char>(in), {}};
    }
    std::filesystem::path path(const std::string& name) { return folder_.path() / name; }

    // Returns 0 or the code of the failure.
    int rename(const std::string& from, const std::string& to, rename_mode mode) {
        const auto [from_path, to_path] = std::pair(path(from), path(to));
        return GetParam().rename_in_mode(AT_FDCWD, from_path.c_str(), AT_FDCWD, to_path.c_str(), mode) == 0 ? 0 : errno;
    }

private:
    test::temporary_folder folder_;
};

TEST_P(system_calls, names_of_signals) {
    for (int number = 1; number < 32; ++number) {
        const char* const name = GetParam().signal_abbreviation(number);
        ASSERT_NE(name, nullptr) << number;
        EXPECT_STREQ(name, signal_abbreviation(number));
    }
    EXPECT_STREQ(GetParam().signal_abbreviation(SIGSEGV), "SEGV");
    EXPECT_STREQ(GetParam().signal_abbreviation(SIGIO), "POLL");
    for (const int none : {-1, 0, SIGRTMIN, 1000}) EXPECT_EQ(GetParam().signal_abbreviation(none), nullptr) << none;
}

TEST_P(system_calls, a_rename_that_replaces_nothing) {
    write("a", "A");
    write("b", "B");
    EXPECT_EQ(rename("a", "b", rename_mode::exclusive), EEXIST);
    EXPECT_EQ(read("b"), "B");
    EXPECT_EQ(rename("a", "c", rename_mode::exclusive), 0);
    EXPECT_EQ(read("c"), "A");
    EXPECT_FALSE(std::filesystem::exists(path("a")));
}

TEST_P(system_calls, an_exchange_of_two_files) {
    write("a", "A");
    write("b", "B");
    EXPECT_EQ(rename("a", "b", rename_mode::exchange), 0);
    EXPECT_EQ(read("a") + read("b"), "BA");
    EXPECT_EQ(rename("a", "none", rename_mode::exchange), ENOENT);
}

TEST_P(system_calls, a_spawned_process_has_no_further_descriptors) {
    // Neither of these is marked to be closed.
    const unique_fd low(::fcntl(STDERR_FILENO, F_DUPFD, 20)), high(::fcntl(STDERR_FILENO, F_DUPFD, 200));
    ASSERT_TRUE(low.is_open() && high.is_open());
    const auto spawn = [&](bool closes) {
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        const auto output = path("open");
        ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (closes) {
            EXPECT_EQ(GetParam().add_close_from(&actions, STDERR_FILENO + 1), 0);
        }
        std::string shell = "sh", flag = "-c";
        std::string command = "for fd in " + std::to_string(low.get()) + " " + std::to_string(high.get()) +
                              "; do test -e /proc/self/fd/$fd && echo $fd; done; echo end";
        char* const words[] = {shell.data(), flag.data(), command.data(), nullptr};
        pid_t pid = -1;
        EXPECT_EQ(::posix_spawn(&pid, "/bin/sh", &actions, nullptr, words, environ), 0);
        ::posix_spawn_file_actions_destroy(&actions);
        int status = -1;
        EXPECT_EQ(::waitpid(pid, &status, 0), pid);
        EXPECT_EQ(status, 0);
        return read("open");
    };
    EXPECT_EQ(spawn(false), std::to_string(low.get()) + "\n" + std::to_string(high.get()) + "\nend\n");
    EXPECT_EQ(spawn(true), "end\n");
}

INSTANTIATE_TEST_SUITE_P(each, system_calls, testing::ValuesIn(all), [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace wherry
