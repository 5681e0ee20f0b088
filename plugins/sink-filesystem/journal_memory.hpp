// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "journal_record.hpp"
#include "wherry/sink.hpp"

namespace wherry::filesystem {

// What a process knows of a journal's records, within bounds: for a delivery id what the protocol says
// (limits::max_remembered_results of a key, clocks::result_lifetime), and for a name the newest file that a key stored
// under it.
// Used by one thread at a time.
class journal_memory {
public:
    // Names are remembered for `name_lifetime`; zero: not at all.
    explicit journal_memory(std::chrono::milliseconds name_lifetime) : name_lifetime_(name_lifetime) {}

    struct known_entry {
        journal_entry content;
        entry_reference reference = 0;
        std::optional<std::uint32_t> number;  // none: not known to have its name
    };
    using entry_pointer = std::shared_ptr<known_entry>;

    void remember(const entry_pointer& entry);
    // Does what the mark says to its entry, if that is known and has no mark.
    void apply(const placed_mark& mark);
    void forget_file(std::string_view path, const std::string& fingerprint);
    void clear();

    // Each returns the entry that the key's offer refers to: the very delivery (id, kind, name, size, time), or the
    // file (name, size, time). Null where there is none.
    entry_pointer find_delivery(const offer& what, const std::string& fingerprint) const;
    entry_pointer find_file(const offer& what, const std::string& fingerprint) const;

    // Drops what is outdated, and returns the rest, the oldest first.
    std::vector<entry_pointer> tidy();
    // What these take in the journal's file.
    static std::uint64_t bytes_of(std::span<const entry_pointer> entries) noexcept;

private:
    struct known_peer {
        std::map<delivery_id, entry_pointer> by_id;
        std::deque<delivery_id> ids;                        // of by_id, the oldest first
        std::map<std::string_view, entry_pointer> by_path;  // the key is the entry's own path
    };

    static bool is_older(const entry_pointer& one, const entry_pointer& other) noexcept;
    void forget_path(known_peer& peer, std::string_view path);
    void bound_paths();

    const std::chrono::milliseconds name_lifetime_;
    std::map<std::string, known_peer> peers_;  // by fingerprint
    std::size_t path_bytes_ = 0;               // that by_path of all peers takes in the file
    std::unordered_map<entry_reference, std::weak_ptr<known_entry>> unplaced_;
};

}  // namespace wherry::filesystem
