// SPDX-License-Identifier: BSD-2-Clause
#include "plugin_adapters.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include "wherry/abi_guard.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

using instance_pointer = std::shared_ptr<plugin_instance>;

// As abi::checked. A C++ exception that a plugin lets out, which it must not, is a failure of this call, where the
// plugin's own frames can be unwound; nobody can promise more.
template <class Call>
void checked(const plugin_instance& instance, plugin_function which, Call&& call) {
    constexpr const char* complaint = "let a C++ exception out, which is a bug in the plugin: ";
    abi::checked(instance.name, [&](wherry_error* e) -> wherry_status {
        const call_note note(instance.calls, which);
        try {
            return call(e);
        } catch (const std::exception& thrown) {
            return abi::fill(*e, errc::internal, complaint + std::string(thrown.what()));
        } catch (...) {
            return abi::fill(*e, errc::internal, complaint + std::string("one of unknown type"));
        }
    });
}

// The same for a function that cannot fail.
template <class Call>
auto noted(const plugin_instance& instance, plugin_function which, Call&& call) {
    const call_note note(instance.calls, which);
    return call();
}

std::uint32_t as_milliseconds(std::chrono::milliseconds time) noexcept {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(time.count(), 0, 0xFFFFFFFF));
}

std::string text_or_empty(const char* text) { return text ? text : ""; }

// ---- transport ----

class adapted_connection final : public connection {
public:
    adapted_connection(instance_pointer instance, void* handle)
        : instance_(std::move(instance)),
          handle_(handle),
          address_(noted(*instance_, plugin_function::peer_address,
                         [&] { return text_or_empty(table_.peer_address(handle)); })) {}
    ~adapted_connection() override {
        noted(*instance_, plugin_function::connection_close, [&] { table_.connection_close(handle_); });
    }

    std::size_t read_some(mutable_bytes buffer) override {
        std::size_t length = 0;
        checked(*instance_, plugin_function::read_some,
                [&](wherry_error* e) { return table_.read_some(handle_, buffer.data(), buffer.size(), &length, e); });
        if (length > buffer.size())
            throw error(errc::internal, instance_->name + ": read more than it was given room for");
        return length;
    }

    void write_all(std::span<const const_bytes> pieces) override {
        constexpr std::size_t few = 8;
        std::array<wherry_piece, few> rows;
        while (!pieces.empty()) {
            const auto now = pieces.first(std::min(few, pieces.size()));
            for (std::size_t i = 0; i < now.size(); ++i) rows[i] = {now[i].data(), now[i].size()};
            checked(*instance_, plugin_function::write_all,
                    [&](wherry_error* e) { return table_.write_all(handle_, rows.data(), now.size(), e); });
            pieces = pieces.subspan(now.size());
        }
    }

    void shutdown_write() override {
        checked(*instance_, plugin_function::shutdown_write,
                [&](wherry_error* e) { return table_.shutdown_write(handle_, e); });
    }

    void set_read_timeout(std::chrono::milliseconds timeout) noexcept override {
        noted(*instance_, plugin_function::set_read_timeout,
              [&] { table_.set_read_timeout(handle_, as_milliseconds(timeout)); });
    }
    void set_write_timeout(std::chrono::milliseconds timeout) noexcept override {
        noted(*instance_, plugin_function::set_write_timeout,
              [&] { table_.set_write_timeout(handle_, as_milliseconds(timeout)); });
    }
    void abort() noexcept override {
        noted(*instance_, plugin_function::connection_abort, [&] { table_.abort(handle_); });
    }
    std::string_view peer_address() const noexcept override { return address_; }
    std::size_t record_bytes() const noexcept override {
        return noted(*instance_, plugin_function::record_bytes, [&] { return table_.record_bytes(handle_); });
    }

private:
    const instance_pointer instance_;
    const wherry_transport_functions& table_ = std::get<wherry_transport_functions>(instance_->functions);
    void* const handle_;
    const std::string address_;
};

class adapted_listener final : public listener {
public:
    adapted_listener(instance_pointer instance, void* handle)
        : instance_(std::move(instance)),
          handle_(handle),
          address_(noted(*instance_, plugin_function::listener_address,
                         [&] { return text_or_empty(table_.listener_address(handle)); })) {}
    ~adapted_listener() override {
        noted(*instance_, plugin_function::listener_close, [&] { table_.listener_close(handle_); });
    }

