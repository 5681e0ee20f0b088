#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "folder_tree.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::filesystem {

// A file in the partial area, open for reading and writing and locked for as long as it is: whoever can lock a partial
// file knows that nobody works on it, in this process or in another that receives into the same folder.
struct partial_file {
    std::shared_ptr<const unique_fd> folder;
    std::string name;
    unique_fd fd;
    std::uint64_t present = 0;  // bytes that it had when it was opened
    bool may_be_kept = false;

    void remove() noexcept;
};

// The folder where deliveries grow. Files named "new-..." belong to one delivery and are worthless after it; files
// named "keep-..." can be gone on with. Thread-safety: all functions from any thread.
class partial_area {
public:
    // Makes the area if it is missing, and clears it of what earlier runs left: what belongs to nobody, and what was
    // kept for longer than `keep_for` (zero: for ever).
    partial_area(const folder_tree& tree, std::chrono::milliseconds keep_for);
    // Removes the area if it is empty.
    ~partial_area();
    partial_area(const partial_area&) = delete;
    partial_area& operator=(const partial_area&) = delete;

    // A new one.
    partial_file make_new();

    // The one with this key (hexadecimal digits), new or from before. A new one without the right to be kept, where
    // another delivery has the key's. What is larger than `limit` is dropped.
    partial_file open_kept(const std::string& key, std::uint64_t limit);

    // Bytes that are kept, without the files of these names.
    std::uint64_t kept_bytes(const std::set<std::string>& except);

private:
    std::shared_ptr<const unique_fd> folder();
    void forget(const std::shared_ptr<const unique_fd>& gone);
    unique_fd open_area();
    partial_file open_file(const std::string& name, int flags);
    void clear();
    void clear_when_due();

    const folder_tree& tree_;
    const std::chrono::milliseconds keep_for_;
    std::mutex mutex_;
    std::shared_ptr<const unique_fd> folder_;
    std::chrono::steady_clock::time_point next_clearing_;
};

}  // namespace wherry::filesystem
