// SPDX-License-Identifier: BSD-2-Clause
#pragma once

// The C++ face of plugin.h, for authors of plugins: derive from transport, cipher or sink, and end the source file with
// WHERRY_PLUGIN. Header-only; the plugin links nothing of wherry.
//
//     class counting_sink final : public wherry::sink {
//     public:
//         counting_sink(const wherry::settings& options, const wherry::host_services& host);
//         std::unique_ptr<wherry::delivery> begin(const wherry::offer&, const wherry::offering_peer&) override;
//     };
//     constexpr wherry_option options[] = {wherry::size_option("limit", "1GiB", "largest delivery")};
//     WHERRY_PLUGIN(counting_sink, "counting", "1.0.0", "counts what comes", options)
//
// The constructor gets every option that has a value, already checked against the table, and may throw wherry::error.

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "wherry/abi_guard.hpp"
#include "wherry/bytes.hpp"
#include "wherry/cipher.hpp"
#include "wherry/error.hpp"
#include "wherry/plugin.h"
#include "wherry/sink.hpp"
#include "wherry/transport.hpp"

namespace wherry {

// ---- Options: one call makes one row of the table ----

namespace sdk {

// A number as a user would write it, in units of `Unit`.
template <std::int64_t Value, std::int64_t Unit, char... UnitName>
struct written {
    static_assert(Value >= 0 && Value % Unit == 0, "the value is no whole number of this unit");

    static constexpr auto text = [] {
        std::array<char, 24 + sizeof...(UnitName)> all{};
        std::size_t length = 1;
        for (auto rest = Value / Unit; rest >= 10; rest /= 10) ++length;
        auto rest = Value / Unit;
        for (auto digit = length; digit > 0; rest /= 10) all[--digit] = static_cast<char>('0' + rest % 10);
        ((all[length++] = UnitName), ...);
        return all;
    }();
};

}  // namespace sdk

// The default of a row, from the constant that the plugin's own code starts from, so that it stands only once:
// duration_option("timeout", in_minutes<options().timeout.count()>, ...). A value that is no whole number of the unit
// does not compile. Durations are in milliseconds, sizes in bytes.
template <std::int64_t Number>
inline constexpr const char* as_number = sdk::written<Number, 1>::text.data();
template <std::int64_t Milliseconds>
inline constexpr const char* in_seconds = sdk::written<Milliseconds, 1000, 's'>::text.data();
template <std::int64_t Milliseconds>
inline constexpr const char* in_minutes = sdk::written<Milliseconds, 60'000, 'm'>::text.data();
template <std::int64_t Milliseconds>
inline constexpr const char* in_hours = sdk::written<Milliseconds, 3'600'000, 'h'>::text.data();
template <std::int64_t Bytes>
inline constexpr const char* in_kib = sdk::written<Bytes, (1 << 10), 'K', 'i', 'B'>::text.data();
template <std::int64_t Bytes>
inline constexpr const char* in_mib = sdk::written<Bytes, (1 << 20), 'M', 'i', 'B'>::text.data();
template <std::int64_t Bytes>
inline constexpr const char* in_gib = sdk::written<Bytes, (1 << 30), 'G', 'i', 'B'>::text.data();
constexpr const char* yes_or_no(bool value) { return value ? "true" : "false"; }

constexpr wherry_option string_option(const char* name, const char* default_value, const char* help,
                                      std::uint32_t flags = 0) {
    return {name, WHERRY_OPTION_STRING, flags, default_value, help, nullptr, 0, 0};
}
constexpr wherry_option path_option(const char* name, const char* default_value, const char* help,
                                    std::uint32_t flags = 0) {
    return {name, WHERRY_OPTION_PATH, flags, default_value, help, nullptr, 0, 0};
}
constexpr wherry_option boolean_option(const char* name, const char* default_value, const char* help) {
    return {name, WHERRY_OPTION_BOOLEAN, 0, default_value, help, nullptr, 0, 0};
}
constexpr wherry_option integer_option(const char* name, const char* default_value, const char* help,
                                       std::int64_t minimum, std::int64_t maximum) {
    return {name, WHERRY_OPTION_INTEGER, 0, default_value, help, nullptr, minimum, maximum};
}
// Limits in milliseconds.
constexpr wherry_option duration_option(const char* name, const char* default_value, const char* help,
                                        std::int64_t minimum = 0, std::int64_t maximum = 0) {
    return {name, WHERRY_OPTION_DURATION, 0, default_value, help, nullptr, minimum, maximum};
}
// Limits in bytes.
constexpr wherry_option size_option(const char* name, const char* default_value, const char* help,
                                    std::int64_t minimum = 0, std::int64_t maximum = 0) {
    return {name, WHERRY_OPTION_SIZE, 0, default_value, help, nullptr, minimum, maximum};
}
// `choices` is "a|b|c".
constexpr wherry_option choice_option(const char* name, const char* choices, const char* default_value,
                                      const char* help) {
    return {name, WHERRY_OPTION_CHOICE, 0, default_value, help, choices, 0, 0};
}

// The values of a plugin's options. A name that is not in the table, or has no value, throws errc::internal, except
// where has() was asked.
class settings {
public:
    bool has(std::string_view name) const { return values_.find(name) != values_.end(); }