    std::unique_ptr<connection> accept() override {
        void* handle = nullptr;
        checked(*instance_, plugin_function::accept,
                [&](wherry_error* e) { return table_.accept(handle_, &handle, e); });
        return std::make_unique<adapted_connection>(instance_, handle);
    }
    std::string_view address() const noexcept override { return address_; }
    void abort() noexcept override {
        noted(*instance_, plugin_function::listener_abort, [&] { table_.listener_abort(handle_); });
    }

private:
    const instance_pointer instance_;
    const wherry_transport_functions& table_ = std::get<wherry_transport_functions>(instance_->functions);
    void* const handle_;
    const std::string address_;
};

// A plugin of an earlier version knows less.
discovered_peer as_cpp(const wherry_discovered& c) {
    wherry_discovered whole{};
    std::memcpy(&whole, &c, std::min<std::size_t>(c.struct_size, sizeof whole));
    const auto known = [&](std::uint32_t what) { return (whole.known & what) != 0; };
    discovered_peer peer{whole.address, whole.name};
    if (known(WHERRY_FOUND_SIGNAL)) peer.signal_dbm = whole.signal_dbm;
    if (known(WHERRY_FOUND_PAIRING)) peer.is_paired = known(WHERRY_FOUND_IS_PAIRED);
    if (known(WHERRY_FOUND_SERVICE)) peer.has_receiver = known(WHERRY_FOUND_HAS_RECEIVER);
    return peer;
}

class adapted_transport final : public transport {
public:
    explicit adapted_transport(instance_pointer instance) : instance_(std::move(instance)) {}

    std::unique_ptr<connection> connect(const std::string& address) override {
        void* handle = nullptr;
        checked(*instance_, plugin_function::connect,
                [&](wherry_error* e) { return table_.connect(instance_->handle, address.c_str(), &handle, e); });
        return std::make_unique<adapted_connection>(instance_, handle);
    }

    std::unique_ptr<listener> listen(const std::string& address) override {
        void* handle = nullptr;
        checked(*instance_, plugin_function::listen,
                [&](wherry_error* e) { return table_.listen(instance_->handle, address.c_str(), &handle, e); });
        return std::make_unique<adapted_listener>(instance_, handle);
    }

    void discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) override {
        if (!table_.discover)
            throw error(errc::unsupported, instance_->name + ": this transport cannot look for peers");
        struct call {
            const std::function<bool(const discovered_peer&)>& found;
            std::exception_ptr thrown;
        } state{found, nullptr};
        const auto tell = [](void* context, const wherry_discovered* peer) -> std::int32_t {
            auto& self = *static_cast<call*>(context);
            try {
                return self.found(as_cpp(*peer)) ? 0 : 1;
            } catch (...) {
                self.thrown = std::current_exception();
                return 1;
            }
        };
        checked(*instance_, plugin_function::discover, [&](wherry_error* e) {
            return table_.discover(instance_->handle, as_milliseconds(limit), &state, tell, e);
        });
        if (state.thrown) std::rethrow_exception(state.thrown);
    }

    void pair(const std::string& address, std::chrono::milliseconds limit, pairing_agent& person) override {
        if (!table_.pair) throw error(errc::unsupported, instance_->name + ": this transport knows no pairing");
        const wherry_pairing_agent agent{
            .struct_size = sizeof(wherry_pairing_agent),
            .context = &person,
            .confirm = [](void* context, const char* code, wherry_error* e) -> wherry_status {
                return abi::guard(e, [&] {
                    if (!static_cast<pairing_agent*>(context)->confirm(code))
                        throw error(errc::refused, "the pairing was declined");
                });
            },
            .enter = [](void* context, char* buffer, std::size_t capacity, std::size_t* length,
                        wherry_error* e) -> wherry_status {
                return abi::guard(e, [&] {
                    const auto code = static_cast<pairing_agent*>(context)->enter();
                    if (!code) throw error(errc::refused, "no code was given");
                    if (code->size() > capacity) throw error(errc::bad_input, "the code is too long");
                    *length = code->copy(buffer, capacity);
                });
            },
            .show =
                [](void* context, const char* code) {
                    abi::guard(nullptr, [&] { static_cast<pairing_agent*>(context)->show(code); });
                },
        };
        checked(*instance_, plugin_function::pair, [&](wherry_error* e) {
            return table_.pair(instance_->handle, address.c_str(), as_milliseconds(limit), &agent, e);
        });
    }

