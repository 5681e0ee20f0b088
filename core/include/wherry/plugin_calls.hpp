#pragma once

#include <cstdint>
#include <string>
#include <vector>

// Which functions of plugins are being called: for a program that has to say which plugin does not come back, or ended
// it. Thread-safety: all functions from any thread, and none waits for a plugin.
namespace wherry {

// A function of a plugin. It lives as long as the process.
struct plugin_call {
    const char* kind;      // "sink"
    const char* plugin;    // its name
    const char* function;  // as in plugin.h; "load" and "unload" of its code
    bool may_wait;         // for a peer or a person, as long as nothing aborts it
};

// What one thread is in; where a function of a plugin leads to one of another, the inner one.
struct ongoing_call {
    const plugin_call* what = nullptr;
    // The same thread with the same number has been in the same call all the time.
    const void* thread = nullptr;
    std::uint64_t number = 0;

    friend bool operator==(const ongoing_call&, const ongoing_call&) = default;
};

// From now on each call is noted, which costs it about a nanosecond. To be called before the first plugin is loaded;
// without it the functions below know of nothing.
void note_plugin_calls() noexcept;

// Those of all threads. A call that begins or ends meanwhile may be missing.
std::vector<ongoing_call> ongoing_plugin_calls();

// Null if this thread is in none.
const plugin_call* plugin_call_of_this_thread() noexcept;

// "sink filesystem, transport tcp": what was loaded up to now, or was about to be.
std::string names_of_loaded_plugins();

}  // namespace wherry
