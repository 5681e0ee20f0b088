#include "cipher_suite.hpp"

namespace wherry::conformance {
namespace {

const cipher_subject none{"none",
                          [] {
                              const auto plugin = load_plugin(plugin_kind::cipher, "none");
                              return std::pair{plugin->make_cipher({}), plugin->make_cipher({})};
                          },
                          false};

INSTANTIATE_TEST_SUITE_P(none, cipher_conformance, testing::Values(none));
INSTANTIATE_TEST_SUITE_P(none, cipher_protection, testing::Values(none));

}  // namespace
}  // namespace wherry::conformance
