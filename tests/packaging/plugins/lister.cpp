// SPDX-License-Identifier: BSD-2-Clause
// A program of somebody else, which links the installed libraries.
#include <cstdio>
#include <wherry/keys/known_hosts.hpp>
#include <wherry/plugin_host.hpp>

int main(int argc, char** argv) {
    if (argc != 3) return 1;
    const auto folders = wherry::default_search_path({});
    const wherry::plugin_host installed(folders, {}), plugins({argv[1]}, {});
    for (const auto& row : installed.list()) std::printf("installed: %s\n", row.path.c_str());
    for (const auto& row : plugins.list()) std::printf("%s %s\n", row.name.c_str(), row.loaded ? "loaded" : "refused");
    std::printf("%zu receivers\n", wherry::keys::known_hosts(argv[2]).read().entries.size());
}
