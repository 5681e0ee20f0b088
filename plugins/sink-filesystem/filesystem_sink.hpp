// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "folder_tree.hpp"
#include "partial_area.hpp"
#include "space_ledger.hpp"
#include "wherry/sink.hpp"

namespace wherry::filesystem {

// What happens to a file whose name is taken. Messages are always renamed.
enum class existing_policy { rename, refuse, overwrite };

// What an option is unless it is given. The plugin's table shows the same.
namespace defaults {
inline constexpr const char* directory = "transferred_files";
inline constexpr auto existing = existing_policy::rename;
inline constexpr std::uint64_t max_size = 0;
inline constexpr std::uint64_t quota = 0;
inline constexpr auto sync = durability::synced;
inline constexpr std::chrono::milliseconds partial_lifetime = std::chrono::hours(7 * 24);
}  // namespace defaults

struct options {
    std::string directory = defaults::directory;
    existing_policy existing = defaults::existing;
    // The largest file, in bytes; 0: any.
    std::uint64_t max_size = defaults::max_size;
    // Bytes that may lie beneath the folder, partial files included; 0: any number.
    std::uint64_t quota = defaults::quota;
    // Lazy leaves it to the system when data reach the disk: faster, but a power cut may lose what was acknowledged.
    durability sync = defaults::sync;
    // How long a part of an interrupted file is kept for a resume; zero: not at all. It counts from the part's last
    // change, by this machine's clock.
    std::chrono::milliseconds partial_lifetime = defaults::partial_lifetime;
};

// Stores what comes beneath one folder. See folder_tree for what it does about symbolic links and item_name for what
// it does about names.
class sink : public wherry::sink, public group_commit {
public:
    explicit sink(const options& chosen);

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override;

    void finish_group(std::span<ending> all) noexcept override;

private:
    friend class file_delivery;
    friend class folder_delivery;

    // On the disk, for a delivery that needs so much of it.
    std::uint64_t free_bytes_for(std::uint64_t needed);
    std::uint64_t stored_bytes(const std::multiset<std::string>& under_way);

    const options options_;
    folder_tree tree_;
    partial_area partials_;
    space_ledger ledger_;
    // Bytes that deliveries under way have announced and not yet written; the disk must have room for all of them.
    std::atomic<std::uint64_t> expected_{0};
    // What the disk had when it was asked last, and how long that will do.
    std::atomic<std::uint64_t> free_{0};
    std::atomic<std::chrono::steady_clock::time_point> free_until_{};
};

}  // namespace wherry::filesystem
