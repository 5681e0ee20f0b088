// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <dirent.h>

#include <cstdlib>
#include <set>

namespace wherry::test {

// The file descriptors that this process has open.
inline std::set<int> open_descriptors() {
    std::set<int> open;
    DIR* const folder = ::opendir("/proc/self/fd");
    if (folder == nullptr) return open;
    while (const auto* entry = ::readdir(folder))
        if (entry->d_name[0] != '.') open.insert(std::atoi(entry->d_name));
    open.erase(::dirfd(folder));
    ::closedir(folder);
    return open;
}

}  // namespace wherry::test
