#include "sink_suite.hpp"

namespace wherry::conformance {
namespace {

sink_subject subject(const std::string& existing) {
    sink_subject stores{
        existing, [=](const std::filesystem::path& folder) {
            return load_plugin(plugin_kind::sink, "filesystem")
                ->make_sink({{"directory", folder.string()}, {"existing", existing}, {"quota", "1GiB"}});
        }};
    stores.stored = [](const std::filesystem::path& folder) {
        auto files = files_beneath(folder);
        std::erase_if(files, [](const auto& file) { return file.first.starts_with(".wherry-partial/"); });
        return files;
    };
    stores.checks_sizes = stores.resumes = true;
    return stores;
}

INSTANTIATE_TEST_SUITE_P(filesystem, sink_conformance,
                         testing::Values(subject("rename"), subject("refuse"), subject("overwrite")));

}  // namespace
}  // namespace wherry::conformance
