// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "wherry/sink.hpp"

namespace wherry::filesystem {

// What the file system knows a regular file by. An inode number alone does not tell a file from a later one.
struct file_mark {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::optional<file_time> birth;  // none where the file system keeps none
    std::uint64_t size = 0;
    file_time modified;

    bool operator==(const file_mark&) const = default;
};

// Returns none for anything but a regular file, and where it cannot be looked at.
std::optional<file_mark> mark_of(int fd) noexcept;
// The same of an entry of a folder; symbolic links are not followed.
std::optional<file_mark> mark_of(int folder, const std::string& name) noexcept;

// Whether both are of one file, whose name and attributes may have changed in between. Where the file system keeps no
// birth time, the time of modification must be the same, too.
bool is_same_file(const file_mark& one, const file_mark& other) noexcept;

}  // namespace wherry::filesystem
