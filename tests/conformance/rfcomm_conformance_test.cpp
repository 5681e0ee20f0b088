#include <cstdlib>

#include "transport_suite.hpp"

// Runs where two controllers reach each other and BT_ADDR_B is the address of one: in tests/bluetooth-lab.
namespace wherry::conformance {
namespace {

std::unique_ptr<transport> make() {
    return load_plugin(plugin_kind::transport, "rfcomm")
        ->make_transport({{"connect-timeout", "10s"}, {"security", "low"}});
}

std::string listening_controller() {
    const char* const address = std::getenv("BT_ADDR_B");
    return address ? address : "";
}

std::string missing() {
    return listening_controller().empty() ? "there is no lab; see tests/bluetooth-lab/README.md" : "";
}

INSTANTIATE_TEST_SUITE_P(rfcomm, transport_conformance,
                         testing::Values(transport_subject{
                             "lab",
                             make,
                             listening_controller(),
                             {"AA:BB:CC:DD:EE", "AA:BB:CC:DD:EE:F", "AA:BB:CC:DD:EE:FG:", "AA:BB:CC:DD:EE:FF/",
                              "AA:BB:CC:DD:EE:FF/31", "AA:BB:CC:DD:EE:FF/0", "AA:BB:CC:DD:EE:FF/x",
                              "00:00:00:00:00:00"},
                             8,
                             missing,
                             false}));

}  // namespace
}  // namespace wherry::conformance
