// Ends the process when it is to connect, as if all were well.
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