private:
    const instance_pointer instance_;
    const wherry_transport_functions& table_ = std::get<wherry_transport_functions>(instance_->functions);
};

// ---- cipher ----

// Our stream as the C table that a cipher reads and writes. Valid while `link` is.
wherry_stream as_c(stream& link) noexcept {
    return {
        .struct_size = sizeof(wherry_stream),
        .context = &link,
        .read_some =
            [](void* context, void* buffer, std::size_t capacity, std::size_t* length, wherry_error* e) {
                return abi::guard(e, [&] {
                    *length = static_cast<stream*>(context)->read_some({static_cast<std::byte*>(buffer), capacity});
                });
            },
        .write_all =
            [](void* context, const wherry_piece* pieces, std::size_t count, wherry_error* e) {
                return abi::guard(e, [&] {
                    std::vector<const_bytes> views;
                    views.reserve(count);
                    for (std::size_t i = 0; i < count; ++i)
                        views.emplace_back(static_cast<const std::byte*>(pieces[i].data), pieces[i].length);
                    static_cast<stream*>(context)->write_all(std::span<const const_bytes>(views));
                });
            },
    };
}

identity as_cpp(const wherry_identity& c) {
    return {text_or_empty(c.algorithm), text_or_empty(c.public_key), text_or_empty(c.fingerprint),
            text_or_empty(c.label)};
}

class adapted_session final : public cipher_session {
public:
    adapted_session(instance_pointer instance, void* handle)
        : instance_(std::move(instance)),
          handle_(handle),
          overhead_(noted(*instance_, plugin_function::overhead, [&] { return table_.overhead(handle); })) {
        wherry_identity peer{};
        noted(*instance_, plugin_function::peer, [&] { table_.peer(handle_, &peer); });
        peer_ = as_cpp(peer);
        description_ =
            noted(*instance_, plugin_function::describe, [&] { return text_or_empty(table_.describe(handle_)); });
    }
    ~adapted_session() override {
        noted(*instance_, plugin_function::session_close, [&] { table_.session_close(handle_); });
    }

    void finish_handshake(stream& link) override {
        const auto c_link = as_c(link);
        checked(*instance_, plugin_function::finish_handshake,
                [&](wherry_error* e) { return table_.finish_handshake(handle_, &c_link, e); });
    }
    std::size_t overhead() const noexcept override { return overhead_; }
    void seal(mutable_bytes record, std::size_t length) override {
        checked(*instance_, plugin_function::seal,
                [&](wherry_error* e) { return table_.seal(handle_, record.data(), length, e); });
    }
    mutable_bytes open(mutable_bytes record) override {
        std::size_t length = 0;
        checked(*instance_, plugin_function::open,
                [&](wherry_error* e) { return table_.open(handle_, record.data(), record.size(), &length, e); });
        if (length > record.size()) throw error(errc::internal, instance_->name + ": opened to more than was sealed");
        return record.first(length);
    }
    const identity& peer() const noexcept override { return peer_; }
    std::string_view describe() const noexcept override { return description_; }

private:
    const instance_pointer instance_;
    const wherry_cipher_functions& table_ = std::get<wherry_cipher_functions>(instance_->functions);
    void* const handle_;
    const std::size_t overhead_;
    identity peer_;
    std::string description_;
};

class adapted_cipher final : public cipher {
public:
    explicit adapted_cipher(instance_pointer instance) : instance_(std::move(instance)) {}

    std::unique_ptr<cipher_session> handshake(role side, const_bytes prologue, stream& link,
                                              const peer_verifier& verify) override {
        wherry_handshake request{};
        request.struct_size = sizeof request;
        request.role = static_cast<std::uint32_t>(side);
        request.prologue = prologue.data();
        request.prologue_bytes = prologue.size();
        request.context = const_cast<peer_verifier*>(&verify);
        request.verify_peer = [](void* context, const wherry_identity* peer, char* label, std::size_t capacity,
                                 wherry_error* e) {
            return abi::guard(e, [&] {
                const auto known_as = (*static_cast<const peer_verifier*>(context))(as_cpp(*peer));
                const auto length = std::min(known_as.size(), capacity - 1);
                std::memcpy(label, known_as.data(), length);
                label[length] = '\0';
            });
        };
        const auto c_link = as_c(link);
        void* handle = nullptr;
        checked(*instance_, plugin_function::handshake,
                [&](wherry_error* e) { return table_.handshake(instance_->handle, &request, &c_link, &handle, e); });
        auto session = std::make_unique<adapted_session>(instance_, handle);
        if (session->overhead() > limits::max_record_overhead_bytes)
            throw error(errc::internal, instance_->name + ": adds more to a record than " +
                                            std::to_string(limits::max_record_overhead_bytes) + " bytes");
        return session;
    }

