// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bench/stage_times.hpp"
#include "wherry/cipher.hpp"
#include "wherry/forwarding_connection.hpp"
#include "wherry/sink.hpp"
#include "wherry/transfer.hpp"
#include "wherry/transport.hpp"

// The stages of a chain, each wrapped so that the time of its calls is summed up. Only wherry bench has them.
namespace wherry::app::bench {

// What of a connection is the path of the data. A sender reads answers on a thread beside it, where it waits most of
// the time: that is not counted.
enum class direction { sending, receiving };

class timed_connection final : public forwarding_connection {
public:
    timed_connection(std::unique_ptr<connection> inner, std::shared_ptr<stage_meter> meter, direction way) noexcept
        : forwarding_connection(std::move(inner)), meter_(std::move(meter)), way_(way) {}

    using connection::write_all;
    std::size_t read_some(mutable_bytes buffer) override;
    void write_all(std::span<const const_bytes> pieces) override;

private:
    const std::shared_ptr<stage_meter> meter_;
    const direction way_;
};

class timed_session final : public cipher_session {
public:
    timed_session(std::unique_ptr<cipher_session> inner, std::shared_ptr<stage_meter> meter, direction way,
                  std::function<void()> when_over = nullptr) noexcept
        : inner_(std::move(inner)), meter_(std::move(meter)), way_(way), when_over_(std::move(when_over)) {}
    ~timed_session() override {
        if (when_over_) when_over_();
    }

    void finish_handshake(stream& link) override { inner_->finish_handshake(link); }
    std::size_t overhead() const noexcept override { return inner_->overhead(); }
    void seal(mutable_bytes record, std::size_t length) override;
    mutable_bytes open(mutable_bytes record) override;
    const identity& peer() const noexcept override { return inner_->peer(); }
    std::string_view describe() const noexcept override { return inner_->describe(); }
    std::optional<key_exchange> exchanged() const noexcept override { return inner_->exchanged(); }

private:
    const std::unique_ptr<cipher_session> inner_;
    const std::shared_ptr<stage_meter> meter_;
    const direction way_;
    const std::function<void()> when_over_;
};

// For one sender, over all of its connections.
class timed_transport final : public transport {
public:
    timed_transport(std::shared_ptr<transport> inner, std::shared_ptr<stage_meter> meter) noexcept
        : inner_(std::move(inner)), meter_(std::move(meter)) {}

    std::unique_ptr<connection> connect(const std::string& address) override {
        return std::make_unique<timed_connection>(inner_->connect(address), meter_, direction::sending);
    }
    void connect_abort() noexcept override { inner_->connect_abort(); }
    std::unique_ptr<listener> listen(const std::string& address) override { return inner_->listen(address); }
    void discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) override {
        inner_->discover(limit, found);
    }
    void pair(const std::string& address, std::chrono::milliseconds limit, pairing_agent& agent) override {
        inner_->pair(address, limit, agent);
    }

private:
    const std::shared_ptr<transport> inner_;
    const std::shared_ptr<stage_meter> meter_;
};

// The same for its sessions.
class timed_cipher final : public cipher {
public:
    timed_cipher(std::shared_ptr<cipher> inner, std::shared_ptr<stage_meter> meter) noexcept
        : inner_(std::move(inner)), meter_(std::move(meter)) {}

    std::unique_ptr<cipher_session> handshake(role side, const_bytes prologue, stream& link,
                                              const peer_verifier& verify) override;
    bool is_insecure() const noexcept override { return inner_->is_insecure(); }

private:
    const std::shared_ptr<cipher> inner_;
    const std::shared_ptr<stage_meter> meter_;
};

class timed_source final : public source {
public:
    // Both outlive it.
    timed_source(source& inner, stage_meter& meter) noexcept : inner_(inner), meter_(meter) {}

    const offer& what() const noexcept override { return inner_.what(); }
    std::size_t read(mutable_bytes buffer) override;
    void seek(std::uint64_t position) override { inner_.seek(position); }
    bool may_wait() const noexcept override { return inner_.may_wait(); }

private:
    source& inner_;
    stage_meter& meter_;
};

// The offer by which a sender asks a measuring receiver what this connection took there, since it last asked: a
// "data" item without content. The response is JSON: `"wherry_bench": 1`, and what to_json() has of a receiver.
inline constexpr std::string_view report_name = ".wherry-bench-report";
inline constexpr int report_version = 1;

// What a receiver measured of one connection, from the first offer on.
struct received_report {
    std::string address;
    identity peer;
    std::uint64_t items = 0, bytes = 0;
    side_times times;
};

// The chain of a receiver: a listener, a cipher and a sink that belong together. Each connection is measured by itself.
// Thread-safety: as the parts have it; the callback from their threads.
class receiving_probe {
public:
    // All outlive it. `tell` gets what a sender asked for, before the sender does, and what it had not asked for when
    // its connection ended.
    receiving_probe(cipher& protection, sink& store, std::function<void(const received_report&)> tell);
    ~receiving_probe();

    std::unique_ptr<listener> watch(std::unique_ptr<listener> inner);
    cipher& watched_cipher() noexcept;
    sink& watched_sink() noexcept;
    // The one connection carries a part of what comes over the other. They are told apart by where the identities are
    // that a server has told of them; the identities themselves are not used, and may be gone.
    void joined(const identity* peer, const identity* other);

private:
    struct implementation;
    const std::unique_ptr<implementation> implementation_;
};

// A transport whose listeners a probe watches.
class watched_transport final : public transport {
public:
    // The probe outlives it.
    watched_transport(std::shared_ptr<transport> inner, receiving_probe& probe) noexcept
        : inner_(std::move(inner)), probe_(probe) {}

    std::unique_ptr<connection> connect(const std::string& address) override { return inner_->connect(address); }
    void connect_abort() noexcept override { inner_->connect_abort(); }
    std::unique_ptr<listener> listen(const std::string& address) override {
        return probe_.watch(inner_->listen(address));
    }
    void discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) override {
        inner_->discover(limit, found);
    }
    void pair(const std::string& address, std::chrono::milliseconds limit, pairing_agent& agent) override {
        inner_->pair(address, limit, agent);
    }

private:
    const std::shared_ptr<transport> inner_;
    receiving_probe& probe_;
};

}  // namespace wherry::app::bench
