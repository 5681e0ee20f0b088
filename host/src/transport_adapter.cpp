// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <utility>

#include "adapter_calls.hpp"
#include "plugin_adapters.hpp"

namespace wherry {

namespace {

std::uint32_t as_milliseconds(std::chrono::milliseconds time) noexcept {
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(time.count(), 0, 0xFFFFFFFF));
}

class adapted_connection final : public connection {
public:
    adapted_connection(std::shared_ptr<plugin_instance> instance, void* handle)
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
            throw error(errc::internal, fmt::format("{}: read more than it was given room for", instance_->name));
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
    const std::shared_ptr<plugin_instance> instance_;
    const wherry_transport_functions& table_ = std::get<wherry_transport_functions>(instance_->functions);
    void* const handle_;
    const std::string address_;
};

class adapted_listener final : public listener {
public:
    adapted_listener(std::shared_ptr<plugin_instance> instance, void* handle)
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
    const std::shared_ptr<plugin_instance> instance_;
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
    explicit adapted_transport(std::shared_ptr<plugin_instance> instance) : instance_(std::move(instance)) {}

    std::unique_ptr<connection> connect(const std::string& address) override {
        void* handle = nullptr;
        checked(*instance_, plugin_function::connect,
                [&](wherry_error* e) { return table_.connect(instance_->handle, address.c_str(), &handle, e); });
        return std::make_unique<adapted_connection>(instance_, handle);
    }

    void connect_abort() noexcept override {
        if (table_.connect_abort)
            noted(*instance_, plugin_function::connect_abort, [&] { table_.connect_abort(instance_->handle); });
    }

    std::unique_ptr<listener> listen(const std::string& address) override {
        void* handle = nullptr;
        checked(*instance_, plugin_function::listen,
                [&](wherry_error* e) { return table_.listen(instance_->handle, address.c_str(), &handle, e); });
        return std::make_unique<adapted_listener>(instance_, handle);
    }

    void discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) override {
        if (!table_.discover)
            throw error(errc::unsupported, fmt::format("{}: this transport cannot look for peers", instance_->name));
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
        if (!table_.pair)
            throw error(errc::unsupported, fmt::format("{}: this transport knows no pairing", instance_->name));
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
    const std::shared_ptr<plugin_instance> instance_;
    const wherry_transport_functions& table_ = std::get<wherry_transport_functions>(instance_->functions);
};

}  // namespace

std::unique_ptr<transport> adapt_transport(std::shared_ptr<plugin_instance> instance) {
    return std::make_unique<adapted_transport>(std::move(instance));
}

}  // namespace wherry
