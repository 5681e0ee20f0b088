// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "folder_tree.hpp"
#include "journal_memory.hpp"
#include "journal_record.hpp"
#include "partial_area.hpp"
#include "wherry/mutex.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::filesystem {

// Of a file that gets its name, or has it, now.
journal_entry make_entry(const offer& what, const std::string& fingerprint, std::string path, const file_mark& file);

// Remembers in the partial area which deliveries were stored, so that an answer survives the receiver's death. The
// entry of a delivery with an id is durable before its file gets its name; a mark says later, without a sync of its
// own, that the file has its name and the folder is synced. An entry without a mark counts as stored only if its file
// is found where it belongs, and no delivery is at work on it. Several receivers may share one folder, and so one
// journal. Thread-safety: all functions from any thread.
class journal {
public:
    // Reads what earlier receivers wrote. `tree` and `area` outlive it. Names are remembered for `name_lifetime`; zero:
    // not at all. `warn` is called from any thread. Throws error(errc::unsupported) for a journal of a newer format.
    journal(const folder_tree& tree, partial_area& area, std::chrono::milliseconds name_lifetime,
            std::function<void(const std::string&)> warn);
    // Writes what is pending. Removes a journal that has nothing to remember.
    ~journal();

    // Whether a later offer can refer to this one: it has an id, or is a file with size and time.
    bool is_worth_noting(const offer& what, const std::string& fingerprint) const noexcept;

    // Writes entries of files that are durable and have no name yet. Durable itself at return, if one has an id.
    // Returns their references, or nothing if that failed, which is logged: no delivery fails for want of a journal.
    std::vector<entry_reference> append(std::span<const journal_entry> entries) noexcept;
    // The entry's file has its name, with this number, and its folder is synced. For write_marks() to write.
    void mark_placed(entry_reference entry, std::uint32_t number) noexcept;
    // The entry's delivery has failed: it counts no more, whatever is found. For write_marks() to write.
    void withdraw(entry_reference entry) noexcept;
    // Writes the marks, without a sync: they survive the receiver, and a power cut once the next append() is durable.
    void write_marks() noexcept;
    // Remembers a file that was durable in its place before; a later write takes it along.
    void add_placed(const journal_entry& entry, std::uint32_t number) noexcept;

    struct stored_file {
        std::vector<std::string> components;  // of the name that it got
        std::uint32_t number = 0;             // which makes that name of the wanted one
        file_mark file;
    };
    // Returns where the very delivery of this offer (id, key, kind, name, size, time) was stored.
    // Throws error if descriptors are lacking, and so does find_file().
    std::optional<stored_file> find_delivery(const offer& what, const std::string& fingerprint);
    // Returns where this key stored the offer's file, by name, size and time. It need not stand there any more.
    std::optional<stored_file> find_file(const offer& what, const std::string& fingerprint);
    // That file's content is not the sender's: find_file() returns it no more.
    void forget_file(const std::string& path, const std::string& fingerprint) noexcept;

private:
    using known_entry = journal_memory::known_entry;
    using entry_pointer = journal_memory::entry_pointer;
    class write_lock;

    // Returns where the entry was stored that `find` returns of what is known.
    template <class Find>
    std::optional<stored_file> find(Find&& find);
    bool is_stored(known_entry& entry) WHERRY_REQUIRES(mutex_);

    std::size_t read(const_bytes records) WHERRY_REQUIRES(mutex_);

    bool open(int flags) WHERRY_REQUIRES(mutex_);
    // Reads what other receivers have written since.
    void refresh() WHERRY_REQUIRES(mutex_);
    // The same, with the file's lock held.
    void read_new_records() WHERRY_REQUIRES(mutex_);
    void forget_all() WHERRY_REQUIRES(mutex_);
    std::unique_ptr<write_lock> lock_file() WHERRY_REQUIRES(mutex_);
    void write(const unique_fd& file, const_bytes bytes) const;
    void write_pending_and(std::span<const journal_entry> entries, std::vector<entry_reference>& references)
        WHERRY_REQUIRES(mutex_);
    void write_pending() WHERRY_REQUIRES(mutex_);
    void write_found() noexcept WHERRY_REQUIRES(mutex_);
    void relearn_pending() WHERRY_REQUIRES(mutex_);
    void rewrite(std::span<const entry_pointer> all) WHERRY_REQUIRES(mutex_);
    void warn(const char* consequence, const std::exception& why) const noexcept;
    void end() WHERRY_REQUIRES(mutex_);

    const folder_tree& tree_;
    partial_area& area_;
    const std::chrono::milliseconds name_lifetime_;
    const std::function<void(const std::string&)> warn_;
    mutex mutex_;
    std::shared_ptr<const unique_fd> folder_ WHERRY_GUARDED_BY(mutex_);
    std::shared_ptr<const unique_fd> file_ WHERRY_GUARDED_BY(mutex_);  // null where there is no journal
    bool is_name_durable_ WHERRY_GUARDED_BY(mutex_) = false;           // its folder is synced, and the one above
    std::uint64_t read_ WHERRY_GUARDED_BY(mutex_) = 0;                 // bytes of it that are known here
    std::uint64_t rewrite_at_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::vector<std::byte> pending_ WHERRY_GUARDED_BY(mutex_);  // records for the next write
    bool is_pending_known_ WHERRY_GUARDED_BY(mutex_) = true;    // to known_
    bool has_found_ WHERRY_GUARDED_BY(mutex_) = false;          // is_stored() has put marks into pending_
    bool has_hole_ WHERRY_GUARDED_BY(mutex_) = false;           // a sync failed: it is to be written anew
    journal_memory known_ WHERRY_GUARDED_BY(mutex_);
};

}  // namespace wherry::filesystem
