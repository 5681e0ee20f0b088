// SPDX-License-Identifier: BSD-2-Clause
#include "calls.hpp"

#include <cxxabi.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "observed.hpp"
#include "wherry/abi_guard.hpp"
#include "wherry/limits.hpp"
#include "wherry/text.hpp"

namespace wherry::conformance {

namespace {

// Copies as much of a table as both sides know, as the host does.
template <class Table>
void copy_table(Table& into, const void* from) {
    std::uint32_t size = 0;
    std::memcpy(&size, from, sizeof size);
    std::memcpy(&into, from, std::min<std::size_t>(size, sizeof into));
}

// Filled with this before each call, so that a text without an end is seen.
constexpr char untouched = '\x01';

thread_local bool is_forbidden_use = false;

}  // namespace

forbidden_use::forbidden_use() noexcept { is_forbidden_use = true; }
forbidden_use::~forbidden_use() { is_forbidden_use = false; }

namespace detail {

wherry_error& fresh_error() {
    // For the life of the thread: plugins get it thousands of times.
    thread_local const lent<wherry_error> room{wherry_error{}};
    auto& filled = *room.get();
    // What the host gives: no text, no number.
    std::memset(filled.text, untouched, sizeof filled.text);
    filled.status = WHERRY_OK;
    filled.system_error = 0;
    filled.text[0] = '\0';
    return filled;
}

call_failure examined(const char* function, wherry_status status, const wherry_error& filled) {
    const std::string who = std::string(function) + "()";
    if (status < WHERRY_BAD_INPUT || status > WHERRY_CANCELLED)
        fail(who + " returned " + std::to_string(status) + ", which is no status that plugin.h knows");
    const auto code = static_cast<errc>(status);
    const std::string word(to_string(code));
    const auto* const end = std::find(std::begin(filled.text), std::end(filled.text), '\0');
    if (end == std::begin(filled.text))
        fail(who + " failed with " + word + " and no text in wherry_error that says why");
    if (end == std::end(filled.text))
        fail(who + " filled wherry_error with a text that does not end with NUL; it has room for 1023 bytes");
    const std::string text(std::begin(filled.text), end);
    if (filled.status != WHERRY_OK && filled.status != status)
        fail(who + " returned " + word + " but wrote the status " + std::to_string(filled.status) +
             " into wherry_error");
    require_presentable("the text of " + who + "'s failure", text);
    if (code == errc::internal && !is_forbidden_use)
        fail(who + " failed with internal, which is the status of a bug: " + text);
    return {function, code, text};
}

void fail_for_exception(const char* function) {
    std::string what = "of unknown type";
    try {
        throw;
    } catch (const std::exception& e) {
        what = std::string("that says '") + e.what() + "'";
    } catch (...) {
        if (const auto* type = __cxxabiv1::__cxa_current_exception_type()) {
            int status = 0;
            const std::unique_ptr<char, void (*)(void*)> readable(
                __cxxabiv1::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free);
            what = std::string("of type ") + (readable ? readable.get() : type->name());
        }
    }
    fail(std::string(function) + "() let a C++ exception out, which must not cross the C line: one " + what);
}

}  // namespace detail

void require_presentable(const std::string& where, std::string_view text) {
    require(!text.empty(), where + " is empty");
    require(is_utf8(text), where + " is not UTF-8: '" + std::string(text) + "'");
    for (const unsigned char c : text)
        require(c >= 0x20 && c != 0x7F, where + " has a control character in it: '" + std::string(text) + "'");
    require(!text.ends_with('.'), where + " ends with a full stop: '" + std::string(text) + "'");
    require(!text.starts_with(' ') && !text.ends_with(' '),
            where + " begins or ends with a blank: '" + std::string(text) + "'");
}

std::string returned_text(const char* function, const char* text) {
    require(text != nullptr, std::string(function) + "() returned a null pointer instead of a string");
    return text;
}

// ---- context ----

namespace {

wherry_host host_with(const char* home) {
    wherry_host table{};
    table.struct_size = sizeof(wherry_host);
    table.context = nullptr;
    table.home = home;
    table.log = [](void*, std::int32_t level, const char* text) {
        require(text != nullptr, "log() of the host was called with a null pointer instead of a text");
        require(
            level >= WHERRY_LOG_DEBUG && level <= WHERRY_LOG_ERROR,
            "log() of the host was called with the level " + std::to_string(level) + ", which plugin.h does not know");
    };
    table.ask_secret = [](void*, const char*, char*, std::size_t, std::size_t*, wherry_error* e) -> wherry_status {
        return wherry::abi::guard(e, [] { throw error(errc::unsupported, "there is no terminal to ask at"); });
    };
    table.show = [](void*, const char* text, wherry_error*) -> wherry_status {
        require(text != nullptr, "show() of the host was called with a null pointer instead of a text");
        return WHERRY_OK;
    };
    return table;
}

}  // namespace

context::given_host::given_host(const std::string& path) : home(path), table(host_with(home.c_str())) {}

context::context(const subject& what) : about(what) {
    for (const auto& home : about.homes) hosts_.push_back(std::make_unique<given_host>(home.string()));
    host_environment environment;
    environment.home = about.homes.front().string();
    try {
        const in_call mark("the loading");
        loaded = plugin_host({about.file.parent_path()}, environment).load(about.kind, about.name);
    } catch (const error& e) {
        fail(e.what());
    }
    // The same object again: the host keeps the descriptor to itself.
    library_ = ::dlopen(about.file.c_str(), RTLD_NOW | RTLD_LOCAL);
    require(library_ != nullptr, "the plugin cannot be loaded a second time");
    descriptor = static_cast<const wherry_plugin*>(::dlsym(library_, WHERRY_PLUGIN_SYMBOL));
    require(descriptor != nullptr, "the descriptor is gone when the plugin is loaded a second time");
    copy_table(lifecycle, descriptor->instance);
    switch (about.kind) {
        case plugin_kind::transport: copy_table(transport, descriptor->functions); break;
        case plugin_kind::cipher: copy_table(cipher, descriptor->functions); break;
        case plugin_kind::sink: copy_table(sink, descriptor->functions); break;
    }
}

context::~context() {
    const auto threads = thread_count(), before = before_loading().threads;
    current_report().threads_left = threads > before ? threads - before : 0;
    current_report().is_unloading = true;
    loaded.reset();
    ::dlclose(library_);
}

// ---- instance ----

instance::instance(const context& from, void* handle)
    : from_(from), handle_(handle), is_serial_(from.descriptor->thread_model == WHERRY_THREADS_SERIAL) {}

instance::~instance() {
    call_plain("destroy", [&] { from_.lifecycle.destroy(handle_); });
}

std::unique_ptr<instance> instance::make_bare(const context& from) {
    void* handle = nullptr;
    if (const auto failure =
            call("create", [&](wherry_error* e) { return from.lifecycle.create(from.host(), &handle, e); }))
        fail(failure->told());
    return std::unique_ptr<instance>(new instance(from, handle));
}

instance::made instance::try_make(const context& from, const option_values& values, std::size_t home) {
    void* handle = nullptr;
    if (auto failure =
            call("create", [&](wherry_error* e) { return from.lifecycle.create(from.host(home), &handle, e); })) {
        require(handle == nullptr, "create() failed and yet stored an instance");
        return {nullptr, std::move(failure)};
    }
    std::unique_ptr<instance> it(new instance(from, handle));
    for (const auto& option : from.loaded->options()) {
        const std::string* given = nullptr;
        for (const auto* all : {&values, &from.about.options})
            if (const auto found = all->find(option.name); found != all->end() && given == nullptr)
                given = &found->second;
        if (given == nullptr && option.default_value) given = &*option.default_value;
        if (given == nullptr) {
            if (option.is_required)
                end_unchecked("the option '" + option.name + "' is required; give --" + from.about.name + "." +
                              option.name);
            continue;
        }
        const lent_text name(option.name), value(canonical_value(option, *given));
        auto failure = call("configure", [&](wherry_error* e) {
            return from.lifecycle.configure(handle, name.c_str(), value.c_str(), e);
        });
        if (failure) return {nullptr, std::move(failure)};
    }
    auto failure = call("configure_done", [&](wherry_error* e) { return from.lifecycle.configure_done(handle, e); });
    if (failure) return {nullptr, std::move(failure)};
    return {std::move(it), std::nullopt};
}

std::unique_ptr<instance> instance::make(const context& from, const option_values& values, std::size_t home) {
    auto tried = try_make(from, values, home);
    if (!tried.it) end_unchecked("it does not become ready: " + tried.failure->told());
    return std::move(tried.it);
}

// ---- Sinks ----

begun begin(const context& from, instance& of, const offer& what) {
    const lent_text name(what.name), address("peer:1"), algorithm("ssh-ed25519"),
        key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIConformanceConformanceConformanceConfor"),
        fingerprint("SHA256:conformance"), label("tester");
    const lent<const wherry_identity> who(
        {sizeof(wherry_identity), algorithm.c_str(), key.c_str(), fingerprint.c_str(), label.c_str()});
    wherry_offer c{};
    c.struct_size = sizeof c;
    c.kind = static_cast<std::uint32_t>(what.kind);
    c.name = name.c_str();
    c.name_bytes = what.name.size();
    if (what.size) c.flags |= WHERRY_OFFER_HAS_SIZE, c.size = *what.size;
    if (what.mode) c.flags |= WHERRY_OFFER_HAS_MODE, c.mode = *what.mode;
    if (what.mtime) {
        c.flags |= WHERRY_OFFER_HAS_MTIME;
        c.mtime_seconds = what.mtime->seconds;
        c.mtime_nanoseconds = what.mtime->nanoseconds;
    }
    if (what.wants_resume) c.flags |= WHERRY_OFFER_WANTS_RESUME;
    if (what.id) {
        c.flags |= WHERRY_OFFER_HAS_DELIVERY;
        std::memcpy(c.delivery_id, what.id->data(), sizeof c.delivery_id);
    }
    c.peer_address = address.c_str();
    c.peer = who.get();
    const lent<const wherry_offer> offered(c);

    void* handle = nullptr;
    std::uint64_t offset = 0;
    failed refusal;
    {
        const auto mine = of.turn();
        refusal = call(
            "begin", [&](wherry_error* e) { return from.sink.begin(of.handle(), offered.get(), &handle, &offset, e); });
    }
    if (refusal) {
        require(
            handle == nullptr && offset == 0,
            "begin() refused, and yet stored something in *delivery or *offset; on failure they are to be left alone");
        return {nullptr, std::move(refusal)};
    }
    auto it = std::make_unique<running_delivery>(from, of, handle, offset);
    if (!what.wants_resume)
        require(offset == 0, "begin() told the offset " + std::to_string(offset) +
                                 " for an offer that does not want to be resumed; it must be 0");
    if (what.size)
        require(offset <= *what.size, "begin() told the offset " + std::to_string(offset) + " of an item of " +
                                          std::to_string(*what.size) + " bytes");
    require(offset == 0 || from.sink.read_back != nullptr,
            "begin() told an offset, but the plugin has no read_back() for the host to compare what it has");
    return {std::move(it), std::nullopt};
}

running_delivery::~running_delivery() { abort(delivery::partial::drop); }

failed running_delivery::write(const_bytes bytes) {
    const lent_memory given(bytes);
    const auto mine = of_.turn();
    return call("write", [&](wherry_error* e) { return from_.sink.write(handle_, given.data(), given.size(), e); });
}

namespace {

wherry_response response_into(answer& into) {
    return {sizeof(wherry_response), &into,
            [](void* context, const void* data, std::size_t length, wherry_error* e) {
                return wherry::abi::guard(e, [&] {
                    auto& self = *static_cast<answer*>(context);
                    const auto room = limits::max_response_bytes - self.text.size();
                    if (length > room) self.refused = "a response of more than 1 MiB";
                    if (self.is_full || length > room) throw error(errc::exhausted, "the response is full");
                    if (length > 0) self.text.append(static_cast<const char*>(data), length);
                });
            },
            [](void* context, const char* word, wherry_error* e) {
                return wherry::abi::guard(e, [&] {
                    auto& self = *static_cast<answer*>(context);
                    const std::string text(word);
                    if (self.is_full) throw error(errc::exhausted, "the response is full");
                    if (text.size() > limits::max_outcome_bytes || printable(text) != text) {
                        self.refused =
                            "an outcome that is no word of at most 64 bytes "
                            "that can be shown: '" +
                            text + "'";
                        throw error(errc::bad_input, "this is no word for an outcome");
                    }
                    self.word = text;
                });
            }};
}

}  // namespace

bool running_delivery::already(answer& into) {
    const lent<const wherry_response> given(response_into(into));
    std::int32_t known = 0;
    const auto mine = of_.turn();
    call_plain("already", [&] { known = from_.sink.already(handle_, given.get()); });
    return known != 0;
}

failed running_delivery::finish(answer& into) {
    const lent<const wherry_response> given(response_into(into));
    const auto mine = of_.turn();
    has_ended_ = true;
    return call("finish", [&](wherry_error* e) { return from_.sink.finish(handle_, given.get(), e); });
}

std::vector<failed> running_delivery::finish_together(std::span<const std::unique_ptr<running_delivery>> all,
                                                      std::span<answer> into) {
    struct row {
        explicit row(const running_delivery& it, answer& to) : response(response_into(to)), ending(wherry_ending{}) {
            ending->struct_size = sizeof(wherry_ending);
            ending->delivery = it.handle_;
            ending->response = response.get();
            // What the host gives: a failure, without a text.
            ending->status = WHERRY_INTERNAL;
            std::memset(ending->error.text, untouched, sizeof ending->error.text);
            ending->error.text[0] = '\0';
        }
        lent<const wherry_response> response;
        lent<wherry_ending> ending;
    };
    std::vector<std::unique_ptr<row>> rows;
    std::vector<wherry_ending*> endings;
    for (std::size_t i = 0; i < all.size(); ++i) {
        rows.push_back(std::make_unique<row>(*all[i], into[i]));
        endings.push_back(rows.back()->ending.get());
        all[i]->has_ended_ = true;
    }
    {
        const lent_memory table(std::as_bytes(std::span(endings)));
        const auto& one = *all.front();
        const auto mine = one.of_.turn();
        call_plain("finish_group", [&] {
            one.from_.sink.finish_group(one.of_.handle(), reinterpret_cast<wherry_ending* const*>(table.data()),
                                        endings.size());
        });
    }
    std::vector<failed> failures;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto& ended = *rows[i]->ending.get();
        if (ended.status == WHERRY_INTERNAL && ended.error.text[0] == '\0')
            fail("finish_group() did not say how delivery " + std::to_string(i + 1) + " of " +
                 std::to_string(rows.size()) + " ended: its status is what it was before");
        failures.push_back(ended.status == WHERRY_OK
                               ? std::nullopt
                               : failed(detail::examined("finish_group", ended.status, ended.error)));
    }
    return failures;
}

void running_delivery::abort(delivery::partial what) {
    if (std::exchange(has_ended_, true)) return;
    const auto mine = of_.turn();
    call_plain("abort", [&] { from_.sink.abort(handle_, what == delivery::partial::keep ? 1 : 0); });
}

failed running_delivery::read_back(std::uint64_t position, mutable_bytes into, std::size_t& length) {
    const lent_memory room(into.size());
    const lent<std::size_t> got(0);
    const auto mine = of_.turn();
    auto failure = call("read_back", [&](wherry_error* e) {
        return from_.sink.read_back(handle_, position, room.data(), room.size(), got.get(), e);
    });
    if (failure) return failure;
    length = *got.get();
    require(length <= into.size(), "read_back() told " + std::to_string(length) + " bytes where there was room for " +
                                       std::to_string(into.size()));
    std::copy_n(room.data(), length, into.data());
    return std::nullopt;
}

}  // namespace wherry::conformance
