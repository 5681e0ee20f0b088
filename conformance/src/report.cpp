// SPDX-License-Identifier: BSD-2-Clause
#include "report.hpp"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>

#include "wherry/conformance.hpp"
#include "wherry/text.hpp"

namespace wherry::conformance {

namespace {

shared_report* report = nullptr;
pid_t own_process = 0;
thread_local const char* current_function = nullptr;
std::mutex telling;

template <std::size_t Size>
void copy_text(char (&into)[Size], std::string_view text) noexcept {
    const auto length = std::min(text.size(), Size - 1);
    std::memcpy(into, text.data(), length);
    into[length] = '\0';
}

[[noreturn]] void tell(verdict how, const std::string& text) {
    // Never unlocked: who comes second has nothing to add.
    telling.lock();
    copy_text(report->reason, printable(text));
    report->how = static_cast<int>(how);
    ::_exit(0);
}

// A process that the plugin forked has it, too.
void on_exit() {
    if (::getpid() != own_process) report->has_forked_exit = true;
}

// Only what is allowed in a handler of signals.
void on_crash(int signal, siginfo_t* info, void*) {
    int none = 0;
    if (report->signal.compare_exchange_strong(none, signal)) {
        if (current_function != nullptr) copy_text(report->crashed_in, current_function);
        if (signal == SIGSEGV) report->touched = lending_of(info->si_addr);
    }
    ::signal(signal, SIG_DFL);
    // A signal that somebody sent does not come again by itself.
    if (info->si_code <= 0) ::raise(signal);
}

}  // namespace

std::int64_t steady_ms() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void report_to(shared_report& where) {
    report = &where;
    own_process = ::getpid();
    std::atexit(on_exit);
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    // For what comes of a stack that has run out.
    alignas(16) static std::array<char, 65'536> spare;
    stack_t other{};
    other.ss_sp = spare.data();
    other.ss_size = spare.size();
    ::sigaltstack(&other, nullptr);
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS}) {
        struct sigaction action {};
        action.sa_sigaction = on_crash;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        ::sigaction(signal, &action, nullptr);
    }
    // As wherry does, so that a plugin sees the same errors.
    for (const int signal : {SIGPIPE, SIGXFSZ}) ::signal(signal, SIG_IGN);
}

shared_report& current_report() noexcept { return *report; }

void fail(const std::string& sentence) { tell(verdict::failed, sentence); }

void skip(const std::string& reason) { tell(verdict::skipped, reason); }

void end_unchecked(const std::string& reason) { tell(verdict::unchecked, reason); }

void leave_unchecked(const std::string& reason) {
    const std::lock_guard lock(telling);
    if (report->unchecked[0] == '\0') copy_text(report->unchecked, printable(reason));
}

void note(const std::string& sentence) {
    const std::lock_guard lock(telling);
    std::string all = report->notes;
    all += printable(sentence) + "\n";
    copy_text(report->notes, all);
}

in_call::in_call(const char* function, waiting how) noexcept : before_(current_function) {
    current_function = function;
    for (auto& slot : report->calls) {
        std::int64_t nobody = 0;
        // -1 while the name is written.
        if (!slot.since_ms.compare_exchange_strong(nobody, -1)) continue;
        copy_text(slot.function, function);
        slot.may_wait = how == waiting::allowed;
        slot.since_ms = steady_ms();
        slot_ = &slot;
        return;
    }
}

in_call::~in_call() {
    if (::getpid() != own_process) {
        copy_text(report->forked_in, current_function);
        ::_exit(0);
    }
    if (const auto change = state_.change())
        fail(std::string(current_function) + "() " + *change + " for the thread that called it");
    current_function = before_;
    if (slot_ != nullptr) slot_->since_ms = 0;
}

}  // namespace wherry::conformance
