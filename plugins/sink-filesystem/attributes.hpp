// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <string>

#include "folder_tree.hpp"
#include "wherry/sink.hpp"

namespace wherry::filesystem {

// Returns what becomes here of a mode that a peer tells.
mode_t mode_for(const folder_tree& tree, mode_t offered) noexcept;

// Gives an open file or folder the time of the offer, if it has one; returns false if the file system holds another.
// Throws error that begins with `attempt`.
bool set_time(const folder_tree& tree, int fd, const offer& what, const std::string& attempt);

// Gives an open file the mode of the offer, as far as the file system has such, and the time as set_time().
bool set_attributes(const folder_tree& tree, int fd, const offer& what, const std::string& attempt);

// Gives an open file the group. It keeps its own where this user may not give it that one. Throws error that begins
// with `attempt`.
void set_group(const folder_tree& tree, int fd, gid_t group, const std::string& attempt);

}  // namespace wherry::filesystem
