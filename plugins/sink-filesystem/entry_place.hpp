// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "folder_tree.hpp"
#include "journal_record.hpp"

namespace wherry::filesystem {

// Returns the number of the name under which the entry's file stands, the wanted one or a numbered form; its folder is
// synced then. None in doubt, as where a delivery is at work on the file: stored twice is better than answered wrongly.
// Throws error if descriptors are lacking.
std::optional<std::uint32_t> find_place(const folder_tree& tree, const journal_entry& entry);

// The components of the name with this number.
std::vector<std::string> components_of(const journal_entry& entry, std::uint32_t number);

}  // namespace wherry::filesystem
