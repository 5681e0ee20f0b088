// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>

// What a plugin asked the disk to keep. The program's own fsync(), fdatasync(), syncfs(), sync() and msync() stand in
// front of the C library's (CMakeLists.txt exports them), so that calls of a plugin and its libraries come by here.
namespace wherry::conformance {

// Notes calls that succeeded, on every thread, while it lives. One at a time.
class sync_watch {
public:
    sync_watch() noexcept;
    ~sync_watch();
    sync_watch(const sync_watch&) = delete;
    sync_watch& operator=(const sync_watch&) = delete;

    // At least one call.
    bool has_any() const noexcept;
    // A call for this file or folder, or one for more than a file.
    bool has(const std::filesystem::path& file) const noexcept;
};

}  // namespace wherry::conformance
