#pragma once

#include <string_view>

#include "exit_code.hpp"

// The end of the process where a plugin ends it, or keeps it from ending.
namespace wherry::app {

// Ends the process with `code` within a second, whatever its threads are in and whichever locks they hold. `sentence`
// goes to standard error if that takes it by then. From any thread.
[[noreturn]] void end_at_once(exit_code code, std::string_view sentence) noexcept;

// From now on exit() and quick_exit(), called by anybody but the return of main(), end the process with
// exit_code::plugin and a sentence that names the plugin. Only for main().
void guard_exit() noexcept;

// To be called when a plugin has been made, so that the guard comes before what the plugin does at an exit, and before
// anything that other threads may still use is destroyed. Does nothing without guard_exit().
void renew_exit_guard() noexcept;

// main() returns: exit() is in order now.
void end_exit_guard() noexcept;

}  // namespace wherry::app
