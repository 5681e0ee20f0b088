// SPDX-License-Identifier: BSD-2-Clause
#include "observed.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <malloc.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace wherry::conformance {

namespace fs = std::filesystem;

std::map<int, std::string> open_descriptors() {
    std::map<int, std::string> open;
    DIR* const folder = ::opendir("/proc/self/fd");
    if (folder == nullptr) return open;
    while (const auto* entry = ::readdir(folder)) {
        const int fd = std::atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == ::dirfd(folder)) continue;
        std::array<char, 512> target{};
        const auto path = std::string("/proc/self/fd/") + entry->d_name;
        const auto length = ::readlink(path.c_str(), target.data(), target.size() - 1);
        open[fd] = length > 0 ? std::string(target.data(), static_cast<std::size_t>(length)) : "?";
    }
    ::closedir(folder);
    return open;
}

std::size_t thread_count() {
    std::size_t count = 0;
    std::error_code none;
    for (fs::directory_iterator entry("/proc/self/task", none), end; !none && entry != end; entry.increment(none))
        ++count;
    return count;
}

std::set<int> child_processes() {
    std::set<int> all;
    std::error_code none;
    for (fs::directory_iterator entry("/proc/self/task", none), end; !none && entry != end; entry.increment(none)) {
        std::ifstream in(entry->path() / "children");
        for (int child = 0; in >> child;) all.insert(child);
    }
    return all;
}

std::optional<std::size_t> allocated_bytes() {
    // A sanitizer has an allocator of its own.
    using count = std::size_t();
    static auto* const sanitized =
        reinterpret_cast<count*>(::dlsym(RTLD_DEFAULT, "__sanitizer_get_current_allocated_bytes"));
    if (sanitized != nullptr) return sanitized();
#if WHERRY_HAS_MALLINFO2
    const auto all = ::mallinfo2();
    return all.uordblks + all.hblkhd;
#else
    return std::nullopt;
#endif
}

std::map<std::string, std::string> files_beneath(const fs::path& folder) {
    std::map<std::string, std::string> files;
    std::error_code none;
    for (auto entry = fs::recursive_directory_iterator(folder, none); !none && entry != fs::end(entry);
         entry.increment(none)) {
        if (entry->path().filename().native().starts_with('.')) {
            if (entry->is_directory(none)) entry.disable_recursion_pending();
            continue;
        }
        if (!entry->is_regular_file(none) || entry->is_symlink(none)) continue;
        std::ifstream in(entry->path(), std::ios::binary);
        std::ostringstream all;
        all << in.rdbuf();
        files[entry->path().lexically_relative(folder).string()] = all.str();
    }
    return files;
}

baseline& before_loading() {
    static baseline found;
    return found;
}

}  // namespace wherry::conformance
