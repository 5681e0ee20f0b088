// SPDX-License-Identifier: BSD-2-Clause
#include "spool_area.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <vector>

#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::exec {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view private_prefix = "wherry-exec-";
constexpr std::size_t longest_ending = 16;

std::string reason(int code) { return std::generic_category().message(code); }

bool is_alphanumeric(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

unique_fd open_folder(const fs::path& folder) {
    return unique_fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

}  // namespace

std::string safe_ending(std::string_view peer_name) {
    const auto slash = peer_name.rfind('/');
    if (slash != peer_name.npos) peer_name.remove_prefix(slash + 1);
    const auto dot = peer_name.rfind('.');
    if (dot == peer_name.npos) return {};
    const auto ending = peer_name.substr(dot + 1);
    const bool is_safe = !ending.empty() && ending.size() <= longest_ending &&
                         std::all_of(ending.begin(), ending.end(), is_alphanumeric);
    return is_safe ? "." + std::string(ending) : std::string();
}

spool_area::spool_area(fs::path folder, names use) : folder_(fs::absolute(std::move(folder))) {
    try {
        make();
    } catch (const error& e) {
        throw error(errc::bad_input,
                    fmt::format("nothing can be stored in '{}' ({}); name another folder with --exec.spool",
                                printable(folder_.native()), reason(e.system_error())),
                    e.system_error());
    }
    if (use == names::never) return;
    remove_what_others_left();
    make_private_folder();
}

spool_area::~spool_area() {
    std::error_code ignored;
    if (!private_folder_.empty()) fs::remove_all(private_folder_, ignored);
}

unique_fd spool_area::make() const {
    unique_fd file(::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!file.is_open())
        throw error(
            errno == ENOSPC || errno == EDQUOT || errno == EMFILE || errno == ENFILE ? errc::exhausted : errc::io,
            fmt::format("there is no place for it to wait for the receiver's command: {}", reason(errno)), errno);
    return file;
}

std::optional<std::uint64_t> spool_area::free_bytes() const {
    struct statvfs now {};
    if (::statvfs(folder_.c_str(), &now) != 0) return std::nullopt;
    return static_cast<std::uint64_t>(now.f_bavail) * now.f_frsize;
}

void spool_area::make_private_folder() {
    for (;;) {
        auto pattern = (folder_ / (std::string(private_prefix) + "XXXXXX")).native();
        if (::mkdtemp(pattern.data()) == nullptr)
            throw error(errc::bad_input,
                        fmt::format("no folder can be made in '{}' ({}); name another one with --exec.spool",
                                    printable(folder_.native()), reason(errno)),
                        errno);
        lock_ = open_folder(pattern);
        struct stat now {};
        // Another receiver that starts at this moment may have taken it for one that was left behind.
        if (lock_.is_open() && ::flock(lock_.get(), LOCK_EX | LOCK_NB) == 0 && ::fstat(lock_.get(), &now) == 0 &&
            now.st_nlink > 0) {
            private_folder_ = std::move(pattern);
            return;
        }
    }
}

void spool_area::remove_what_others_left() const {
    std::error_code ignored;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_, fs::directory_options::skip_permission_denied, ignored))
        if (entry.path().filename().native().starts_with(private_prefix)) found.push_back(entry.path());
    for (const auto& path : found) {
        const auto folder = open_folder(path);
        struct stat now {};
        // One that is in use is locked.
        if (!folder.is_open() || ::fstat(folder.get(), &now) != 0 || now.st_uid != ::geteuid()) continue;
        if (::flock(folder.get(), LOCK_EX | LOCK_NB) == 0) fs::remove_all(path, ignored);
    }
}

spool_area::name::name(spool_area& area, int file, std::string_view peer_name)
    : path_((area.private_folder_ / ("delivery-" + std::to_string(area.next_++) + safe_ending(peer_name))).native()) {
    const auto source = "/proc/self/fd/" + std::to_string(file);
    if (::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) != 0)
        throw error(errno == ENOSPC || errno == EDQUOT ? errc::exhausted : errc::io,
                    fmt::format("there is no place for it to wait for the receiver's command: {}", reason(errno)),
                    errno);
}

spool_area::name::~name() { ::unlink(path_.c_str()); }

}  // namespace wherry::exec
