// SPDX-License-Identifier: BSD-2-Clause
#include "plugin_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "wherry/error.hpp"

namespace wherry {

namespace fs = std::filesystem;

namespace {

// Refuses what another user could change or swap: the code in it would run with our keys. For the folders above, it is
// enough that nobody else can rename what is in them, which the sticky bit sees to.
void require_ours(const fs::path& path, bool is_ancestor) {
    struct stat status;
    if (::stat(path.c_str(), &status) != 0)
        throw error(errc::io, fmt::format("cannot look at {}: {}", path.string(), std::strerror(errno)), errno);
    if (status.st_uid != 0 && status.st_uid != ::geteuid())
        refuse_plugin(
            path,
            "belongs to another user, who could change what is loaded; install the plugin as root or as yourself");
    const bool others_write = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
    const bool is_sticky_ancestor = is_ancestor && (status.st_mode & S_ISVTX) != 0;
    if (others_write && !is_sticky_ancestor)
        refuse_plugin(
            path, fmt::format("can be written by other users, so nothing is loaded from there; run: chmod go-w '{}'",
                              path.string()));
}

void require_our_folder(const fs::path& real) {
    require_ours(real, false);
    for (fs::path folder = real; folder != folder.root_path(); folder = folder.parent_path())
        require_ours(folder.parent_path(), true);
}

fs::path real_path(const fs::path& path) {
    std::error_code problem;
    auto real = fs::canonical(path, problem);
    if (problem)
        throw error(errc::io, fmt::format("cannot look at {}: {}", path.string(), problem.message()), problem.value());
    return real;
}

}  // namespace

void refuse_plugin(const fs::path& file, const std::string& why) {
    throw error(errc::unsupported, file.string() + " " + why);
}

fs::path require_safe(const fs::path& file) {
    require_our_folder(real_path(file.parent_path()));
    auto real = real_path(file);
    // Others, such as a pipe, would keep us waiting.
    if (!fs::is_regular_file(real)) refuse_plugin(file, "is no regular file");
    require_ours(real, false);
    require_our_folder(real.parent_path());
    return real;
}

}  // namespace wherry
