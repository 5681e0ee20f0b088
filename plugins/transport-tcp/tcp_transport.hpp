// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <string>

#include "tcp_options.hpp"
#include "wherry/transport.hpp"

namespace wherry::tcp {

// TCP over IPv4 and IPv6. Addresses: see endpoint.hpp; for listening, no host means every address of the machine.
class transport final : public wherry::transport {
public:
    explicit transport(const options& chosen) : options_(chosen) {}

    std::unique_ptr<connection> connect(const std::string& address) override;
    // A name with several addresses is listened to on the first that can be.
    std::unique_ptr<listener> listen(const std::string& address) override;

private:
    options options_;
};

}  // namespace wherry::tcp
