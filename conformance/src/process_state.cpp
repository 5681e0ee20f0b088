// SPDX-License-Identifier: BSD-2-Clause
#include "process_state.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cfenv>
#include <clocale>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <locale>

#include "wherry/system_calls.hpp"

extern char** environ;

namespace wherry::conformance {

namespace {

// The numbers that sigaction() knows; those between 31 and SIGRTMIN are the library's own.
bool is_usual(int signal) { return signal <= 31 || (signal >= SIGRTMIN && signal <= SIGRTMAX); }

std::string name_of(int signal) {
    const auto* const name = signal_abbreviation(signal);
    return name != nullptr ? std::string("SIG") + name : "signal " + std::to_string(signal);
}

std::string action_of(int signal) {
    struct sigaction now {};
    if (::sigaction(signal, nullptr, &now) != 0) return "unknown";
    const bool has_handler =
        (now.sa_flags & SA_SIGINFO) != 0 || (now.sa_handler != SIG_DFL && now.sa_handler != SIG_IGN);
    std::string action = now.sa_handler == SIG_IGN ? "to be ignored" : "the default";
    if (has_handler)
        action = fmt::format("the handler at {}", (now.sa_flags & SA_SIGINFO) != 0
                                                      ? reinterpret_cast<void*>(now.sa_sigaction)
                                                      : reinterpret_cast<void*>(now.sa_handler));
    if ((now.sa_flags & SA_NOCLDWAIT) != 0) action += ", with SA_NOCLDWAIT";
    return action;
}

// umask() itself can only be asked by changing it.
std::string file_mask() {
    std::ifstream in("/proc/self/status");
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("Umask:")) return line.substr(line.find_first_of("01234567"));
    return "unknown";
}

std::string timer() {
    itimerval now{};
    ::getitimer(ITIMER_REAL, &now);
    return now.it_value.tv_sec == 0 && now.it_value.tv_usec == 0 ? "off" : "on";
}

constexpr std::array limits = {
    std::pair{RLIMIT_AS, "address space"},
    std::pair{RLIMIT_CORE, "core file"},
    std::pair{RLIMIT_CPU, "time of processor"},
    std::pair{RLIMIT_DATA, "data"},
    std::pair{RLIMIT_FSIZE, "size of files"},
    std::pair{RLIMIT_MEMLOCK, "locked memory"},
    std::pair{RLIMIT_NOFILE, "open descriptors"},
    std::pair{RLIMIT_NPROC, "processes"},
    std::pair{RLIMIT_STACK, "stack"},
};

std::string limit(__rlimit_resource_t what) {
    rlimit now{};
    if (::getrlimit(what, &now) != 0) return "unknown";
    const auto word = [](rlim_t value) { return value == RLIM_INFINITY ? "none" : std::to_string(value); };
    return word(now.rlim_cur) + " of " + word(now.rlim_max);
}

unsigned long blocked_signals() noexcept {
    sigset_t now;
    ::sigemptyset(&now);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    unsigned long bits = 0;
    for (int signal = 1; signal <= 64; ++signal)
        if (is_usual(signal) && ::sigismember(&now, signal) == 1) bits |= 1ul << (signal - 1);
    return bits;
}

}  // namespace

process_state::process_state() : before_(read()) {}

process_state::properties process_state::read() {
    properties all;
    std::error_code none;
    all["the working folder"] = std::filesystem::current_path(none).string();
    all["the umask"] = file_mask();
    all["the C locale"] = std::setlocale(LC_ALL, nullptr);
    all["the C++ locale"] = std::locale().name();
    all["the alarm"] = timer();
    for (const auto& [what, word] : limits) all[std::string("the limit of ") + word] = limit(what);
    for (int signal = 1; signal <= 64; ++signal)
        if (is_usual(signal) && signal != SIGKILL && signal != SIGSTOP)
            all["the action of " + name_of(signal)] = action_of(signal);
    for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
        const std::string variable = *at;
        const auto sign = variable.find('=');
        all["the environment's " + variable.substr(0, sign)] = variable.substr(std::min(variable.size(), sign + 1));
    }
    return all;
}

std::optional<std::string> process_state::change() const {
    const auto now = read();
    const auto value = [](const properties& all, const std::string& name) {
        const auto found = all.find(name);
        return found == all.end() ? std::string("nothing") : "'" + found->second + "'";
    };
    for (const auto* const all : {&before_, &now})
        for (const auto& [name, any] : *all)
            if (value(before_, name) != value(now, name))
                return "changes " + name + " from " + value(before_, name) + " to " + value(now, name);
    return std::nullopt;
}

thread_state::thread_state() noexcept : blocked_(blocked_signals()), rounding_(std::fegetround()) {}

std::optional<std::string> thread_state::change() const {
    if (std::fegetround() != rounding_) return "changes the rounding mode";
    const auto changed = blocked_signals() ^ blocked_;
    for (int signal = 1; signal <= 64; ++signal)
        if ((changed >> (signal - 1) & 1) != 0)
            return ((blocked_ >> (signal - 1) & 1) != 0 ? "unblocks " : "blocks ") + name_of(signal);
    return std::nullopt;
}

}  // namespace wherry::conformance
