// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "exit_code.hpp"
#include "wherry/plugin_calls.hpp"

// Ends the process, with a message, when a plugin calls exit() or keeps the process from ending.
namespace wherry::app {

// Ends the process with `code` within a second, even if its threads hang or hold locks. Writes `sentence` to standard
// error, unless that blocks. From any thread.
[[noreturn]] void end_at_once(exit_code code, std::string_view sentence) noexcept;

// Ends a process that should have ended but does not. After three seconds in one call of a plugin it ends the process
// with exit_code::plugin and a sentence that names the plugin and the function; after ten seconds for another reason,
// with exit_code::interrupted. A call that waits in the kernel, as for a slow disk, has the ten seconds: the plugin is
// not to blame. It counts looks instead of time, so that a stopped process or a busy machine ends nothing. Used by one
// thread; waits for no lock of the program.
class ending_watch {
public:
    static constexpr std::chrono::milliseconds interval{100};

    enum class keeper {
        anything,  // the whole program, after a signal and the cut of all transfers
        plugin,    // the same without a signal: nobody asked for the end, so a slow reader of the output has its time
        handler,   // a signal's handler, which must return within three seconds; calls that may wait do not count
    };

    // Call it once in each interval. It does not return if it ends the process.
    void look(keeper kept_by);

private:
    struct seen_call {
        ongoing_call call;
        unsigned looks;
    };

    std::vector<seen_call> seen_;
    unsigned looks_ = 0;
};

// Makes exit() and quick_exit() end the process with exit_code::plugin and a sentence that names the plugin, until
// end_exit_guard(). Only for main().
void guard_exit() noexcept;

// Registers the guard again, to be called when a plugin has been made. Then exit() calls the guard before the plugin's
// own handlers, and before it destroys objects that other threads still use. Does nothing without guard_exit().
void renew_exit_guard() noexcept;

// Ends the guard before main() returns, which calls exit().
void end_exit_guard() noexcept;

}  // namespace wherry::app
