// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "folder_tree.hpp"
#include "wherry/mutex.hpp"
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

// The folder where deliveries grow. It belongs to this user alone, and has mode 0700, so that nobody can swap files
// between their writing and their renaming: a folder or file of that name that is not so is left alone, and the next
// name is tried. Files named "new-..." belong to one delivery and are of no use after it; files
// named "keep-..." can be resumed. Their mode is 0600 until their delivery ends. A receiver that is killed at that
// moment leaves them with the sender's mode and time; open_kept(), or the next clearing, mends these.
//
// Its file "format" has one line, wherry::format_line, for the whole area. Versions without formats pass it over.
//
// Each file has a lock, and so has the area. A delivery takes the area's lock shared while it ends: see hold(). Mending
// a file that cannot be opened, and clearing entries that no file's lock protects, take it exclusively.
// Thread-safety: all functions from any thread.
class partial_area {
public:
    // Makes the area if it is missing, mends kept files, and clears what earlier runs left. These are files of no
    // delivery, and kept files last changed `lifetime` ago by this machine's clock (zero: nothing is kept). It clears
    // again every `clear_every`, on a thread of its own, and never touches the files of a delivery under way, here or
    // in another process. A removed file may be an old one that was replaced, so the disk is synced first, unless lazy;
    // if that fails, nothing is removed. Throws error(errc::unsupported) for an area of a newer format, here and
    // wherever the area is opened again.
    partial_area(const folder_tree& tree, std::chrono::milliseconds lifetime);
    partial_area(const folder_tree& tree, std::chrono::milliseconds lifetime, std::chrono::milliseconds clear_every);
    // Removes the area if it is empty.
    ~partial_area();
    partial_area(const partial_area&) = delete;
    partial_area& operator=(const partial_area&) = delete;

    // A new one.
    partial_file make_new();

    // Opens the kept file with this key (hexadecimal digits), or makes it. Makes a new file that may not be kept, if
    // another delivery has the key's, or nothing is kept. A file larger than `limit` is emptied. An entry that has the
    // name and can never be used (a link, a folder, another user's file) gets a "new-..." name, and is cleared as such.
    partial_file open_kept(const std::string& key, std::uint64_t limit);

    // Takes the area's lock, shared, until the returned object is gone. A delivery holds it from before it sets its
    // file's attributes until the file is in its place and synced, or taken back. In that time even the file's owner
    // may be unable to open it, and an old file may have its name, which a failed sync restores. All holders share one
    // descriptor, so that no delivery keeps one from the others while it waits for another. Throws error.
    class held_lock;
    [[nodiscard]] std::shared_ptr<const held_lock> hold();

    // Whether the file system has locks. Without them nothing is kept, for nobody could tell whether it is worked on.
    bool has_locks() const noexcept { return has_locks_; }

    // Gives the file a new name that no other delivery opens, and forbids keeping it. Throws error.
    void detach(partial_file& file);

    // Returns what the quota counts for all kept files, except those of these names.
    std::uint64_t kept_bytes(const std::multiset<std::string>& except);

    // Returns the area itself; makes it if it is missing. Throws error.
    std::shared_ptr<const unique_fd> folder();
    // Returns its name in the sink's folder.
    std::string name() const;
    // Makes folder() open the area again, because somebody has removed this one.
    void forget(const std::shared_ptr<const unique_fd>& gone);

private:
    unique_fd open_area() WHERRY_REQUIRES(mutex_);
    void require_known_format(int folder, const std::string& name) const;
    bool is_own(int folder);
    std::string new_name();
    partial_file open_file(const std::string& name, int flags);
    partial_file open_usable(const std::string& name, int flags);
    bool make_openable(const std::string& name);
    bool set_aside(int folder, const std::string& name);
    void clear();
    bool may_stay(const std::string& name, const struct stat& file) const;
    void remove_abandoned(int folder, const std::string& name, const struct stat& found, bool is_alone) const;
    void clear_now_and_then(std::chrono::milliseconds every);

    const folder_tree& tree_;
    const std::chrono::milliseconds lifetime_;
    const std::string new_names_;  // begin with this, which no other area's do
    std::atomic<std::uint64_t> last_new_{0};
    bool has_locks_ = true;  // set by the constructor
    mutable mutex mutex_;
    std::shared_ptr<const unique_fd> folder_ WHERRY_GUARDED_BY(mutex_);
    std::string name_ WHERRY_GUARDED_BY(mutex_);
    std::atomic<uid_t> owner_;  // whom the file system names as the owner of what this user makes
    mutex holding_;
    std::weak_ptr<const held_lock> held_ WHERRY_GUARDED_BY(holding_);
    mutex waiting_;
    condition stopped_;
    bool is_stopped_ WHERRY_GUARDED_BY(waiting_) = false;
    std::jthread clearing_;  // last: it uses the rest
};

}  // namespace wherry::filesystem