    bool is_insecure() const noexcept override {
        return table_.is_insecure && noted(*instance_, plugin_function::is_insecure,
                                           [&] { return table_.is_insecure(instance_->handle) != 0; });
    }

private:
    const instance_pointer instance_;
    const wherry_cipher_functions& table_ = std::get<wherry_cipher_functions>(instance_->functions);
};

// ---- sink ----

// Holds the instance's lock where the plugin asked for one call at a time, and nothing elsewhere.
class turn {
public:
    explicit turn(const plugin_instance& instance) {
        if (instance.serial) lock_.emplace(*instance.serial);
    }

private:
    std::optional<mutex_lock> lock_;
};

// A sink's answer as the C table that a plugin writes to. Valid while `answer` is.
wherry_response as_c(response& answer) noexcept {
    return {
        .struct_size = sizeof(wherry_response),
        .context = &answer,
        .append =
            [](void* context, const void* data, std::size_t length, wherry_error* e) {
                return abi::guard(e, [&] {
                    static_cast<response*>(context)->append({static_cast<const std::byte*>(data), length});
                });
            },
        .set_outcome =
            [](void* context, const char* word, wherry_error* e) {
                return abi::guard(e, [&] { static_cast<response*>(context)->set_outcome(word); });
            },
    };
}

class adapted_delivery final : public delivery {
public:
    // `group` may be null.
    adapted_delivery(instance_pointer instance, void* handle, std::uint64_t offset, group_commit* group)
        : instance_(std::move(instance)), handle_(handle), offset_(offset), group_(group) {}
    ~adapted_delivery() override { abort(partial::drop); }

    std::uint64_t offset() const noexcept override { return offset_; }

    std::size_t read_back(std::uint64_t position, mutable_bytes buffer) override {
        if (!table_.read_back) throw error(errc::internal, instance_->name + ": offers to resume but cannot read back");
        const turn mine(*instance_);
        std::size_t length = 0;
        checked(*instance_, plugin_function::read_back, [&](wherry_error* e) {
            return table_.read_back(handle_, position, buffer.data(), buffer.size(), &length, e);
        });
        if (length > buffer.size())
            throw error(errc::internal, instance_->name + ": read more than it was given room for");
        return length;
    }

    void write(const_bytes bytes) override {
        const turn mine(*instance_);
        checked(*instance_, plugin_function::write,
                [&](wherry_error* e) { return table_.write(handle_, bytes.data(), bytes.size(), e); });
    }

    void finish(response& answer) override {
        const auto c_answer = as_c(answer);
        const turn mine(*instance_);
        has_ended_ = true;
        checked(*instance_, plugin_function::finish,
                [&](wherry_error* e) { return table_.finish(handle_, &c_answer, e); });
    }

    bool finishes_at_once() const noexcept override {
        if (!table_.finishes_at_once) return false;
        const turn mine(*instance_);
        return noted(*instance_, plugin_function::finishes_at_once,
                     [&] { return table_.finishes_at_once(handle_) != 0; });
    }

    group_commit* commits_with() noexcept override { return group_; }

    // To be finished in a group, which ends it.
    void* give_away() noexcept {
        has_ended_ = true;
        return handle_;
    }

    void abort(partial what_came) noexcept override {
        if (std::exchange(has_ended_, true)) return;
        const turn mine(*instance_);
        noted(*instance_, plugin_function::delivery_abort,
              [&] { table_.abort(handle_, what_came == partial::keep ? 1 : 0); });
    }

private:
    const instance_pointer instance_;
    const wherry_sink_functions& table_ = std::get<wherry_sink_functions>(instance_->functions);
    void* const handle_;
    const std::uint64_t offset_;
    group_commit* const group_;
    bool has_ended_ = false;  // then the handle is used no more
};

