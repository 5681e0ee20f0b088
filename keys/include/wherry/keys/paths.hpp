// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>

// Where things are in the folder with the user's keys and settings.
namespace wherry::keys {

inline std::filesystem::path identity_path(const std::filesystem::path& home) { return home / "identity"; }
inline std::filesystem::path identity_public_path(const std::filesystem::path& home) { return home / "identity.pub"; }
inline std::filesystem::path authorized_keys_path(const std::filesystem::path& home) {
    return home / "authorized_keys";
}
inline std::filesystem::path known_hosts_path(const std::filesystem::path& home) { return home / "known_hosts"; }

}  // namespace wherry::keys