    const std::string& text(std::string_view name) const {
        const auto found = values_.find(name);
        if (found == values_.end()) throw error(errc::internal, "option '" + std::string(name) + "' has no value");
        return found->second;
    }
    std::int64_t integer(std::string_view name) const { return std::stoll(text(name)); }
    bool boolean(std::string_view name) const { return text(name) == "true"; }
    std::chrono::milliseconds duration(std::string_view name) const { return std::chrono::milliseconds(integer(name)); }
    std::uint64_t bytes(std::string_view name) const { return static_cast<std::uint64_t>(integer(name)); }

    void set(std::string name, std::string value) { values_.insert_or_assign(std::move(name), std::move(value)); }

private:
    std::map<std::string, std::string, std::less<>> values_;
};

// What the program gives its plugins. Lives longer than the plugin's instance. From any thread.
class host_services {
public:
    explicit host_services(const wherry_host& host) noexcept : host_(&host) {}

    // The folder with the user's keys and settings; it may not exist yet.
    std::string home() const { return host_->home; }

    // The folders in which the program looks for plugins, in its order; none where it does not tell.
    std::vector<std::string> plugin_folders() const {
        constexpr auto until_folders = offsetof(wherry_host, plugin_folders) + sizeof(wherry_host::plugin_folders);
        std::vector<std::string> folders;
        if (host_->struct_size < until_folders || !host_->plugin_folders) return folders;
        for (auto folder = host_->plugin_folders; *folder; ++folder) folders.emplace_back(*folder);
        return folders;
    }

    enum class level {
        debug = WHERRY_LOG_DEBUG,
        info = WHERRY_LOG_INFO,
        warning = WHERRY_LOG_WARNING,
        error = WHERRY_LOG_ERROR,
    };
    void log(level how, const std::string& text) const {
        host_->log(host_->context, static_cast<std::int32_t>(how), text.c_str());
    }

    // Asks the person at the terminal, without echo. Writes to `room` and returns the part that is the answer; wipe it.
    // Throws errc::unsupported where there is no terminal.
    std::span<char> ask_secret(const std::string& prompt, std::span<char> room) const {
        std::size_t length = 0;
        abi::checked({}, [&](wherry_error* e) {
            return host_->ask_secret(host_->context, prompt.c_str(), room.data(), room.size(), &length, e);
        });
        return room.first(length);
    }

