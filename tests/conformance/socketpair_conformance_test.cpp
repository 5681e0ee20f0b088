#include "transport_suite.hpp"

// The stand-in for links that no machine of ours has: what the transports share, without any of them.
namespace wherry::conformance {
namespace {

std::unique_ptr<transport> make() { return load_plugin(plugin_kind::transport, "socketpair")->make_transport({}); }

INSTANTIATE_TEST_SUITE_P(socketpair, transport_conformance,
                         testing::Values(transport_subject{"socketpair", make, "", {"/", "x"}}));

}  // namespace
}  // namespace wherry::conformance