class adapted_sink final : public sink, public group_commit {
public:
    explicit adapted_sink(instance_pointer instance) : instance_(std::move(instance)) {}

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override {
        const std::string address(peer.address);
        const wherry_identity who{
            .struct_size = sizeof(wherry_identity),
            .algorithm = peer.who.algorithm.c_str(),
            .public_key = peer.who.public_key.c_str(),
            .fingerprint = peer.who.fingerprint.c_str(),
            .label = peer.who.label.c_str(),
        };
        wherry_offer c{};
        c.struct_size = sizeof c;
        c.kind = static_cast<std::uint32_t>(what.kind);
        c.name = what.name.c_str();
        c.name_bytes = what.name.size();
        if (what.size) c.flags |= WHERRY_OFFER_HAS_SIZE, c.size = *what.size;
        if (what.mode) c.flags |= WHERRY_OFFER_HAS_MODE, c.mode = *what.mode;
        if (what.mtime) {
            c.flags |= WHERRY_OFFER_HAS_MTIME;
            c.mtime_seconds = what.mtime->seconds;
            c.mtime_nanoseconds = what.mtime->nanoseconds;
        }
        if (what.wants_resume) c.flags |= WHERRY_OFFER_WANTS_RESUME;
        c.peer_address = address.c_str();
        c.peer = &who;

        void* handle = nullptr;
        std::uint64_t offset = 0;
        {
            const turn mine(*instance_);
            checked(*instance_, plugin_function::begin,
                    [&](wherry_error* e) { return table_.begin(instance_->handle, &c, &handle, &offset, e); });
        }
        return std::make_unique<adapted_delivery>(instance_, handle, offset, table_.finish_group ? this : nullptr);
    }

    void interrupt() noexcept override {
        if (table_.interrupt)
            noted(*instance_, plugin_function::interrupt, [&] { table_.interrupt(instance_->handle); });
    }

private:
    void finish_group(std::span<ending> all) noexcept override {
        struct row {
            wherry_response answer;
            wherry_ending ending;
        };
        std::vector<row> rows;
        std::vector<wherry_ending*> endings;
        try {
            rows.resize(all.size());
            endings.reserve(all.size());
        } catch (const std::bad_alloc&) {
            for (auto& one : all) one.failure = error(errc::exhausted, "the receiver is out of memory");
            return;
        }
        for (std::size_t i = 0; i < all.size(); ++i) {
            rows[i].answer = as_c(*all[i].answer);
            auto& to_end = rows[i].ending;
            to_end.struct_size = sizeof to_end;
            to_end.delivery = static_cast<adapted_delivery*>(all[i].of)->give_away();
            to_end.response = &rows[i].answer;
            // What the plugin forgets must not pass for delivered.
            to_end.status = WHERRY_INTERNAL;
            endings.push_back(&to_end);
        }
        {
            const turn mine(*instance_);
            try {
                noted(*instance_, plugin_function::finish_group,
                      [&] { table_.finish_group(instance_->handle, endings.data(), endings.size()); });
            } catch (...) {
                // As in checked(): those that it had not come to are the failures.
            }
        }
        for (std::size_t i = 0; i < all.size(); ++i) all[i].failure = failure_of(rows[i].ending);
    }

    std::optional<error> failure_of(wherry_ending& ended) const noexcept {
        try {
            abi::checked(instance_->name, [&](wherry_error* e) {
                if (ended.status == WHERRY_INTERNAL && ended.error.text[0] == '\0')
                    return abi::fill(*e, errc::internal, "did not say how a delivery of a group ended");
                if (ended.status != WHERRY_OK) *e = ended.error;
                return ended.status;
            });
            return std::nullopt;
        } catch (const error& e) {
            return e;
        }
    }

    const instance_pointer instance_;
    const wherry_sink_functions& table_ = std::get<wherry_sink_functions>(instance_->functions);
};

}  // namespace

std::unique_ptr<transport> adapt_transport(std::shared_ptr<plugin_instance> instance) {
    return std::make_unique<adapted_transport>(std::move(instance));
}

std::unique_ptr<cipher> adapt_cipher(std::shared_ptr<plugin_instance> instance) {
    return std::make_unique<adapted_cipher>(std::move(instance));
}

std::unique_ptr<sink> adapt_sink(std::shared_ptr<plugin_instance> instance) {
    return std::make_unique<adapted_sink>(std::move(instance));
}

}  // namespace wherry