    // Shows lines to the person who runs the program, what a peer said among them: control characters come out escaped.
    // Throws errc::unsupported where the program shows nothing, errc::io if nobody reads it any more.
    void show(const std::string& text) const {
        constexpr auto until_show = offsetof(wherry_host, show) + sizeof(wherry_host::show);
        if (host_->struct_size < until_show || !host_->show)
            throw error(errc::unsupported, "this program is too old to show what plugins want to show");
        abi::checked({}, [&](wherry_error* e) { return host_->show(host_->context, text.c_str(), e); });
    }

private:
    const wherry_host* host_;
};

namespace sdk {

// A plugin's instance while it is configured, and after.
template <class Plugin>
struct instance {
    host_services host;
    settings options;
    std::unique_ptr<Plugin> plugin;  // from configure_done on
};

// What a function of a plugin made.
template <class Object>
std::unique_ptr<Object> made(std::unique_ptr<Object> object, const char* function) {
    if (!object) throw error(errc::internal, std::string(function) + "() made nothing");
    return object;
}

template <class Plugin>
Plugin& plugin_of(void* handle) {
    return *static_cast<instance<Plugin>*>(handle)->plugin;
}

template <class Plugin>
constexpr wherry_instance_functions instance_functions = {
    .struct_size = sizeof(wherry_instance_functions),
    .create = [](const wherry_host* host, void** handle, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] { *handle = new instance<Plugin>{host_services(*host), {}, nullptr}; });
    },
    .configure = [](void* handle, const char* name, const char* value, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] { static_cast<instance<Plugin>*>(handle)->options.set(name, value); });
    },
    .configure_done = [](void* handle, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            auto& self = *static_cast<instance<Plugin>*>(handle);
            self.plugin = std::make_unique<Plugin>(self.options, self.host);
        });
    },
    .destroy = [](void* handle) { delete static_cast<instance<Plugin>*>(handle); },
};

// ---- transport ----

inline void write_pieces(stream& link, const wherry_piece* pieces, std::size_t count) {
    constexpr std::size_t few = 8;
    const auto view = [](const wherry_piece& piece) {
        return const_bytes(static_cast<const std::byte*>(piece.data), piece.length);
    };
    if (count <= few) {
        const_bytes views[few];
        for (std::size_t i = 0; i < count; ++i) views[i] = view(pieces[i]);
        link.write_all(std::span<const const_bytes>(views, count));
    } else {
        std::vector<const_bytes> views(count);
        for (std::size_t i = 0; i < count; ++i) views[i] = view(pieces[i]);
        link.write_all(std::span<const const_bytes>(views));
    }
}

// A listener and its address as a string that ends with NUL.
struct held_listener {
    std::unique_ptr<listener> object;
    std::string address;
};

// Strings that C sees must outlive the call; a connection's address is copied once.
struct held_connection {
    std::unique_ptr<connection> object;
    std::string address;
};

inline held_connection* hold(std::unique_ptr<connection> object) {
    auto address = std::string(object->peer_address());
    return new held_connection{std::move(object), std::move(address)};
}

inline connection& link_of(void* handle) { return *static_cast<held_connection*>(handle)->object; }

inline std::uint32_t what_is_known(const discovered_peer& peer) noexcept {
    std::uint32_t known = 0;
    if (peer.signal_dbm) known |= WHERRY_FOUND_SIGNAL;
    if (peer.is_paired) known |= WHERRY_FOUND_PAIRING;
    if (peer.is_paired.value_or(false)) known |= WHERRY_FOUND_IS_PAIRED;
    if (peer.has_receiver) known |= WHERRY_FOUND_SERVICE;
    if (peer.has_receiver.value_or(false)) known |= WHERRY_FOUND_HAS_RECEIVER;
    return known;
}

class host_pairing_agent final : public pairing_agent {
public:
    explicit host_pairing_agent(const wherry_pairing_agent& c) noexcept : c_(c) {}

    bool confirm(std::string_view code) override {
        const std::string text(code);
        return agreed([&](wherry_error* e) { return c_.confirm(c_.context, text.c_str(), e); });
    }
    std::optional<std::string> enter() override {
        char answer[256];
        std::size_t length = 0;
        if (!agreed([&](wherry_error* e) { return c_.enter(c_.context, answer, sizeof answer, &length, e); }))
            return std::nullopt;
        return std::string(answer, length);
    }
    void show(std::string_view code) override { c_.show(c_.context, std::string(code).c_str()); }

private:
    template <class Call>
    static bool agreed(Call&& call) {
        try {
            abi::checked({}, std::forward<Call>(call));
            return true;
        } catch (const error& e) {
            if (e.code() == errc::refused) return false;
            throw;
        }
    }

