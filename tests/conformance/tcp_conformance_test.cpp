#include "transport_suite.hpp"

namespace wherry::conformance {
namespace {

std::unique_ptr<transport> make() {
    return load_plugin(plugin_kind::transport, "tcp")->make_transport({{"connect-timeout", "5s"}});
}

std::string missing_ipv6() {
    try {
        make()->listen("[::1]:0");
    } catch (const error& e) {
        return e.what();
    }
    return {};
}

INSTANTIATE_TEST_SUITE_P(
    tcp, transport_conformance,
    testing::Values(transport_subject{"ipv4", make, "127.0.0.1:0", {"host:", "host:x", "[::1", "a b", "[::1]:65536"}},
                    transport_subject{"ipv6", make, "[::1]:0", {"[::1]x", "::1:2:x"}, 50, missing_ipv6}));

}  // namespace
}  // namespace wherry::conformance
