// SPDX-License-Identifier: BSD-2-Clause
// Tells of every call by a line of the log, so that a test sees which of them a wrapper passes on. Its peers say
// "hello".
#include <array>
#include <cstring>
#include <string>

#include "wherry/sdk.hpp"

namespace {

using namespace wherry;

class told_connection final : public connection {
public:
    explicit told_connection(std::string address) : address_(std::move(address)) {}
    using connection::write_all;

    std::size_t read_some(mutable_bytes into) override {
        const auto text = as_bytes("hello");
        std::memcpy(into.data(), text.data(), text.size());
        return text.size();
    }
    void write_all(std::span<const const_bytes>) override {}
    void shutdown_write() override {}
    void set_read_timeout(std::chrono::milliseconds) noexcept override {}
    void set_write_timeout(std::chrono::milliseconds) noexcept override {}
    void abort() noexcept override {}
    std::string_view peer_address() const noexcept override { return address_; }
    std::size_t record_bytes() const noexcept override { return 12'345; }

private:
    const std::string address_;
};

class told_listener final : public listener {
public:
    std::unique_ptr<connection> accept() override { return std::make_unique<told_connection>("accepted"); }
    std::string_view address() const noexcept override { return "door"; }
    void abort() noexcept override {}
};

class telling_transport final : public transport {
public:
    telling_transport(const settings&, const host_services& host) : host_(host) {}

    std::unique_ptr<connection> connect(const std::string& address) override {
        tell("connect " + address);
        return std::make_unique<told_connection>(address);
    }
    void connect_abort() noexcept override { tell("connect_abort"); }
    std::unique_ptr<listener> listen(const std::string& address) override {
        tell("listen " + address);
        return std::make_unique<told_listener>();
    }
    void discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) override {
        tell("discover " + std::to_string(limit.count()));
        found({"near", "Peer"});
    }
    void pair(const std::string& address, std::chrono::milliseconds limit, pairing_agent& person) override {
        tell("pair " + address + " " + std::to_string(limit.count()));
        person.confirm("1234");
    }

private:
    void tell(const std::string& call) const { host_.log(host_services::level::info, call); }

    const host_services host_;
};

}  // namespace

WHERRY_PLUGIN(telling_transport, "telling", "0.1.0", "tells of every call", wherry::no_options)