    const wherry_pairing_agent& c_;
};

// There only if the plugin has one of its own, so that a host knows what it can do.
template <class Plugin>
constexpr auto connect_abort_function() noexcept {
    using function = decltype(wherry_transport_functions::connect_abort);
    if constexpr (std::is_same_v<decltype(&Plugin::connect_abort), decltype(&transport::connect_abort)>)
        return function(nullptr);
    else
        return function([](void* self) { plugin_of<Plugin>(self).connect_abort(); });
}

template <class Plugin>
constexpr wherry_transport_functions transport_functions = {
    .struct_size = sizeof(wherry_transport_functions),
    .connect = [](void* self, const char* address, void** handle, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] { *handle = hold(made(plugin_of<Plugin>(self).connect(address), "connect")); });
    },
    .listen = [](void* self, const char* address, void** handle, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            auto object = made(plugin_of<Plugin>(self).listen(address), "listen");
            auto real = std::string(object->address());
            *handle = new held_listener{std::move(object), std::move(real)};
        });
    },
    .accept = [](void* self, void** handle, wherry_error* e) -> wherry_status {
        return abi::guard(e,
                          [&] { *handle = hold(made(static_cast<held_listener*>(self)->object->accept(), "accept")); });
    },
    .listener_address = [](void* self) -> const char* { return static_cast<held_listener*>(self)->address.c_str(); },
    .listener_abort = [](void* self) { static_cast<held_listener*>(self)->object->abort(); },
    .listener_close = [](void* self) { delete static_cast<held_listener*>(self); },
    .read_some = [](void* self, void* buffer, std::size_t capacity, std::size_t* length,
                    wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] { *length = link_of(self).read_some({static_cast<std::byte*>(buffer), capacity}); });
    },
    .write_all = [](void* self, const wherry_piece* pieces, std::size_t count, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] { write_pieces(link_of(self), pieces, count); });
    },
    .shutdown_write = [](void* self, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] { link_of(self).shutdown_write(); });
    },
    .set_read_timeout = [](void* self,
                           std::uint32_t ms) { link_of(self).set_read_timeout(std::chrono::milliseconds(ms)); },
    .set_write_timeout = [](void* self,
                            std::uint32_t ms) { link_of(self).set_write_timeout(std::chrono::milliseconds(ms)); },
    .abort = [](void* self) { link_of(self).abort(); },
    .peer_address = [](void* self) -> const char* { return static_cast<held_connection*>(self)->address.c_str(); },
    .record_bytes = [](void* self) -> std::uint32_t {
        return static_cast<std::uint32_t>(link_of(self).record_bytes());
    },
    .connection_close = [](void* self) { delete static_cast<held_connection*>(self); },
    .discover = [](void* self, std::uint32_t ms, void* context, std::int32_t (*found)(void*, const wherry_discovered*),
                   wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            plugin_of<Plugin>(self).discover(std::chrono::milliseconds(ms), [&](const discovered_peer& peer) {
                const std::string address(peer.address), name(peer.name);
                const wherry_discovered row{
                    .struct_size = sizeof(wherry_discovered),
                    .address = address.c_str(),
                    .name = name.c_str(),
                    .known = what_is_known(peer),
                    .signal_dbm = peer.signal_dbm.value_or(0),
                };
                return found(context, &row) == 0;
            });
        });
    },
    .pair = [](void* self, const char* address, std::uint32_t ms, const wherry_pairing_agent* agent,
               wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            host_pairing_agent person(*agent);
            plugin_of<Plugin>(self).pair(address, std::chrono::milliseconds(ms), person);
        });
    },
    .connect_abort = connect_abort_function<Plugin>(),
};

