// SPDX-License-Identifier: BSD-2-Clause
#include "last_resort.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "console.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::app {

namespace {

std::atomic<int> final_status{0};
std::atomic<bool> is_ending{false};
// The process whose exit is guarded; 0: none. A process that a plugin forks may call exit().
std::atomic<pid_t> guarded_process{0};

void on_alarm(int) { ::_exit(final_status); }

// Ends the process by a timer, even if this thread is blocked until then.
void end_by_alarm(exit_code code, int seconds) noexcept {
    final_status = to_status(code);
    struct sigaction action {};
    action.sa_handler = on_alarm;
    ::sigaction(SIGALRM, &action, nullptr);
    sigset_t alarm;
    ::sigemptyset(&alarm);
    ::sigaddset(&alarm, SIGALRM);
    ::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr);
    const itimerval once{{0, 0}, {seconds, 0}};
    ::setitimer(ITIMER_REAL, &once, nullptr);
}

// Numbers of looks. A call may need more than two seconds: sink exec gives a command that long to end.
constexpr unsigned longest_call = 30, longest_end = 100;

// Whether the thread is in an uninterruptible wait of the kernel, as for a disk. Neither the thread nor the process can
// end before that is over, so waiting for it costs nothing, and the plugin is not to blame.
bool waits_for_system(int task) noexcept {
    std::array<char, 64> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/task/%d/stat", task);
    const unique_fd file(::open(path.data(), O_RDONLY | O_CLOEXEC));
    std::array<char, 128> text{};
    const auto length = file.is_open() ? ::read(file.get(), text.data(), text.size()) : 0;
    const std::string_view line(text.data(), static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
    // "NUMBER (NAME) STATE ...", and the name may hold anything.
    const auto name_end = line.rfind(')');
    return name_end != line.npos && line.substr(name_end).starts_with(") D");
}

// "the sink faulty did not return from its finish, nor the transport tcp from its accept"
std::string complaint_about(const std::vector<const plugin_call*>& calls) {
    constexpr std::size_t most_named = 4;
    std::string text;
    for (std::size_t i = 0; i < std::min(calls.size(), most_named); ++i)
        text += i == 0
                    ? fmt::format("the {} {} did not return from its {}", calls[i]->kind, calls[i]->plugin,
                                  calls[i]->function)
                    : fmt::format(", nor the {} {} from its {}", calls[i]->kind, calls[i]->plugin, calls[i]->function);
    return text;
}

void on_exit_call() {
    if (guarded_process != ::getpid()) return;
    std::string subject;
    if (const auto* const call = plugin_call_of_this_thread())
        subject = fmt::format("the {} {}, in its {},", call->kind, call->plugin, call->function);
    else if (const auto names = names_of_loaded_plugins(); !names.empty())
        subject = fmt::format("one of the plugins that are loaded ({}), outside of all calls,", names);
    else
        end_at_once(exit_code::internal, "this should not happen: exit() was called");
    end_at_once(
        exit_code::plugin,
        fmt::format("{} ended the program by exit(), which is a bug in the plugin; what was not answered counts "
                    "as not delivered; use another plugin, or have this one mended",
                    subject));
}

}  // namespace

void end_at_once(exit_code code, std::string_view sentence) noexcept {
    // Only the first of several threads prints its sentence.
    while (is_ending.exchange(true)) ::pause();
    // Standard error may be a pipe that is full, or a terminal that is stopped.
    end_by_alarm(code, 1);
    restore_terminal();
    try {
        const auto text =
            (::isatty(STDERR_FILENO) != 0 ? "\nwherry: error: " : "wherry: error: ") + std::string(sentence) + "\n";
        [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, text.data(), text.size());
    } catch (const std::exception&) {
        // Without memory there is no message.
    }
    ::_exit(final_status);
}

void ending_watch::look(keeper kept_by) {
    // The timer ends the process if this thread blocks: a thread that hangs may hold the lock of the heap.
    if (looks_ == 0 && kept_by == keeper::anything) end_by_alarm(exit_code::interrupted, 15);
    if (kept_by != keeper::plugin) ++looks_;
    std::vector<seen_call> seen;
    std::vector<const plugin_call*> hung, hung_waiting;
    const plugin_call* excused = nullptr;
    for (const auto& call : ongoing_plugin_calls()) {
        const auto known =
            std::find_if(seen_.begin(), seen_.end(), [&](const seen_call& one) { return one.call == call; });
        const bool is_excused = waits_for_system(call.task);
        if (is_excused) excused = call.what;
        seen.push_back({call, (known == seen_.end() ? 0 : known->looks) + (is_excused ? 0 : 1)});
        if (seen.back().looks <= longest_call) continue;
        auto& kind = call.what->may_wait ? hung_waiting : hung;
        if (std::find(kind.begin(), kind.end(), call.what) == kind.end()) kind.push_back(call.what);
    }
    seen_ = std::move(seen);
    // A call that may wait probably waits for the hung one, so it is named only if there is no other.
    if (hung.empty() && kept_by != keeper::handler) hung = std::move(hung_waiting);
    if (!hung.empty())
        end_at_once(
            exit_code::plugin,
            fmt::format("{}, so the program ends without it; what was not answered counts as not delivered, and "
                        "a receiver removes what is left of it at its next start",
                        complaint_about(hung)));
    if (kept_by == keeper::plugin || looks_ <= (kept_by == keeper::handler ? longest_call : longest_end)) return;
    if (excused != nullptr)
        end_at_once(exit_code::interrupted,
                    fmt::format("the {} {} still waits in its {} for a disk or another file system, which is slow or "
                                "stands still; the program is ended now, and what was not answered counts as not "
                                "delivered",
                                excused->kind, excused->plugin, excused->function));
    end_at_once(exit_code::interrupted,
                "the program cannot end, perhaps because nobody reads its output; it is ended now, and what was not "
                "answered counts as not delivered");
}

void guard_exit() noexcept {
    guarded_process = ::getpid();
    renew_exit_guard();
    std::at_quick_exit(on_exit_call);
}

void renew_exit_guard() noexcept {
    if (guarded_process != 0) std::atexit(on_exit_call);
}

void end_exit_guard() noexcept { guarded_process = 0; }

}  // namespace wherry::app
