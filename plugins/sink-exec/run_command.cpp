// SPDX-License-Identifier: BSD-2-Clause
#include "run_command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <limits>
#include <optional>
#include <system_error>
#include <thread>

#include "wherry/error.hpp"
#include "wherry/system_calls.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::exec {

namespace {

using clock = std::chrono::steady_clock;

// What a descendant that has outlived the command may still write while its pipe is emptied: no more than pipes hold.
constexpr std::size_t most_drained_bytes = std::size_t{1} << 20;

// A command waits so long for descriptors, and retries at this interval.
constexpr std::chrono::seconds descriptor_timeout{10};
constexpr std::chrono::milliseconds descriptor_retry_interval{10};

[[noreturn]] void fail(int code) {
    // This process, or another one, may release these soon.
    const bool is_exhausted = code == EMFILE || code == ENFILE || code == EAGAIN || code == ENOMEM;
    throw error(is_exhausted ? errc::exhausted : errc::io,
                fmt::format("the receiver's command cannot be run: {}", std::generic_category().message(code)), code);
}

// Retries `call` while descriptors are lacking, because its delivery has come whole and others release theirs.
template <class Call>
auto when_there_are_descriptors(Call&& call) {
    for (const auto until = clock::now() + descriptor_timeout;;) {
        try {
            return call();
        } catch (const error& e) {
            if ((e.system_error() != EMFILE && e.system_error() != ENFILE) || clock::now() >= until) throw;
        }
        std::this_thread::sleep_for(descriptor_retry_interval);
    }
}

void check(int code) {
    if (code != 0) fail(code);
}

// Standard descriptors may be closed here; a pipe that took the number of one would be overwritten in the child.
unique_fd above_standard(unique_fd fd) {
    if (fd.get() > STDERR_FILENO) return fd;
    unique_fd higher(::fcntl(fd.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
    if (!higher.is_open()) fail(errno);
    return higher;
}

struct pipe_ends {
    unique_fd read, write;
};

pipe_ends make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) fail(errno);
    pipe_ends made{unique_fd(ends[0]), unique_fd(ends[1])};
    made.read = above_standard(std::move(made.read));
    made.write = above_standard(std::move(made.write));
    if (::fcntl(made.read.get(), F_SETFL, O_NONBLOCK) != 0) fail(errno);
    return made;
}

class spawn_actions {
public:
    spawn_actions() { check(::posix_spawn_file_actions_init(&actions_)); }
    ~spawn_actions() { ::posix_spawn_file_actions_destroy(&actions_); }
    spawn_actions(const spawn_actions&) = delete;
    spawn_actions& operator=(const spawn_actions&) = delete;
    posix_spawn_file_actions_t* get() noexcept { return &actions_; }

private:
    posix_spawn_file_actions_t actions_;
};

class spawn_attributes {
public:
    spawn_attributes() { check(::posix_spawnattr_init(&attributes_)); }
    ~spawn_attributes() { ::posix_spawnattr_destroy(&attributes_); }
    spawn_attributes(const spawn_attributes&) = delete;
    spawn_attributes& operator=(const spawn_attributes&) = delete;
    posix_spawnattr_t* get() noexcept { return &attributes_; }

private:
    posix_spawnattr_t attributes_;
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> all;
    for (const auto& text : texts) all.push_back(const_cast<char*>(text.c_str()));
    all.push_back(nullptr);
    return all;
}

pid_t spawn(const command_call& call, const unique_fd& out, const unique_fd& err) {
    spawn_actions actions;
    check(::posix_spawn_file_actions_adddup2(actions.get(), call.input, STDIN_FILENO));
    check(::posix_spawn_file_actions_adddup2(actions.get(), out.get(), STDOUT_FILENO));
    check(::posix_spawn_file_actions_adddup2(actions.get(), err.get(), STDERR_FILENO));
    // Those of other deliveries, too, whether they are marked to be closed or not.
    check(add_close_from(actions.get(), STDERR_FILENO + 1));
    if (!call.directory.empty()) check(::posix_spawn_file_actions_addchdir_np(actions.get(), call.directory.c_str()));

    spawn_attributes attributes;
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::sigdelset(&all, SIGKILL);
    ::sigdelset(&all, SIGSTOP);
    check(::posix_spawnattr_setsigmask(attributes.get(), &none));
    check(::posix_spawnattr_setsigdefault(attributes.get(), &all));
    check(::posix_spawnattr_setflags(attributes.get(),
                                     POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));

    const auto words = pointers(call.words), environment = pointers(call.environment);
    pid_t pid = -1;
    check(::posix_spawn(&pid, call.program.c_str(), actions.get(), attributes.get(), words.data(), environment.data()));
    return pid;
}

// A child that is to be reaped. Until then its number, and that of its group, belong to nobody else.
class child {
public:
    explicit child(pid_t pid) noexcept : pid_(pid) {}
    ~child() {
        if (is_reaped_) return;
        signal_group(SIGKILL);
        siginfo_t ignored{};
        uninterrupted([&] { return ::waitid(P_PID, static_cast<id_t>(pid_), &ignored, WEXITED); });
    }
    child(const child&) = delete;
    child& operator=(const child&) = delete;

