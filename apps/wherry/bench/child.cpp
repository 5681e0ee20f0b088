// SPDX-License-Identifier: BSD-2-Clause
#include "bench/child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "wherry/error.hpp"

namespace wherry::app::bench {

namespace {

constexpr const char* this_program = "/proc/self/exe";

std::vector<char*> as_pointers(std::vector<std::string>& words) {
    std::vector<char*> pointers;
    for (auto& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    return pointers;
}

// Between fork and exec: only what is safe there.
[[noreturn]] void become(char* const* arguments, char* const* environment, int output, pid_t parent) noexcept {
    // Whoever started this is gone already where it is not the parent any more.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == parent) {
        ::setpgid(0, 0);
        const int input = ::open("/dev/null", O_RDONLY);
        sigset_t none;
        ::sigemptyset(&none);
        ::sigprocmask(SIG_SETMASK, &none, nullptr);
        if (input >= 0 && ::dup2(input, STDIN_FILENO) >= 0 && ::dup2(output, STDOUT_FILENO) >= 0)
            ::execve(this_program, arguments, environment);
    }
    ::_exit(127);
}

}  // namespace

child_process::child_process(const std::vector<std::string>& arguments, const std::vector<std::string>& environment) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        throw error(errc::exhausted, "no pipe to another process can be made", errno);
    output_ = unique_fd(ends[0]);
    const unique_fd theirs(ends[1]);
    auto words = arguments, variables = environment;
    words.insert(words.begin(), "wherry");
    const auto argument_pointers = as_pointers(words), variable_pointers = as_pointers(variables);
    const auto self = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw error(errc::exhausted, "no other process can be started", errno);
    if (pid_ == 0) become(argument_pointers.data(), variable_pointers.data(), theirs.get(), self);
}

child_process::~child_process() {
    signal(SIGKILL);
    wait();
}

std::optional<std::string> child_process::next_line() {
    for (;;) {
        if (const auto end = read_.find('\n'); end != read_.npos) {
            auto line = read_.substr(0, end);
            read_.erase(0, end + 1);
            return line;
        }
        std::array<char, 4096> piece;
        const auto got = ::read(output_.get(), piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return std::nullopt;
        read_.append(piece.data(), static_cast<std::size_t>(got));
    }
}

void child_process::drop_output() {
    try {
        dropping_ = std::jthread([this] {
            while (next_line()) {
            }
        });
    } catch (const std::system_error&) {
        throw error(errc::exhausted, "no thread can be started to read what another process says");
    }
}

int child_process::wait() {
    if (pid_ < 0) return 0;
    // Left as it is until its number can be let go of, so that a signal meets no other process.
    siginfo_t ended{};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    const mutex_lock lock(mutex_);
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void child_process::signal(int number) noexcept {
    const mutex_lock lock(mutex_);
    if (pid_ > 0) ::kill(pid_, number);
}

}  // namespace wherry::app::bench
