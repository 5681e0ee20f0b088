// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/system_calls.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace wherry {

namespace {

// As Linux has them, for a C library that declares none.
constexpr unsigned no_replace = 1, exchange = 2;

unsigned flag_of(rename_mode mode) noexcept { return mode == rename_mode::exclusive ? no_replace : exchange; }

}  // namespace

namespace system_calls_fallback {

const char* signal_abbreviation(int number) noexcept {
    static constexpr struct {
        int number;
        const char* name;
    } names[] = {
        {SIGHUP, "HUP"},       {SIGINT, "INT"},   {SIGQUIT, "QUIT"}, {SIGILL, "ILL"},     {SIGTRAP, "TRAP"},
        {SIGABRT, "ABRT"},     {SIGBUS, "BUS"},   {SIGFPE, "FPE"},   {SIGKILL, "KILL"},   {SIGUSR1, "USR1"},
        {SIGSEGV, "SEGV"},     {SIGUSR2, "USR2"}, {SIGPIPE, "PIPE"}, {SIGALRM, "ALRM"},   {SIGTERM, "TERM"},
        {SIGCHLD, "CHLD"},     {SIGCONT, "CONT"}, {SIGSTOP, "STOP"}, {SIGTSTP, "TSTP"},   {SIGTTIN, "TTIN"},
        {SIGTTOU, "TTOU"},     {SIGURG, "URG"},   {SIGXCPU, "XCPU"}, {SIGXFSZ, "XFSZ"},   {SIGVTALRM, "VTALRM"},
        {SIGPROF, "PROF"},     {SIGPOLL, "POLL"}, {SIGPWR, "PWR"},   {SIGWINCH, "WINCH"}, {SIGSYS, "SYS"},
#ifdef SIGSTKFLT
        {SIGSTKFLT, "STKFLT"},
#endif
    };
    for (const auto& one : names)
        if (one.number == number) return one.name;
    return nullptr;
}

int rename_in_mode(int from_folder, const char* from, int to_folder, const char* to, rename_mode mode) noexcept {
    return static_cast<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, flag_of(mode)));
}

int add_close_from(posix_spawn_file_actions_t* actions, int first) noexcept {
    DIR* const folder = ::opendir("/proc/self/fd");
    if (folder == nullptr) return errno;
    int problem = 0;
    while (const auto* const entry = ::readdir(folder)) {
        if (entry->d_name[0] == '.') continue;
        const int fd = std::atoi(entry->d_name);
        const int flags = fd >= first ? ::fcntl(fd, F_GETFD) : FD_CLOEXEC;
        // One that another thread has closed meanwhile is no error.
        if (flags < 0 || (flags & FD_CLOEXEC) != 0) continue;
        problem = ::posix_spawn_file_actions_addclose(actions, fd);
        if (problem != 0) break;
    }
    ::closedir(folder);
    return problem;
}

}  // namespace system_calls_fallback

const char* signal_abbreviation(int number) noexcept {
#if WHERRY_HAS_SIGABBREV_NP
    return ::sigabbrev_np(number);
#else
    return system_calls_fallback::signal_abbreviation(number);
#endif
}

int rename_in_mode(int from_folder, const char* from, int to_folder, const char* to, rename_mode mode) noexcept {
#if WHERRY_HAS_RENAMEAT2
    return ::renameat2(from_folder, from, to_folder, to, flag_of(mode));
#else
    return system_calls_fallback::rename_in_mode(from_folder, from, to_folder, to, mode);
#endif
}

int add_close_from(posix_spawn_file_actions_t* actions, int first) noexcept {
#if WHERRY_HAS_ADDCLOSEFROM_NP
    return ::posix_spawn_file_actions_addclosefrom_np(actions, first);
#else
    return system_calls_fallback::add_close_from(actions, first);
#endif
}

}  // namespace wherry
