// SPDX-License-Identifier: BSD-2-Clause
// A transport whose peers say what is in the address, to see what outlives what.
#include <algorithm>
#include <cstring>
#include <string>

#include "wherry/sdk.hpp"

namespace {

class reciting_connection final : public wherry::connection {
public:
    explicit reciting_connection(std::string text) : text_(std::move(text)) {}
    using connection::write_all;

    std::size_t read_some(wherry::mutable_bytes into) override {
        const auto count = std::min(into.size(), text_.size() - at_);
        std::memcpy(into.data(), text_.data() + at_, count);
        at_ += count;
        return count;
    }
    void write_all(std::span<const wherry::const_bytes> pieces) override {
        for (const auto piece : pieces) text_ += wherry::as_text(piece);
    }
    void shutdown_write() override {}
    void set_read_timeout(std::chrono::milliseconds) noexcept override {}
    void set_write_timeout(std::chrono::milliseconds) noexcept override {}
    void abort() noexcept override {}
    std::string_view peer_address() const noexcept override { return "recital"; }
    std::size_t record_bytes() const noexcept override { return 12345; }

private:
    std::string text_;
    std::size_t at_ = 0;
};

class reciting_listener final : public wherry::listener {
public:
    std::unique_ptr<wherry::connection> accept() override { return std::make_unique<reciting_connection>("accepted"); }
    std::string_view address() const noexcept override { return "stage"; }
    void abort() noexcept override {}
};

class lifetime_transport final : public wherry::transport {
public:
    lifetime_transport(const wherry::settings&, const wherry::host_services& host) : host_(host) {}
    ~lifetime_transport() override { host_.log(wherry::host_services::level::info, "transport destroyed"); }

    std::unique_ptr<wherry::connection> connect(const std::string& address) override {
        if (address.empty()) throw wherry::error(wherry::errc::bad_input, "nobody to connect to");
        return std::make_unique<reciting_connection>(address);
    }
    std::unique_ptr<wherry::listener> listen(const std::string&) override {
        return std::make_unique<reciting_listener>();
    }
    void discover(std::chrono::milliseconds,
                  const std::function<bool(const wherry::discovered_peer&)>& found) override {
        for (int i = 1; i <= 3; ++i) {
            const auto address = "peer-" + std::to_string(i);
            if (!found({address, "Peer"})) return;
        }
        found({"peer-4", "Near", -40, true, false});
    }
    void pair(const std::string& address, std::chrono::milliseconds, wherry::pairing_agent& person) override {
        person.show("0000");
        if (!person.confirm(address)) throw wherry::error(wherry::errc::refused, "declined");
        if (const auto code = person.enter()) person.show(*code);
    }

private:
    const wherry::host_services host_;
};

}  // namespace

WHERRY_PLUGIN(lifetime_transport, "lifetime", "1", "recites", wherry::no_options)
