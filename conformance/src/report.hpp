// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "lent_memory.hpp"
#include "process_state.hpp"

// What a case's process tells the one that started it, in memory that both share: it must get through when the plugin
// crashes, hangs or ends the process.
namespace wherry::conformance {

inline constexpr std::size_t max_calls = 256;

// A call into the plugin that has not returned.
struct call_slot {
    std::atomic<std::int64_t> since_ms;  // of the steady clock; 0: free
    std::atomic<bool> may_wait;          // for a peer, that is; the case sees to its end
    char function[40];
};

struct shared_report {
    std::atomic<int> how;  // -1 while it runs, then a verdict
    char reason[8192];
    char notes[8192];      // with line ends between them
    char unchecked[1024];  // why the case is that, if nothing fails
    std::atomic<int> signal;
    std::atomic<lending> touched;
    char crashed_in[40];
    std::atomic<bool> is_unloading;
    std::atomic<std::size_t> threads_left;  // of the plugin, when it was unloaded
    // Told by a process that the plugin forked.
    std::atomic<bool> has_forked_exit;
    char forked_in[40];
    call_slot calls[max_calls];
};

// ---- In the case's process ----

// From now on everything is told there. Catches the signals of crashes.
void report_to(shared_report& where);
shared_report& current_report() noexcept;

// End the case, and the process at once: other threads may be anywhere.
[[noreturn]] void fail(const std::string& sentence);
[[noreturn]] void skip(const std::string& reason);
[[noreturn]] void end_unchecked(const std::string& reason);
void note(const std::string& sentence);
// The case goes on, and is unchecked at its end. The first reason counts.
void leave_unchecked(const std::string& reason);

inline void require(bool holds, const std::string& otherwise) {
    if (!holds) fail(otherwise);
}

enum class waiting { forbidden, allowed };

// Names the plugin's function that this thread is in.
class in_call {
public:
    explicit in_call(const char* function, waiting how = waiting::forbidden) noexcept;
    ~in_call();
    in_call(const in_call&) = delete;
    in_call& operator=(const in_call&) = delete;

private:
    const thread_state state_;
    call_slot* slot_ = nullptr;
    const char* before_;
};

std::int64_t steady_ms() noexcept;

}  // namespace wherry::conformance
