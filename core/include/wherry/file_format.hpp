// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <optional>
#include <string_view>

// Files in formats of wherry's own say in their first line which format that is, so that an older wherry refuses the
// file of a newer one instead of misreading it. A file without the line has format 1.
namespace wherry {

// Without the mark that makes it a remark where the file has such.
inline constexpr std::string_view format_line = "wherry-format 1";

// Returns the format that the line names, if that is not this version's; nothing for any other line.
constexpr std::optional<std::string_view> unknown_format(std::string_view line) noexcept {
    constexpr std::string_view label = "wherry-format ";
    if (!line.starts_with(label) || line == format_line) return std::nullopt;
    return line.substr(label.size());
}

}  // namespace wherry
