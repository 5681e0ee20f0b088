// SPDX-License-Identifier: BSD-2-Clause
#include "read_back.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "report.hpp"
#include "wherry/unique_fd.hpp"

extern char** environ;

namespace wherry::conformance {

std::optional<std::string> read_back(const std::string& command, const std::string& name) {
    int ends[2];
    require(::pipe2(ends, O_CLOEXEC) == 0, "--read-back: no pipe can be had for the command");
    const unique_fd from(ends[0]);
    unique_fd to(ends[1]);

    std::string shell = "sh", option = "-c", text = command, variable = "WHERRY_NAME=" + name;
    char* const arguments[] = {shell.data(), option.data(), text.data(), nullptr};
    // The first of a name is what counts.
    std::vector<char*> variables{variable.data()};
    for (char** at = environ; *at != nullptr; ++at) variables.push_back(*at);
    variables.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, to.get(), STDOUT_FILENO);
    pid_t command_process = -1;
    const int problem = ::posix_spawn(&command_process, "/bin/sh", &actions, nullptr, arguments, variables.data());
    ::posix_spawn_file_actions_destroy(&actions);
    require(problem == 0, "--read-back: no process can be had for the command");
    to.reset();

    std::string bytes;
    std::array<char, 65'536> buffer;
    for (ssize_t count = 0;
         (count = uninterrupted([&] { return ::read(from.get(), buffer.data(), buffer.size()); })) > 0;)
        bytes.append(buffer.data(), static_cast<std::size_t>(count));
    int status = 0;
    const bool has_ended = uninterrupted([&] { return ::waitpid(command_process, &status, 0); }) == command_process;
    if (!has_ended || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
    return bytes;
}

}  // namespace wherry::conformance
