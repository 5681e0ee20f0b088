#include "sink_suite.hpp"

namespace wherry::conformance {
namespace {

std::unique_ptr<sink> make(const std::filesystem::path&) {
    return load_plugin(plugin_kind::sink, "null")->make_sink({});
}

INSTANTIATE_TEST_SUITE_P(null, sink_conformance, testing::Values(sink_subject{"null", make}));

}  // namespace
}  // namespace wherry::conformance