// ---- cipher ----

// The host's stream as the C++ class that ciphers read and write.
class host_stream final : public stream {
public:
    explicit host_stream(const wherry_stream& c) noexcept : c_(c) {}

    std::size_t read_some(mutable_bytes buffer) override {
        std::size_t length = 0;
        abi::checked(
            {}, [&](wherry_error* e) { return c_.read_some(c_.context, buffer.data(), buffer.size(), &length, e); });
        return length;
    }

    void write_all(std::span<const const_bytes> pieces) override {
        std::vector<wherry_piece> rows;
        rows.reserve(pieces.size());
        for (const auto piece : pieces) rows.push_back({piece.data(), piece.size()});
        abi::checked({}, [&](wherry_error* e) { return c_.write_all(c_.context, rows.data(), rows.size(), e); });
    }

private:
    const wherry_stream& c_;
};

// Valid while `peer` is.
inline wherry_identity as_c(const identity& peer) noexcept {
    return {
        .struct_size = sizeof(wherry_identity),
        .algorithm = peer.algorithm.c_str(),
        .public_key = peer.public_key.c_str(),
        .fingerprint = peer.fingerprint.c_str(),
        .label = peer.label.c_str(),
    };
}

inline identity as_cpp(const wherry_identity& peer) {
    return {peer.algorithm, peer.public_key, peer.fingerprint, peer.label};
}

struct held_session {
    std::unique_ptr<cipher_session> object;
    std::string description;
};

inline cipher_session& session_of(void* handle) { return *static_cast<held_session*>(handle)->object; }

template <class Plugin>
constexpr wherry_cipher_functions cipher_functions = {
    .struct_size = sizeof(wherry_cipher_functions),
    .handshake = [](void* self, const wherry_handshake* handshake, const wherry_stream* c_stream, void** handle,
                    wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            host_stream link(*c_stream);
            const auto verify = [&](const identity& peer) -> std::string {
                char label[WHERRY_LABEL_BYTES] = {};
                const auto c_peer = as_c(peer);
                abi::checked({}, [&](wherry_error* inner) {
                    return handshake->verify_peer(handshake->context, &c_peer, label, sizeof label, inner);
                });
                return label;
            };
            const const_bytes prologue(static_cast<const std::byte*>(handshake->prologue), handshake->prologue_bytes);
            auto object =
                made(plugin_of<Plugin>(self).handshake(static_cast<role>(handshake->role), prologue, link, verify),
                     "handshake");
            auto description = std::string(object->describe());
            *handle = new held_session{std::move(object), std::move(description)};
        });
    },
    .finish_handshake = [](void* self, const wherry_stream* c_stream, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            host_stream link(*c_stream);
            session_of(self).finish_handshake(link);
        });
    },
    .overhead = [](void* self) -> std::uint32_t { return static_cast<std::uint32_t>(session_of(self).overhead()); },
    .seal = [](void* self, void* record, std::size_t length, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            auto& session = session_of(self);
            session.seal({static_cast<std::byte*>(record), length + session.overhead()}, length);
        });
    },
    .open = [](void* self, void* record, std::size_t length, std::size_t* plain_length,
               wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            *plain_length = session_of(self).open({static_cast<std::byte*>(record), length}).size();
        });
    },
    .peer = [](void* self, wherry_identity* peer) { *peer = as_c(session_of(self).peer()); },
    .describe = [](void* self) -> const char* { return static_cast<held_session*>(self)->description.c_str(); },
    .session_close = [](void* self) { delete static_cast<held_session*>(self); },
    .is_insecure = [](void* self) -> std::int32_t { return plugin_of<Plugin>(self).is_insecure() ? 1 : 0; },
    .key_exchange = [](void* self) -> std::uint32_t {
        if (const auto kind = session_of(self).exchanged()) return static_cast<std::uint32_t>(*kind);
        return WHERRY_KEY_EXCHANGE_UNKNOWN;
    },
};

