// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/home.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>

#include "wherry/error.hpp"

namespace wherry {

namespace fs = std::filesystem;

fs::path find_home(const std::optional<std::string>& given) {
    const auto variable = [](const char* name) -> std::optional<std::string> {
        const char* value = std::getenv(name);
        return value != nullptr && *value != '\0' ? std::optional<std::string>(value) : std::nullopt;
    };
    if (given) {
        if (given->empty()) throw error(errc::bad_input, "the folder for keys and settings is named by an empty text");
        return fs::absolute(*given).lexically_normal();
    }
    if (const auto home = variable("WHERRY_HOME")) return fs::absolute(*home).lexically_normal();
    // The XDG specification has relative paths ignored.
    if (const auto config = variable("XDG_CONFIG_HOME"); config && fs::path(*config).is_absolute())
        return fs::path(*config) / "wherry";
    if (const auto home = variable("HOME")) return fs::absolute(*home) / ".config" / "wherry";
    const passwd* const entry = ::getpwuid(::getuid());
    if (entry == nullptr || entry->pw_dir == nullptr)
        throw error(errc::bad_input,
                    "there is no home folder for this user; name the folder for keys and settings in WHERRY_HOME");
    return fs::path(entry->pw_dir) / ".config" / "wherry";
}

}  // namespace wherry