    pid_t pid() const noexcept { return pid_; }
    void signal_group(int number) const noexcept { ::kill(-pid_, number); }

    siginfo_t reap() {
        siginfo_t how{};
        if (uninterrupted([&] { return ::waitid(P_PID, static_cast<id_t>(pid_), &how, WEXITED); }) != 0) {
            is_reaped_ = errno == ECHILD;
            throw error(errc::internal, "how the command ended is not known", errno);
        }
        is_reaped_ = true;
        return how;
    }

private:
    const pid_t pid_;
    bool is_reaped_ = false;
};

// The reading end of one of the command's outputs.
class collector {
public:
    collector(unique_fd source, std::size_t limit) noexcept : source_(std::move(source)), limit_(limit) {}

    int descriptor() const noexcept { return source_.get(); }  // poll() passes over the -1 of a closed one

    // Takes what is there, up to `most` bytes.
    void read_up_to(std::size_t most) {
        std::array<char, 16384> buffer;
        while (source_.is_open() && most > 0) {
            const auto wanted = std::min(buffer.size(), most);
            const auto got = uninterrupted([&] { return ::read(source_.get(), buffer.data(), wanted); });
            if (got < 0 && errno == EAGAIN) return;
            if (got <= 0) {
                source_.reset();
                return;
            }
            const auto count = static_cast<std::size_t>(got);
            const auto kept = std::min(count, limit_ - text.size());
            text.append(buffer.data(), kept);
            left_out += count - kept;
            most -= count;
        }
    }

    std::string text;
    std::uint64_t left_out = 0;

private:
    unique_fd source_;
    const std::size_t limit_;
};

int poll_timeout(std::optional<clock::time_point> until) {
    if (!until) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace

ended_command run_command(const command_call& call, const run_limits& limits) {
    auto output_pipe = when_there_are_descriptors(make_pipe), error_pipe = when_there_are_descriptors(make_pipe);
    child running(spawn(call, output_pipe.write, error_pipe.write));
    output_pipe.write.reset();
    error_pipe.write.reset();
    const auto process = when_there_are_descriptors([&] {
        // By number, for glibc 2.36 declares pidfd_open() without C linkage.
        unique_fd opened(static_cast<int>(::syscall(SYS_pidfd_open, running.pid(), 0)));
        if (!opened.is_open()) fail(errno);
        return opened;
    });

    collector output(std::move(output_pipe.read), limits.max_output_bytes);
    collector complaints(std::move(error_pipe.read), limits.max_complaint_bytes);
    std::optional<clock::time_point> until;
    if (limits.timeout.count() > 0) until = clock::now() + limits.timeout;
    std::optional<ended_command::cause> ended_by_us;
    bool is_killed = false;
    for (;;) {
        std::array<pollfd, 4> watched = {{{process.get(), POLLIN, 0},
                                          {output.descriptor(), POLLIN, 0},
                                          {complaints.descriptor(), POLLIN, 0},
                                          {ended_by_us ? -1 : limits.stop, POLLIN, 0}}};
        if (::poll(watched.data(), watched.size(), poll_timeout(until)) < 0 && errno != EINTR && errno != ENOMEM)
            throw error(errc::internal, "the command cannot be waited for", errno);
        output.read_up_to(most_drained_bytes);
        complaints.read_up_to(most_drained_bytes);
        if (watched[0].revents != 0) break;
        const bool is_to_stop = watched[3].revents != 0;
        if (!is_to_stop && (!until || clock::now() < *until)) continue;
        if (!ended_by_us) {
            ended_by_us = is_to_stop ? ended_command::cause::stopped : ended_command::cause::timed_out;
            running.signal_group(SIGTERM);
            until = clock::now() + limits.grace;
        } else {
            running.signal_group(SIGKILL);
            is_killed = true;
            until.reset();
        }
    }
    // Of a command that had to be ended nothing is left; one that ended by itself may leave processes behind.
    if (ended_by_us && !is_killed) running.signal_group(SIGKILL);
    output.read_up_to(most_drained_bytes);
    complaints.read_up_to(most_drained_bytes);

    const auto how = running.reap();
    ended_command result;
    result.why = ended_by_us.value_or(how.si_code == CLD_EXITED ? ended_command::cause::exited
                                                                : ended_command::cause::signalled);
    result.number = how.si_status;
    result.output = std::move(output.text);
    result.is_output_cut = output.left_out > 0;
    result.complaints = std::move(complaints.text);
    result.more_complaint_bytes = complaints.left_out;
    return result;
}

}  // namespace wherry::exec
