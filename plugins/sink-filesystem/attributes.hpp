// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <string>

#include "folder_tree.hpp"
#include "wherry/sink.hpp"

namespace wherry::filesystem {

// Gives an open file or folder the mode and the time of the offer, as far as the file system has such; returns false if
// it holds another time. `always` are bits that the mode has in any case. Throws error that begins with `attempt`.
bool set_attributes(const folder_tree& tree, int fd, const offer& what, mode_t always, const std::string& attempt);

// Gives an open file the group. It keeps its own where this user may not give it that one. Throws error that begins
// with `attempt`.
void set_group(const folder_tree& tree, int fd, gid_t group, const std::string& attempt);

}  // namespace wherry::filesystem
