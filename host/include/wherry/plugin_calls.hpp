// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <string>
#include <vector>

// Records which functions of plugins are being called, so that a program can name the plugin that hangs or ended it.
// Thread-safety: all functions from any thread, and none waits for a plugin.
namespace wherry {

// A function of a plugin. It lives as long as the process.
struct plugin_call {
    const char* kind;      // "sink"
    const char* plugin;    // its name
    const char* function;  // as in plugin.h; or "load" and "unload", for its shared object
    bool may_wait;         // it may wait for a peer or a person until it is aborted
};

// A thread's innermost call of a plugin's function.
struct ongoing_call {
    const plugin_call* what = nullptr;
    // Two observations of one thread with the same number saw the same call.
    const void* thread = nullptr;
    std::uint64_t number = 0;
    int task = 0;  // the kernel's number of that thread

    friend bool operator==(const ongoing_call&, const ongoing_call&) = default;
};

// Starts the recording, which adds about a nanosecond to each call. Call it before the first plugin is loaded; without
// it the next two functions find nothing.
void note_plugin_calls() noexcept;

// Returns the calls of all threads. A call that begins or ends meanwhile may be missing.
std::vector<ongoing_call> ongoing_plugin_calls();

// Returns this thread's innermost call; null if it has none.
const plugin_call* plugin_call_of_this_thread() noexcept;

// Returns "sink filesystem, transport tcp": all plugins that were loaded, or whose loading has begun.
std::string names_of_loaded_plugins();

}  // namespace wherry
