#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "exit_code.hpp"
#include "wherry/plugin_calls.hpp"

// The end of the process where a plugin ends it, or keeps it from ending.
namespace wherry::app {

// Ends the process with `code` within a second, whatever its threads are in and whichever locks they hold. `sentence`
// goes to standard error if that takes it by then. From any thread.
[[noreturn]] void end_at_once(exit_code code, std::string_view sentence) noexcept;

// Looks again and again at what keeps a process that should have ended, and ends it at once when that has lasted for
// three seconds in a function of a plugin, or for ten in anything else: with exit_code::plugin and a sentence that
// names the plugin and the function, or with exit_code::interrupted. Counted in looks, so that a process that stood
// still, or whose machine is busy, is not ended for that. Used by one thread; it waits for no lock of the program.
class ending_watch {
public:
    static constexpr std::chrono::milliseconds interval{100};

    enum class keeper {
        anything,  // all that a plugin does was cut off before
        handler,   // of a signal: it is to return within three seconds, and functions that wait for a peer are not to
                   // blame
    };

    // Once in each interval. May not return.
    void look(keeper who);

private:
    struct seen_call {
        ongoing_call call;
        unsigned looks;
    };

    std::vector<seen_call> seen_;
    unsigned looks_ = 0;
};

// From now on exit() and quick_exit(), called by anybody but the return of main(), end the process with
// exit_code::plugin and a sentence that names the plugin. Only for main().
void guard_exit() noexcept;

// To be called when a plugin has been made, so that the guard comes before what the plugin does at an exit, and before
// anything that other threads may still use is destroyed. Does nothing without guard_exit().
void renew_exit_guard() noexcept;

// main() returns: exit() is in order now.
void end_exit_guard() noexcept;

}  // namespace wherry::app
