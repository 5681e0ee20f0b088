// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "bluetooth_address.hpp"
#include "rfcomm_socket.hpp"
#include "wherry/transport.hpp"

namespace wherry::rfcomm {

// What an option is unless it is given. The plugin's table shows the same.
namespace defaults {
inline constexpr const char* adapter = "";
inline constexpr std::uint8_t channel = 0;
inline constexpr auto level = security::medium;
inline constexpr std::chrono::milliseconds connect_timeout = std::chrono::seconds(30);
inline constexpr std::size_t record_bytes = 16'384;
}  // namespace defaults

struct options {
    // "hci1" or its address; empty: listens on all, connects from the first that is up.
    std::string adapter = defaults::adapter;
    // Where the address names none; 0: the service record says it, or, for listening, any that is free.
    std::uint8_t channel = defaults::channel;
    // Of the link, below wherry's own encryption.
    security level = defaults::level;
    // For looking up the channel and connecting together; a person may have to confirm a pairing in it.
    std::chrono::milliseconds connect_timeout = defaults::connect_timeout;
    std::size_t record_bytes = defaults::record_bytes;
};

class transport final : public wherry::transport {
public:
    using warn_function = std::function<void(const std::string&)>;

    // `warn` gets sentences for the person; from any thread.
    transport(options chosen, warn_function warn);

    // "AA:BB:CC:DD:EE:FF[/CHANNEL]" or "NAME[/CHANNEL]".
    std::unique_ptr<connection> connect(const std::string& address) override;
    void connect_abort() noexcept override { connect_stop_.raise(); }
    // "[hciN|ADDRESS][/CHANNEL]".
    std::unique_ptr<listener> listen(const std::string& address) override;
    void discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) override;
    // `address` as for connect(); a channel does not matter.
    void pair(const std::string& address, std::chrono::milliseconds limit, pairing_agent& person) override;

private:
    class open_channels;

    options options_;
    warn_function warn_;
    std::shared_ptr<connection_gate> gate_;
    std::shared_ptr<open_channels> open_;
    stop_signal connect_stop_;
};

}  // namespace wherry::rfcomm
