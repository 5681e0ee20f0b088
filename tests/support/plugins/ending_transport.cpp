// SPDX-License-Identifier: BSD-2-Clause
// Ends the process in connect() or listen(), with the exit status of success.
#include <cstdlib>

#include "wherry/sdk.hpp"

namespace {

class ending_transport final : public wherry::transport {
public:
    ending_transport(const wherry::settings&, const wherry::host_services&) {}
    std::unique_ptr<wherry::connection> connect(const std::string&) override { std::exit(0); }
    std::unique_ptr<wherry::listener> listen(const std::string&) override { std::exit(0); }
};

}  // namespace

WHERRY_PLUGIN(ending_transport, "ending", "1", "ends the process", wherry::no_options)
