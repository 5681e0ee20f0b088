// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wherry::filesystem {

// The folder, inside the sink's own, where deliveries grow until they are whole. Names in the sink's folder that begin
// so are reserved: each user has a partial area of its own.
inline constexpr std::string_view partial_area_name = ".wherry-partial";

// Returns the name that this user's receivers try for their partial area after `attempts` others.
std::string partial_area_name_for(uid_t user, unsigned attempts);
inline constexpr unsigned most_partial_area_names = 100;

// True only for a component that no file system takes for a reserved name.
bool is_surely_not_reserved(std::string_view component) noexcept;

// The components of a name that a peer gave. Throws error(errc::refused) for any that could lead elsewhere than beneath
// the sink's folder or into a partial area: an absolute name, "", ".", "..", NUL, or a length that no file system
// has. Control characters and bytes that are not UTF-8 are part of a name like any other.
std::vector<std::string> split_name(std::string_view untrusted);

// The components of the folder that it is in: all but the last.
std::span<const std::string> parents_of(const std::vector<std::string>& components);

// The components joined again.
std::string joined(const std::vector<std::string>& components);

// "skull.stl" and 2: "skull (2).stl"; kept within 255 bytes by shortening what stands before the number.
std::string numbered(std::string_view component, unsigned number);

// "message-20240229T235959Z.txt"
std::string message_name(std::time_t when);

}  // namespace wherry::filesystem
