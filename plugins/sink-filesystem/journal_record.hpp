// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "file_mark.hpp"
#include "wherry/bytes.hpp"
#include "wherry/sink.hpp"

// The journal's file, byte by byte. All integers are big-endian.
//
//     file   = "wherryJ\n" ‖ u32 format (1) ‖ record*
//     record = u32 length of the body ‖ u64 check: the first 8 bytes of the body's SHA-256 ‖ body
//
// Reading ends at a record that is cut short or has a wrong check; the next writer removes it and all behind it.
namespace wherry::filesystem {

// A delivery, and the file that holds its content: about to get its name, or in its place already.
struct journal_entry {
    std::string fingerprint;  // of its sender's key; "" where the cipher has no keys
    std::optional<delivery_id> id;
    item_kind kind = item_kind::file;
    std::optional<std::uint64_t> offered_size;
    std::optional<file_time> offered_time;
    std::string path;  // that was wanted, beneath the sink's folder
    file_mark file;
    std::int64_t written = 0;  // seconds since 1970-01-01T00:00:00Z, by this machine's clock
};

// By this machine's clock, as journal_entry::written.
std::int64_t seconds_now() noexcept;

// Identifies an entry by the check of its record.
using entry_reference = std::uint64_t;

// The folder of the entry's file is synced; the file got the wanted name, or the one with this number (numbered()).
struct placed_mark {
    // Instead: the delivery has failed.
    static constexpr std::uint32_t withdrawn = 0xFFFF'FFFF;

    entry_reference entry = 0;
    std::uint32_t number = 0;  // 0: the wanted name itself
};

inline constexpr std::size_t journal_header_bytes = 12;
inline constexpr std::size_t most_fingerprint_bytes = 1024;

std::vector<std::byte> journal_header();
// Throws error(errc::unsupported) for a format that is newer than this program, errc::io for a file of another kind.
void require_known_header(const_bytes header);

// The bytes of its record, and of its mark.
std::size_t record_bytes(const journal_entry& entry) noexcept;

// Appends a record to `records`.
entry_reference put(std::vector<std::byte>& records, const journal_entry& entry);
void put(std::vector<std::byte>& records, const placed_mark& mark);

// Calls one of the two for each record from the beginning on, and returns how many bytes those had that are whole. A
// whole record that cannot be parsed is skipped.
std::size_t read_records(const_bytes records, const std::function<void(journal_entry, entry_reference)>& on_entry,
                         const std::function<void(const placed_mark&)>& on_mark);

}  // namespace wherry::filesystem
