// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "adapter_calls.hpp"
#include "plugin_adapters.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

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

// A number that is not known may come from a later cipher.
std::optional<key_exchange> as_key_exchange(std::uint32_t c) noexcept {
    if (c == WHERRY_KEY_EXCHANGE_CLASSICAL) return key_exchange::classical;
    if (c == WHERRY_KEY_EXCHANGE_POST_QUANTUM) return key_exchange::post_quantum;
    return std::nullopt;
}

class adapted_session final : public cipher_session {
public:
    adapted_session(std::shared_ptr<plugin_instance> instance, void* handle)
        : instance_(std::move(instance)),
          handle_(handle),
          overhead_(noted(*instance_, plugin_function::overhead, [&] { return table_.overhead(handle); })) {
        wherry_identity peer{};
        peer.struct_size = sizeof peer;  // a later cipher must not write beyond it
        noted(*instance_, plugin_function::peer, [&] { table_.peer(handle_, &peer); });
        peer_ = as_cpp(peer);
        description_ =
            noted(*instance_, plugin_function::describe, [&] { return text_or_empty(table_.describe(handle_)); });
        if (table_.key_exchange)
            exchanged_ = as_key_exchange(
                noted(*instance_, plugin_function::key_exchange, [&] { return table_.key_exchange(handle_); }));
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
        if (length > record.size())
            throw error(errc::internal, fmt::format("{}: opened to more than was sealed", instance_->name));
        return record.first(length);
    }
    const identity& peer() const noexcept override { return peer_; }
    std::string_view describe() const noexcept override { return description_; }
    std::optional<key_exchange> exchanged() const noexcept override { return exchanged_; }

private:
    const std::shared_ptr<plugin_instance> instance_;
    const wherry_cipher_functions& table_ = std::get<wherry_cipher_functions>(instance_->functions);
    void* const handle_;
    const std::size_t overhead_;
    identity peer_;
    std::string description_;
    std::optional<key_exchange> exchanged_;
};

class adapted_cipher final : public cipher {
public:
    explicit adapted_cipher(std::shared_ptr<plugin_instance> instance) : instance_(std::move(instance)) {}

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
            throw error(errc::internal, fmt::format("{}: adds more to a record than {} bytes", instance_->name,
                                                    limits::max_record_overhead_bytes));
        return session;
    }

    bool is_insecure() const noexcept override {
        return table_.is_insecure && noted(*instance_, plugin_function::is_insecure,
                                           [&] { return table_.is_insecure(instance_->handle) != 0; });
    }

private:
    const std::shared_ptr<plugin_instance> instance_;
    const wherry_cipher_functions& table_ = std::get<wherry_cipher_functions>(instance_->functions);
};

}  // namespace

std::unique_ptr<cipher> adapt_cipher(std::shared_ptr<plugin_instance> instance) {
    return std::make_unique<adapted_cipher>(std::move(instance));
}

}  // namespace wherry
