// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "wherry/keys/private_key.hpp"

// Files that decide about trust: read with their permissions checked, changed whole or not at all.
namespace wherry::keys {

enum class file_access {
    any,             // no look at permissions; it may be a pipe
    closed_writing,  // the file, its folder and those above, up to $HOME, are this user's or root's, and no one else's
                     // to write
    closed_reading,  // if it is this user's, group and others have no access; else it is root's
};

struct file_rules {
    std::string_view what;  // "private key": for errors
    std::size_t max_bytes;
    file_access access;
};

// Nothing if there is no such file.
std::optional<secret_text> read_file(const std::filesystem::path& path, const file_rules& rules);

// Writes by way of a temporary file in the same folder, which is made (mode 0700) if it lacks. Through symbolic links.
// The mode is 0644 for file_access::any, else 0600. Throws error(errc::bad_input) on a file system where read_file()
// would refuse the file.
void write_file(const std::filesystem::path& path, std::string_view content, const file_rules& rules,
                if_exists existing);

// Reads, lets `edit` make the new content (nothing: leave it), writes; no other edit_file comes between. Group and
// others keep the right to read what is file_access::closed_writing.
void edit_file(const std::filesystem::path& path, const file_rules& rules,
               const std::function<std::optional<std::string>(std::string_view content)>& edit);

}  // namespace wherry::keys
