// SPDX-License-Identifier: BSD-2-Clause
#include "filesystem_sink.hpp"
#include "wherry/sdk.hpp"

namespace {

using wherry::filesystem::durability;
using wherry::filesystem::existing_policy;
namespace defaults = wherry::filesystem::defaults;

constexpr const char* word_of(existing_policy policy) {
    switch (policy) {
        case existing_policy::rename: return "rename";
        case existing_policy::refuse: return "refuse";
        case existing_policy::overwrite: return "overwrite";
    }
    return "";
}

wherry::filesystem::options read(const wherry::settings& given) {
    wherry::filesystem::options chosen;
    chosen.directory = given.text("directory");
    for (const auto policy : {existing_policy::rename, existing_policy::refuse, existing_policy::overwrite})
        if (given.text("existing") == word_of(policy)) chosen.existing = policy;
    chosen.max_size = given.bytes("max-size");
    chosen.quota = given.bytes("quota");
    chosen.sync = given.boolean("sync") ? durability::synced : durability::lazy;
    chosen.partial_lifetime = given.duration("partial-lifetime");
    return chosen;
}

class filesystem_plugin final : public wherry::filesystem::sink {
public:
    filesystem_plugin(const wherry::settings& given, const wherry::host_services& host)
        : sink(read(given), [host](const std::string& text) {
              host.log(wherry::host_services::level::warning, "filesystem: " + text);
          }) {}
};

constexpr wherry_option options[] = {
    wherry::path_option("directory", defaults::directory, "folder to store in; made if it is missing"),
    wherry::choice_option("existing", "rename|refuse|overwrite", word_of(defaults::existing),
                          "what to do when a file's name is taken"),
    wherry::size_option("max-size", wherry::as_number<defaults::max_size>, "largest file to take; 0 for any"),
    wherry::size_option("quota", wherry::as_number<defaults::quota>,
                        "bytes that may lie in the folder, partial files included, and 4 KiB for each file and folder; "
                        "0 for any number"),
    wherry::boolean_option("sync", wherry::yes_or_no(defaults::sync == durability::synced),
                           "answer only when the disk has the data, so that a power cut loses nothing"),
    wherry::duration_option("partial-lifetime", wherry::in_hours<defaults::partial_lifetime.count()>,
                            "how long to keep the part of a cut file, from its last change on; 0 keeps none"),
};

}  // namespace

WHERRY_PLUGIN(filesystem_plugin, "filesystem", "0.1.0", "stores files, folders and messages beneath one folder",
              options)