// ---- sink ----

inline offer as_cpp(const wherry_offer& c) {
    offer what;
    what.kind = static_cast<item_kind>(c.kind);
    what.name.assign(c.name, c.name_bytes);
    if (c.flags & WHERRY_OFFER_HAS_SIZE) what.size = c.size;
    if (c.flags & WHERRY_OFFER_HAS_MODE) what.mode = c.mode;
    if (c.flags & WHERRY_OFFER_HAS_MTIME) what.mtime = file_time{c.mtime_seconds, c.mtime_nanoseconds};
    what.wants_resume = (c.flags & WHERRY_OFFER_WANTS_RESUME) != 0;
    if ((c.flags & WHERRY_OFFER_HAS_DELIVERY) &&
        c.struct_size >= offsetof(wherry_offer, delivery_id) + sizeof c.delivery_id)
        std::memcpy(what.id.emplace().data(), c.delivery_id, sizeof c.delivery_id);
    return what;
}

class host_response final : public response {
public:
    explicit host_response(const wherry_response& c) noexcept : c_(c) {}
    void append(const_bytes bytes) override {
        abi::checked({}, [&](wherry_error* e) { return c_.append(c_.context, bytes.data(), bytes.size(), e); });
    }
    void set_outcome(std::string_view word) override {
        const std::string text(word);
        abi::checked({}, [&](wherry_error* e) { return c_.set_outcome(c_.context, text.c_str(), e); });
    }

private:
    const wherry_response& c_;
};

inline delivery& delivery_of(void* handle) { return *static_cast<delivery*>(handle); }

// Of a sink that is a group_commit, too. Those of its deliveries that do not name it are finished one by one.
template <class Plugin>
void finish_group(void* self, wherry_ending* const* rows, std::size_t count) {
    const std::span<wherry_ending* const> all(rows, count);
    group_commit* const mine = &plugin_of<Plugin>(self);
    std::vector<std::unique_ptr<delivery>> owned;
    std::vector<host_response> answers;
    std::vector<ending> group;
    std::vector<wherry_ending*> grouped;
    const auto prepared = abi::guard(
        nullptr, [&] { owned.reserve(count), answers.reserve(count), group.reserve(count), grouped.reserve(count); });
    for (auto* const row : all) {
        std::unique_ptr<delivery> ended(static_cast<delivery*>(row->delivery));
        if (prepared != WHERRY_OK || ended->commits_with() != mine) {
            row->status = abi::guard(&row->error, [&] {
                host_response answer(*row->response);
                ended->finish(answer);
            });
            continue;
        }
        owned.push_back(std::move(ended));
        answers.emplace_back(*row->response);
        group.push_back({owned.back().get(), &answers.back(), std::nullopt});
        grouped.push_back(row);
    }
    if (group.empty()) return;
    mine->finish_group(group);
    for (std::size_t i = 0; i < group.size(); ++i) {
        const auto& why = group[i].failure;
        grouped[i]->status =
            why ? abi::fill(grouped[i]->error, why->code(), why->what(), why->system_error()) : WHERRY_OK;
    }
}

template <class Plugin>
constexpr auto group_function() {
    using function = void (*)(void*, wherry_ending* const*, std::size_t);
    if constexpr (std::derived_from<Plugin, group_commit>)
        return function(&finish_group<Plugin>);
    else
        return function(nullptr);
}

