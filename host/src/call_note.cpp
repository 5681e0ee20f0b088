// SPDX-License-Identifier: BSD-2-Clause
#include "call_note.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <new>
#include <utility>

#include "wherry/mutex.hpp"
#include "wherry/plugin_calls.hpp"

namespace wherry {

namespace {

struct described_function {
    const char* name;
    bool may_wait;
};

constexpr std::array<described_function, static_cast<std::size_t>(plugin_function::count_)> functions = {{
    {"load", false},
    {"create", false},
    {"configure", false},
    {"configure_done", false},
    {"destroy", false},
    {"connect", true},
    {"connect_abort", false},
    {"listen", false},
    {"discover", true},
    {"pair", true},
    {"accept", true},
    {"listener_address", false},
    {"listener_abort", false},
    {"listener_close", false},
    {"read_some", true},
    {"write_all", true},
    {"shutdown_write", true},
    {"set_read_timeout", false},
    {"set_write_timeout", false},
    {"abort", false},
    {"peer_address", false},
    {"record_bytes", false},
    {"connection_close", false},
    {"is_insecure", false},
    {"handshake", true},
    {"finish_handshake", true},
    {"overhead", false},
    {"seal", false},
    {"open", false},
    {"peer", false},
    {"describe", false},
    {"key_exchange", false},
    {"session_close", false},
    {"begin", false},
    {"already", false},
    {"write", false},
    {"finish", false},
    {"finishes_at_once", false},
    {"finish_group", false},
    {"abort", false},
    {"read_back", false},
    {"interrupt", false},
    {"unload", false},
}};
static_assert(functions.back().name != nullptr, "each function has its name");

std::atomic<call_slot*> first_slot{nullptr};

// Releases the slot when its thread ends.
struct slot_holder {
    call_slot* slot = nullptr;
    ~slot_holder() {
        if (slot != nullptr) slot->is_taken.store(false, std::memory_order_release);
    }
};
thread_local slot_holder held;

struct all_noted {
    wherry::mutex mutex;
    std::map<std::pair<std::string, std::string>, std::unique_ptr<const noted_plugin>, std::less<>> plugins
        WHERRY_GUARDED_BY(mutex);
};

all_noted& noted() {
    static auto* const only = new all_noted;
    return *only;
}

}  // namespace

std::atomic<bool> call_slot::is_noting{false};
constinit thread_local call_slot* call_slot::mine = nullptr;

call_slot* call_slot::take() noexcept {
    call_slot* slot = first_slot.load(std::memory_order_acquire);
    for (; slot != nullptr; slot = slot->next) {
        bool is_taken = false;
        if (slot->is_taken.compare_exchange_strong(is_taken, true, std::memory_order_acquire)) break;
    }
    if (slot == nullptr) {
        slot = new (std::nothrow) call_slot;
        if (slot == nullptr) return nullptr;
        slot->next = first_slot.load(std::memory_order_relaxed);
        while (
            !first_slot.compare_exchange_weak(slot->next, slot, std::memory_order_release, std::memory_order_relaxed)) {
        }
    }
    slot->task.store(static_cast<int>(::syscall(SYS_gettid)), std::memory_order_relaxed);
    held.slot = mine = slot;
    return slot;
}

noted_plugin::noted_plugin(std::string_view kind, std::string_view name) : kind_(kind), name_(name) {
    for (std::size_t i = 0; i < calls_.size(); ++i)
        calls_[i] = {kind_.c_str(), name_.c_str(), functions[i].name, functions[i].may_wait};
}

const noted_plugin& noted_plugin::find(std::string_view kind, std::string_view name) {
    auto& all = noted();
    const mutex_lock lock(all.mutex);
    auto& found = all.plugins[{std::string(kind), std::string(name)}];
    if (!found) found = std::make_unique<const noted_plugin>(kind, name);
    return *found;
}

void note_plugin_calls() noexcept { call_slot::is_noting = true; }

std::vector<ongoing_call> ongoing_plugin_calls() {
    std::vector<ongoing_call> found;
    for (const auto* slot = first_slot.load(std::memory_order_acquire); slot != nullptr; slot = slot->next) {
        const auto number = slot->number.load(std::memory_order_acquire);
        if (const auto* const what = slot->current.load(std::memory_order_acquire))
            found.push_back({what, slot, number, slot->task.load(std::memory_order_relaxed)});
    }
    return found;
}

const plugin_call* plugin_call_of_this_thread() noexcept {
    const auto* const slot = call_slot::of_this_thread();
    return slot != nullptr ? slot->current.load(std::memory_order_relaxed) : nullptr;
}

std::string names_of_loaded_plugins() {
    auto& all = noted();
    const mutex_lock lock(all.mutex);
    std::string names;
    for (const auto& [key, plugin] : all.plugins) names += (names.empty() ? "" : ", ") + key.first + " " + key.second;
    return names;
}

}  // namespace wherry
