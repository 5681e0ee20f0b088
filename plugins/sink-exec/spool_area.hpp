// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "wherry/unique_fd.hpp"

namespace wherry::exec {

// Where deliveries wait for their command: files without a name, mode 0600, of which nothing is left when this process
// ends, however it does. A command that wants a file gets a name in a folder of ours for as long as it runs; what a
// receiver that was killed has left of those, the next one to start removes.
// Thread-safety: all functions from any thread.
class spool_area {
public:
    enum class names { never, while_running };

    // Throws error(errc::bad_input) if `folder` cannot be used.
    spool_area(std::filesystem::path folder, names use);
    ~spool_area();
    spool_area(const spool_area&) = delete;
    spool_area& operator=(const spool_area&) = delete;

    // An empty file. Throws error.
    unique_fd make() const;

    // Bytes that are free; none if that is not known.
    std::optional<std::uint64_t> free_bytes() const;

    const std::filesystem::path& folder() const noexcept { return folder_; }

    // The name of a file of make(), for as long as it lives.
    class name {
    public:
        name(spool_area& area, int file, std::string_view peer_name);
        ~name();
        name(const name&) = delete;
        name& operator=(const name&) = delete;
        const std::string& path() const noexcept { return path_; }

    private:
        std::string path_;
    };

private:
    void make_private_folder();
    void remove_what_others_left() const;

    const std::filesystem::path folder_;
    std::filesystem::path private_folder_;
    unique_fd lock_;  // of the private folder
    std::atomic<std::uint64_t> next_{1};
};

// ".stl" of "models/skull.stl": an ending that programs go by, and that means nothing to a shell or a path; else "".
std::string safe_ending(std::string_view peer_name);

}  // namespace wherry::exec