template <class Plugin>
constexpr wherry_sink_functions sink_functions = {
    .struct_size = sizeof(wherry_sink_functions),
    .begin = [](void* self, const wherry_offer* c, void** handle, std::uint64_t* offset,
                wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            const auto who = as_cpp(*c->peer);
            auto begun = made(plugin_of<Plugin>(self).begin(as_cpp(*c), {c->peer_address, who}), "begin");
            *offset = begun->offset();
            *handle = begun.release();
        });
    },
    .write = [](void* self, const void* data, std::size_t length, wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] { delivery_of(self).write({static_cast<const std::byte*>(data), length}); });
    },
    .finish = [](void* self, const wherry_response* c, wherry_error* e) -> wherry_status {
        const std::unique_ptr<delivery> ended(static_cast<delivery*>(self));
        return abi::guard(e, [&] {
            host_response answer(*c);
            ended->finish(answer);
        });
    },
    .abort =
        [](void* self, std::int32_t keep) {
            const std::unique_ptr<delivery> ended(static_cast<delivery*>(self));
            ended->abort(keep ? delivery::partial::keep : delivery::partial::drop);
        },
    .read_back = [](void* self, std::uint64_t position, void* buffer, std::size_t capacity, std::size_t* length,
                    wherry_error* e) -> wherry_status {
        return abi::guard(e, [&] {
            *length = delivery_of(self).read_back(position, {static_cast<std::byte*>(buffer), capacity});
        });
    },
    .interrupt = [](void* self) { plugin_of<Plugin>(self).interrupt(); },
    .finish_group = group_function<Plugin>(),
    .finishes_at_once = [](void* self) -> std::int32_t { return delivery_of(self).finishes_at_once() ? 1 : 0; },
    .already = [](void* self, const wherry_response* c) -> std::int32_t {
        bool is_stored = false;
        const auto asked = abi::guard(nullptr, [&] {
            host_response answer(*c);
            is_stored = delivery_of(self).already(answer);
        });
        return asked == WHERRY_OK && is_stored ? 1 : 0;
    },
};

// WHERRY_THREADS_SERIAL for a sink with `static constexpr bool one_call_at_a_time = true;`.
template <class Plugin>
constexpr std::uint32_t thread_model() {
    if constexpr (requires { Plugin::one_call_at_a_time; }) {
        static_assert(std::derived_from<Plugin, sink>, "only a sink may want one call at a time");
        return Plugin::one_call_at_a_time ? WHERRY_THREADS_SERIAL : WHERRY_THREADS_PARALLEL;
    }
    return WHERRY_THREADS_PARALLEL;
}

template <class Plugin>
constexpr wherry_plugin describe(const char* name, const char* version, const char* summary,
                                 std::span<const wherry_option> options) {
    std::uint32_t kind = 0;
    const void* functions = nullptr;
    if constexpr (std::derived_from<Plugin, transport>) {
        kind = WHERRY_KIND_TRANSPORT;
        functions = &transport_functions<Plugin>;
    } else if constexpr (std::derived_from<Plugin, cipher>) {
        kind = WHERRY_KIND_CIPHER;
        functions = &cipher_functions<Plugin>;
    } else {
        static_assert(std::derived_from<Plugin, sink>, "a plugin is a transport, a cipher or a sink");
        kind = WHERRY_KIND_SINK;
        functions = &sink_functions<Plugin>;
    }
    return {
        .magic = WHERRY_PLUGIN_MAGIC,
        .abi_major = WHERRY_ABI_MAJOR,
        .struct_size = sizeof(wherry_plugin),
        .kind = kind,
        .thread_model = thread_model<Plugin>(),
        .option_count = static_cast<std::uint32_t>(options.size()),
        .option_size = sizeof(wherry_option),
        .reserved = 0,
        .name = name,
        .version = version,
        .summary = summary,
        .options = options.data(),
        .instance = &instance_functions<Plugin>,
        .functions = functions,
    };
}

}  // namespace sdk

// For a plugin without options.
inline constexpr std::span<const wherry_option> no_options{};

}  // namespace wherry

// Exports `class_name` as the plugin of this shared object. Once, at namespace scope. A sink whose class says
// `static constexpr bool one_call_at_a_time = true;` gets one call at a time into the whole instance.
#define WHERRY_PLUGIN(class_name, name, version, summary, options)                          \
    extern "C" __attribute__((visibility("default"))) const wherry_plugin wherry_plugin_v1; \
    extern "C" const wherry_plugin wherry_plugin_v1 =                                       \
        ::wherry::sdk::describe<class_name>(name, version, summary, options);
