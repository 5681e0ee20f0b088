#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

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
    // last written `lifetime` ago (zero: nothing is kept). It does so again every `clear_every`, on a thread of its
    // own, and never touches what a delivery, here or in another process, works on.
    partial_area(const folder_tree& tree, std::chrono::milliseconds lifetime);
    partial_area(const folder_tree& tree, std::chrono::milliseconds lifetime, std::chrono::milliseconds clear_every);
    // Removes the area if it is empty.
    ~partial_area();
    partial_area(const partial_area&) = delete;
    partial_area& operator=(const partial_area&) = delete;

    // A new one.
    partial_file make_new();

    // The one with this key (hexadecimal digits), new or from before. A new one without the right to be kept, where
    // another delivery has the key's, or nothing is kept. What is larger than `limit` is dropped.
    partial_file open_kept(const std::string& key, std::uint64_t limit);

    // Bytes that are kept, without the files of these names.
    std::uint64_t kept_bytes(const std::set<std::string>& except);

private:
    std::shared_ptr<const unique_fd> folder();
    void forget(const std::shared_ptr<const unique_fd>& gone);
    unique_fd open_area();
    partial_file open_file(const std::string& name, int flags);
    void clear();
    bool may_stay(const std::string& name, const struct stat& file) const;
    void clear_now_and_then(const std::stop_token& stop, std::chrono::milliseconds every);

    const folder_tree& tree_;
    const std::chrono::milliseconds lifetime_;
    const std::string new_names_;  // begin with this, which no other area's do
    std::atomic<std::uint64_t> last_new_{0};
    std::mutex mutex_;
    std::shared_ptr<const unique_fd> folder_;
    std::mutex waiting_;
    std::condition_variable_any stopped_;
    std::jthread clearing_;  // last: it uses the rest
};

}  // namespace wherry::filesystem
