#include "sink_suite.hpp"

namespace wherry::conformance {
namespace {

sink_subject subject(const std::string& files) {
    return {files, [=](const std::filesystem::path&) {
                return load_plugin(plugin_kind::sink, "console")->make_sink({{"files", files}});
            }};
}

// That which refuses files has nothing else to be tested: the program's tests have it.
INSTANTIATE_TEST_SUITE_P(console, sink_conformance, testing::Values(subject("announce")));

}  // namespace
}  // namespace wherry::conformance
