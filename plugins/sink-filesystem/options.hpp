// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "folder_tree.hpp"

namespace wherry::filesystem {

// What happens to a file whose name is taken. Messages are always renamed.
enum class existing_policy { rename, refuse, overwrite };

// What an option is unless it is given. The plugin's table shows the same.
namespace defaults {
inline constexpr const char* directory = "transferred_files";
inline constexpr auto existing = existing_policy::rename;
inline constexpr std::uint64_t max_size = 0;
inline constexpr std::uint64_t quota = 0;
inline constexpr auto sync = durability::synced;
inline constexpr std::chrono::milliseconds partial_lifetime = std::chrono::hours(7 * 24);
inline constexpr std::uint64_t least_kept = std::uint64_t{1} << 20;
}  // namespace defaults

struct options {
    std::string directory = defaults::directory;
    existing_policy existing = defaults::existing;
    // The largest file, in bytes; 0: any.
    std::uint64_t max_size = defaults::max_size;
    // Bytes that may lie beneath the folder, partial files included, and entry_bytes for each file and folder; 0: any
    // number.
    std::uint64_t quota = defaults::quota;
    // Lazy leaves it to the system when data reach the disk: faster, but a power cut may lose what was acknowledged.
    durability sync = defaults::sync;
    // How long a part of an interrupted file is kept for a resume; zero: not at all. It counts from the part's last
    // change, by this machine's clock. As long, the journal remembers which files a key has stored.
    std::chrono::milliseconds partial_lifetime = defaults::partial_lifetime;
    // Of a smaller file no part is kept, for to send it again costs less than a second sync. Only tests change it.
    std::uint64_t least_kept = defaults::least_kept;
};

}  // namespace wherry::filesystem
