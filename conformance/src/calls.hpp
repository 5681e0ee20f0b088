// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lent_memory.hpp"
#include "report.hpp"
#include "wherry/conformance.hpp"
#include "wherry/error.hpp"
#include "wherry/plugin.h"

// Calls of the plugin's C functions, with everything checked that plugin.h says of each and all: statuses, texts,
// exceptions, arguments that are only lent, results that are left alone on failure.
namespace wherry::conformance {

// A function failed, in the way it may.
struct call_failure {
    std::string function;
    errc code = errc::internal;
    std::string text;

    // What plugin-abi.md has for what a sink does not want, cannot take, or has no room for.
    bool is_refusal() const noexcept {
        return code == errc::refused || code == errc::bad_input || code == errc::unsupported || code == errc::exhausted;
    }
    // "begin() failed with refused: no room"
    std::string told() const { return function + "() failed with " + std::string(to_string(code)) + ": " + text; }
};

using failed = std::optional<call_failure>;

// While it lives, this thread does what plugin.h forbids, to see that no harm is done: the plugin may call that a bug.
class forbidden_use {
public:
    forbidden_use() noexcept;
    ~forbidden_use();
    forbidden_use(const forbidden_use&) = delete;
    forbidden_use& operator=(const forbidden_use&) = delete;
};

namespace detail {

wherry_error& fresh_error();
call_failure examined(const char* function, wherry_status status, const wherry_error& filled);
[[noreturn]] void fail_for_exception(const char* function);

}  // namespace detail

// Calls `body` with a wherry_error* to fill. An improper failure ends the case.
template <class Body>
failed call(const char* function, Body&& body, waiting how = waiting::forbidden) {
    auto& filled = detail::fresh_error();
    wherry_status status = WHERRY_OK;
    try {
        const in_call mark(function, how);
        status = std::forward<Body>(body)(&filled);
    } catch (...) {
        detail::fail_for_exception(function);
    }
    if (status == WHERRY_OK) return std::nullopt;
    return detail::examined(function, status, filled);
}

// One that cannot fail. Returns what it returns.
template <class Body>
auto call_plain(const char* function, Body&& body) {
    try {
        const in_call mark(function);
        return std::forward<Body>(body)();
    } catch (...) {
        detail::fail_for_exception(function);
    }
}

// A string that a function returned.
std::string returned_text(const char* function, const char* text);

// Ends the case unless the text may go to a person's terminal.
void require_presentable(const std::string& where, std::string_view text);

// The loaded plugin.
class context {
public:
    // What the host refuses fails the case.
    explicit context(const subject& about);
    ~context();
    context(const context&) = delete;
    context& operator=(const context&) = delete;

    const subject& about;
    std::shared_ptr<const plugin> loaded;
    const wherry_plugin* descriptor = nullptr;
    wherry_instance_functions lifecycle{};
    wherry_transport_functions transport{};
    wherry_cipher_functions cipher{};
    wherry_sink_functions sink{};

    bool is_promised(std::string_view word) const { return about.promises.count(std::string(word)) > 0; }
    const wherry_host* host(std::size_t home = 0) const { return hosts_.at(home)->table.get(); }

private:
    struct given_host {
        explicit given_host(const std::string& home);
        lent_text home;
        lent<const wherry_host> table;
    };

    void* library_ = nullptr;
    std::vector<std::unique_ptr<given_host>> hosts_;
};

// A configured instance. Destroyed with it; everything that came of it has to be closed by then.
class instance {
public:
    struct made {
        std::unique_ptr<instance> it;
        failed failure;
    };
    // With `values` over the author's over the defaults.
    static made try_make(const context& from, const option_values& values = {}, std::size_t home = 0);
    // Ends the case unchecked if it cannot be configured.
    static std::unique_ptr<instance> make(const context& from, const option_values& values = {}, std::size_t home = 0);
    // Created, but not configured.
    static std::unique_ptr<instance> make_bare(const context& from);

    ~instance();
    instance(const instance&) = delete;
    instance& operator=(const instance&) = delete;

    void* handle() const noexcept { return handle_; }
    // As the host would: one call at a time, where the plugin wants that.
    std::unique_lock<std::mutex> turn() {
        return is_serial_ ? std::unique_lock(serial_) : std::unique_lock<std::mutex>();
    }

private:
    instance(const context& from, void* handle);

    const context& from_;
    void* handle_;
    const bool is_serial_;
    std::mutex serial_;
};

// ---- Sinks ----

// What a sink answers. One that is full refuses every byte and word.
struct answer {
    bool is_full = false;
    std::string text, word;
    std::string refused;  // what it was not given room for
};

// One item on its way.
class running_delivery {
public:
    running_delivery(const context& from, instance& of, void* handle, std::uint64_t offset)
        : from_(from), of_(of), handle_(handle), offset_(offset) {}
    ~running_delivery();
    running_delivery(const running_delivery&) = delete;
    running_delivery& operator=(const running_delivery&) = delete;

    std::uint64_t offset() const noexcept { return offset_; }
    // REQUIRES: the plugin has it.
    bool already(answer& into);
    failed write(const_bytes bytes);
    failed finish(answer& into);
    // All of one instance, by finish_group(), which the plugin has. What each would have got of finish().
    static std::vector<failed> finish_together(std::span<const std::unique_ptr<running_delivery>> all,
                                               std::span<answer> into);
    void abort(delivery::partial what);
    // Fails the case if the plugin tells more than there is room for.
    failed read_back(std::uint64_t position, mutable_bytes into, std::size_t& length);

private:
    const context& from_;
    instance& of_;
    void* const handle_;
    const std::uint64_t offset_;
    bool has_ended_ = false;
};

struct begun {
    std::unique_ptr<running_delivery> it;
    failed refusal;
};

begun begin(const context& from, instance& of, const offer& what);

}  // namespace wherry::conformance
