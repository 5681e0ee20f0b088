// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "name_lookup.hpp"
#include "socket_connection.hpp"
#include "tcp_options.hpp"
#include "wherry/transport.hpp"

namespace wherry::tcp {

// TCP over IPv4 and IPv6. Addresses: see endpoint.hpp; for listening, no host means every address of the machine.
class transport final : public wherry::transport {
public:
    // Throws error(errc::exhausted) where no descriptor is left.
    explicit transport(const options& chosen, resolver find = resolve) : options_(chosen), find_(std::move(find)) {}

    std::unique_ptr<connection> connect(const std::string& address) override;
    void connect_abort() noexcept override { connect_stop_.raise(); }
    // A name with several addresses is listened to on the first that can be.
    std::unique_ptr<listener> listen(const std::string& address) override;

private:
    options options_;
    resolver find_;
    stop_signal connect_stop_;
};

}  // namespace wherry::tcp
