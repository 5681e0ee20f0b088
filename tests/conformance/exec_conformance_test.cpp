#include "sink_suite.hpp"

namespace wherry::conformance {
namespace {

// What is stored, and whether it looks finished, is the command's business; this one stores nothing.
sink_subject subject(const std::string& input) {
    sink_subject made{input, [=](const std::filesystem::path& folder) {
                          return load_plugin(plugin_kind::sink, "exec")
                              ->make_sink({{"command", input == "file" ? "wc -c {}" : "wc -c"},
                                           {"input", input},
                                           {"spool", folder.string()}});
                      }};
    made.checks_sizes = true;
    return made;
}

INSTANTIATE_TEST_SUITE_P(exec, sink_conformance, testing::Values(subject("stdin"), subject("file")));

}  // namespace
}  // namespace wherry::conformance
