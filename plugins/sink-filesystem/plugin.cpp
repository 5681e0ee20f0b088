#include "filesystem_sink.hpp"
#include "wherry/sdk.hpp"

namespace {

using wherry::filesystem::existing_policy;

wherry::filesystem::options read(const wherry::settings& given) {
    wherry::filesystem::options chosen;
    chosen.directory = given.text("directory");
    const auto& existing = given.text("existing");
    chosen.existing = existing == "refuse"      ? existing_policy::refuse
                      : existing == "overwrite" ? existing_policy::overwrite
                                                : existing_policy::rename;
    chosen.max_size = given.bytes("max-size");
    chosen.quota = given.bytes("quota");
    chosen.sync = given.boolean("sync") ? wherry::filesystem::durability::synced : wherry::filesystem::durability::lazy;
    chosen.partial_lifetime = given.duration("partial-lifetime");
    return chosen;
}

class filesystem_plugin final : public wherry::filesystem::sink {
public:
    filesystem_plugin(const wherry::settings& given, const wherry::host_services&) : sink(read(given)) {}
};

constexpr wherry_option options[] = {
    wherry::path_option("directory", "transferred_files", "folder to store in; made if it is missing"),
    wherry::choice_option("existing", "rename|refuse|overwrite", "rename", "what to do when a file's name is taken"),
    wherry::size_option("max-size", "0", "largest file to take; 0 for any"),
    wherry::size_option("quota", "0", "bytes that may lie in the folder, partial files included; 0 for any number"),
    wherry::boolean_option("sync", "true", "answer only when the disk has the data, so that a power cut loses nothing"),
    wherry::duration_option("partial-lifetime", "168h",
                            "how long to keep the part of a cut file, from its last change on; 0 keeps none"),
};

}  // namespace

WHERRY_PLUGIN(filesystem_plugin, "filesystem", "0.1.0", "stores files, folders and messages beneath one folder",
              options)
