// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wherry/plugin_calls.hpp"

namespace wherry {

// The functions of plugins that are recorded, as plugin.h names them.
enum class plugin_function : std::size_t {
    load,
    create,
    configure,
    configure_done,
    destroy,
    connect,
    connect_abort,
    listen,
    discover,
    pair,
    accept,
    listener_address,
    listener_abort,
    listener_close,
    read_some,
    write_all,
    shutdown_write,
    set_read_timeout,
    set_write_timeout,
    connection_abort,
    peer_address,
    record_bytes,
    connection_close,
    is_insecure,
    handshake,
    finish_handshake,
    overhead,
    seal,
    open,
    peer,
    describe,
    key_exchange,
    session_close,
    begin,
    already,
    write,
    finish,
    finishes_at_once,
    finish_group,
    delivery_abort,
    read_back,
    interrupt,
    unload,
    count_
};

// The plugin_call of each function of one plugin. It lives as long as the process, because another thread may read it
// at any moment.
class noted_plugin {
public:
    // Returns the same object for the same kind and name; makes it at the first call.
    static const noted_plugin& find(std::string_view kind, std::string_view name);

    const plugin_call& call_of(plugin_function which) const noexcept { return calls_[static_cast<std::size_t>(which)]; }

    noted_plugin(std::string_view kind, std::string_view name);
    noted_plugin(const noted_plugin&) = delete;
    noted_plugin& operator=(const noted_plugin&) = delete;

private:
    const std::string kind_, name_;
    std::array<plugin_call, static_cast<std::size_t>(plugin_function::count_)> calls_{};
};

// A thread's current call. A slot is never freed: when its thread has ended, another thread takes it.
struct call_slot {
    std::atomic<const plugin_call*> current{nullptr};
    std::atomic<std::uint64_t> number{0};
    std::atomic<int> task{0};  // the kernel's number of the thread
    std::atomic<bool> is_taken{true};
    call_slot* next = nullptr;

    // Returns this thread's slot; null if recording is off, or memory for a slot is lacking.
    static call_slot* of_this_thread() noexcept {
        if (!is_noting.load(std::memory_order_relaxed)) return nullptr;
        return mine != nullptr ? mine : take();
    }

    static std::atomic<bool> is_noting;

private:
    static call_slot* take() noexcept;

    static constinit thread_local call_slot* mine;
};

// Records, while it lives, that its thread is in this function of the plugin.
class call_note {
public:
    call_note(const noted_plugin& plugin, plugin_function which) noexcept : slot_(call_slot::of_this_thread()) {
        if (slot_ == nullptr) return;
        before_ = slot_->current.load(std::memory_order_relaxed);
        slot_->number.store(slot_->number.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        slot_->current.store(&plugin.call_of(which), std::memory_order_release);
    }
    ~call_note() {
        if (slot_ != nullptr) slot_->current.store(before_, std::memory_order_release);
    }
    call_note(const call_note&) = delete;
    call_note& operator=(const call_note&) = delete;

private:
    call_slot* const slot_;
    const plugin_call* before_ = nullptr;
};

}  // namespace wherry
