// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace wherry {

// The names of the symbols that a shared object defines for others and that begin with `prefix`, read from its dynamic
// symbol table; nothing if the file is no ELF shared object for this machine. The file is not loaded: none of its code
// runs. Throws error(errc::io) if the file cannot be read.
std::optional<std::set<std::string>> elf_exports(const std::filesystem::path& file, std::string_view prefix);

}  // namespace wherry
