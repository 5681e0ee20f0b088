// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/program_file.hpp"

#include <fmt/format.h>
#include <sys/auxv.h>

#include <system_error>

namespace wherry {

namespace fs = std::filesystem;

namespace {

constexpr const char* link_to_program = "/proc/self/exe";

}  // namespace

fs::path program_file() {
    std::error_code problem;
    auto file = fs::read_symlink(link_to_program, problem);
    if (!problem) return file;
    const auto* const started_by = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
    if (started_by == nullptr) return {};
    file = fs::canonical(started_by, problem);
    return problem ? fs::path() : file;
}

std::string note_unknown_program() {
    if (!program_file().empty()) return {};
    std::error_code problem;
    static_cast<void>(fs::read_symlink(link_to_program, problem));
    return fmt::format("; not beside the program, whose place is unknown: {} cannot be read: {}; mount /proc",
                       link_to_program, problem.message());
}

}  // namespace wherry
