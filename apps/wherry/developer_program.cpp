// SPDX-License-Identifier: BSD-2-Clause
#include "developer_program.hpp"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "application.hpp"
#include "program.hpp"
#include "wherry/program_file.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_to(const char* action, const fs::path& path) {
    const int cause = errno;
    throw error(errc::io, fmt::format("cannot {} {}: {}", action, path.native(), std::strerror(cause)), cause);
}

uid_t owner_of(const fs::path& path, int flags) {
    struct stat status {};
    if (::fstatat(AT_FDCWD, path.c_str(), &status, flags) != 0) fail_to("look at", path);
    return status.st_uid;
}

// Returns the absolute path of wherry-dev. Throws error(errc::unsupported) if it is not installed, or if another user
// could have put it there: this program may lie in a folder like /tmp, where anybody can make a folder beside it.
fs::path find_developer_program(const std::string& command) {
    const auto program = program_file();
    if (program.empty()) throw error(errc::io, fmt::format("wherry-dev cannot be found{}", note_unknown_program()));
    std::error_code problem;
    const auto file = (program.parent_path() / WHERRY_LIBEXEC_BESIDE_PROGRAM / "wherry-dev").lexically_normal();
    if (!fs::exists(file, problem))
        throw error(errc::unsupported,
                    fmt::format("{} is part of wherry-dev, which is not installed ({} is missing); install the package "
                                "wherry-dev, or the component 'development' into the same prefix",
                                command, file.native()));
    const auto owner = owner_of(program, 0);
    // Of a link its own owner counts, who could let it point elsewhere.
    for (const auto& path : {file.parent_path(), file})
        if (const auto other = owner_of(path, AT_SYMLINK_NOFOLLOW); other != 0 && other != owner)
            throw error(errc::unsupported,
                        fmt::format("{} belongs to another user, who could change what is run; install wherry-dev as "
                                    "the user who installed wherry",
                                    path.native()));
    return file;
}

// Replaces this process by wherry-dev; throws error if that cannot be done.
[[noreturn]] void run_developer_program(const std::string& command, const std::vector<std::string>& words) {
    const auto file = find_developer_program(command);
    std::vector<std::string> arguments = {file.native()};
    arguments.insert(arguments.end(), words.begin(), words.end());
    std::vector<char*> pointers;
    for (auto& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    ::execv(file.c_str(), pointers.data());
    fail_to("run", file);
}

// The error for which run_developer_program_for() returned. Set while the process has one thread.
std::optional<error> obstacle;

exit_code run(application&) {
    if (obstacle) throw error(*obstacle);
    throw error(errc::bad_input, "help takes a command and nothing behind it; write: wherry help COMMAND");
}

}  // namespace

void run_developer_program_for(const std::vector<std::string>& words) {
    const auto command = named_command(words);
    if (command != new_plugin_syntax().name && command != check_plugin_syntax().name) return;
    try {
        run_developer_program(command, words);
    } catch (const error& e) {
        obstacle = e;
    }
}

const command& new_plugin_command() {
    static const command described = {new_plugin_syntax(), run};
    return described;
}

const command& check_plugin_command() {
    static const command described = {check_plugin_syntax(), run};
    return described;
}

}  // namespace wherry::app
