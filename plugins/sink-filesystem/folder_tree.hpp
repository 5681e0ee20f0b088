// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wherry/error.hpp"
#include "wherry/mutex.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::filesystem {

class space_ledger;

enum class durability { synced, lazy };

// The folder that a sink fills, and the way to what is beneath it. Symbolic links beneath are never followed, by
// openat2() or, where that does not get there, by one openat() for each component: nothing planted or swapped meanwhile
// leads out.
// Thread-safety: all functions from any thread.
class folder_tree {
public:
    // Opens the folder, or makes it (mode 0700, for what arrives may be private). Throws error.
    folder_tree(const std::string& path, durability how);

    int root() const noexcept { return root_.get(); }
    // What the folder is called in messages. They go to senders, whose business its path is not.
    const std::string& shown() const noexcept { return shown_; }

    // True once for each folder that make_folders() has made: whose attributes are the sender's to set.
    bool take_made(const struct stat& folder) const;

    // Gives a folder a mode. A folder_writing there lends its owner the right to write for as long as it is there.
    // Throws error that begins with `attempt`.
    void set_mode(int folder, mode_t mode, std::string_view attempt) const;

    // Permission bits that what arrives never has: those of the umask that the process began with.
    mode_t masked() const noexcept { return masked_; }

    // Opens the folder with these components beneath the root; not open where one is missing. Throws
    // error(errc::refused) where something else has one of the names.
    unique_fd open_folder(std::span<const std::string> components) const;
    // The same, but makes what is missing (durably, unless lazy). Throws error(errc::exhausted) where the quota does
    // not allow it.
    unique_fd make_folders(std::span<const std::string> components, space_ledger& ledger) const;
    // Returns the components with another name for each folder whose name something else has, which is no symbolic
    // link: the first numbered one that a folder has, or nothing. So all items of a folder come into one.
    std::vector<std::string> beside_files(std::vector<std::string> components, std::size_t folders) const;

    // The same as make_folders(), for a delivery that has come whole: waits up to 10 s for free descriptors.
    unique_fd make_folders_at_finish(std::span<const std::string> components, space_ledger& ledger) const;

    // Returns the group that this folder gives to what is made in it, by its set-group-id bit; none without the bit. Of
    // a folder that is still to be made, it is what the nearest one above gives. Throws as open_folder().
    std::optional<gid_t> group_given_by(std::span<const std::string> components) const;

    // Opens a file for reading. Not open where there is none, or it cannot be read. Throws error(errc::exhausted) if
    // descriptors are lacking.
    unique_fd open_file(const std::vector<std::string>& components) const;

    // The entry itself, a symbolic link included; none where there is none.
    std::optional<struct stat> look_at(int folder, const std::string& name) const;

    // Writes down what the folder or file holds, unless lazy. `attempt` is for the message.
    void sync(int fd, std::string_view attempt) const;

    // Syncs the whole file system, unless lazy. Returns false if that fails.
    bool sync_disk() const noexcept;

    // Free bytes on the disk; none where the file system does not say.
    std::optional<std::uint64_t> free_bytes() const noexcept;

    // Throws the error that `code` means here: "ATTEMPT: why; what to do".
    [[noreturn]] void fail(std::string_view attempt, int code) const;
    // The same, where the attempt was to give something that is there a name in the folder `fd` with these components.
    [[noreturn]] void fail_in(std::span<const std::string> folder, int fd, std::string_view attempt, int code) const;

private:
    friend class folder_writing;

    using folder_id = std::pair<dev_t, ino_t>;
    struct written_folder {
        unsigned writings = 0;
        std::optional<mode_t> lent_from;  // the mode that it gets back after the last of them
    };

    struct reason {
        errc what;
        std::string why;
    };

    reason explain(int code) const;
    bool is_out_of_inodes() const noexcept;
    bool is_partial_area(const struct stat& folder) const;
    // In one step; not open where that fails.
    unique_fd open_at_once(std::span<const std::string> components, int flags) const;
    // A folder that another thread is making is there for us, but not yet durable.
    void await_making() const;
    // Makes what is missing, unless `making` is null.
    unique_fd walk(std::span<const std::string> components, space_ledger* making) const;
    unique_fd make_folder(int parent, const std::string& name, space_ledger& ledger) const;
    [[noreturn]] void fail_component(int parent, std::span<const std::string> components, std::size_t index,
                                     int code) const;

    std::string shown_;
    durability how_;
    unique_fd root_;
    dev_t device_ = 0;
    ino_t root_number_ = 0;
    mutable mutex making_;
    mutable std::atomic<int> being_made_{0};
    mutable std::set<folder_id> made_ WHERRY_GUARDED_BY(making_);
    mutable mutex writing_;  // taken behind making_
    mutable std::map<folder_id, written_folder> written_ WHERRY_GUARDED_BY(writing_);
    bool is_root_;
    mode_t masked_;
};

// While it is there, this user may write in a folder of its own beneath the root: one that lacks only the right to
// write gets it, and the last folder_writing there takes it away again.
class folder_writing {
public:
    // `tree` and the descriptor outlive it.
    folder_writing(const folder_tree& tree, int folder);
    folder_writing(folder_writing&& other) noexcept;
    folder_writing& operator=(folder_writing&&) = delete;
    ~folder_writing();

    // Calls put() again while it fails with EACCES and the right can be lent: another receiver may take away the one
    // that it had lent. put() returns whether it is done; errno says why not.
    template <class Put>
    bool lending(Put&& put) {
        for (int left = most_lendings; !put(); --left)
            if (errno != EACCES || left == 0 || !lend()) return false;
        return true;
    }
    // Returns whether the right is there now, as far as the mode tells. Keeps errno.
    bool lend() noexcept;

private:
    // A folder may refuse for another reason, and a file system may take a mode and not keep it.
    static constexpr int most_lendings = 16;

    const folder_tree* tree_;  // null: it was moved
    int folder_;
    folder_tree::folder_id id_;
};

// Whether the code says that the file system has no such call, or none of what it would set.
bool is_beyond_file_system(int code) noexcept;

// Whether it says that the file system has no locks.
bool is_lack_of_locks(int code) noexcept;

// Renames within one file system, failing with EEXIST where `to_name` exists: 0, or -1 and errno. Where the file system
// has nothing for that, `is_exclusive` becomes false: the name is looked at before, and a file that a program other
// than a receiver gives it in between is replaced.
int rename_exclusively(int from_folder, const std::string& from_name, int to_folder, const std::string& to_name,
                       bool& is_exclusive) noexcept;

// The same by a hard link, for file systems that cannot rename so. The second step may fail and leave `from_name`.
int link_exclusively(int from_folder, const std::string& from_name, int to_folder, const std::string& to_name) noexcept;

// Opens the next component. REQUIRES: the component holds no '/'.
unique_fd open_component(int parent, const std::string& component) noexcept;

// Whether the failure was a lack of descriptors. Other deliveries release theirs when they end.
bool is_out_of_descriptors(const error& e) noexcept;

// Returns what `open` returns; calls it again for up to 10 s while descriptors are lacking. Only for a delivery that
// has come whole.
unique_fd when_descriptors_are_free(const std::function<unique_fd()>& open);

// Calls visit(descriptor of the folder, name) for each entry of the folder at `path` beneath `parent`, but for "." and
// "..". A folder that cannot be read has none. Throws error(errc::exhausted) if descriptors or memory are lacking.
void for_each_entry(int parent, const std::string& path,
                    const std::function<void(int folder, const std::string& name)>& visit);

}  // namespace wherry::filesystem
