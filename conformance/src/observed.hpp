// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "process_state.hpp"

// What a plugin leaves behind in its process and in its folder.
namespace wherry::conformance {

// The descriptors that this process has open, and what each leads to.
std::map<int, std::string> open_descriptors();

std::size_t thread_count();

// Processes that were started from this one and neither ended nor were waited for.
std::set<int> child_processes();

// Bytes of the heap in use; none where the allocator does not tell.
std::optional<std::size_t> allocated_bytes();

// The content of every file beneath, by its relative name; what begins with a dot is left out, and all in it.
std::map<std::string, std::string> files_beneath(const std::filesystem::path& folder);

// What the process had before the plugin was loaded.
struct baseline {
    std::map<int, std::string> descriptors;
    std::size_t threads = 0;
    process_state state;
};
baseline& before_loading();

}  // namespace wherry::conformance
