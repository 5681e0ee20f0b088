// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/keys/public_key.hpp"

namespace wherry::keys {

// A line of a key file that was passed over, for the caller to warn of.
struct skipped_line {
    std::size_t number;  // from 1
    std::string why;
};

enum class change { made, not_needed };

// The keys that a receiver accepts: a text file with one OpenSSH line a key, where blank lines and lines that begin
// with '#' are kept. It is read at each call, so that a change counts at once. A file that is not there has no keys.
// Every function throws error: bad_input if the file is not regular, larger than 1 MiB, holds a NUL, or if it, its
// folder or one above, up to $HOME, belongs to another user but root, or may be written by group or others; exhausted
// without free descriptors or memory; io, also for a dangling symbolic link. Thread-safety: const functions from any
// thread. Changes are safe against those by other threads and processes.
class authorized_keys {
public:
    explicit authorized_keys(std::filesystem::path path) : path_(std::move(path)) {}

    struct entry {
        std::size_t line;  // from 1
        public_key key;
        std::string comment;
    };
    struct listing {
        std::vector<entry> entries;
        std::vector<skipped_line> skipped;
    };

    const std::filesystem::path& path() const noexcept { return path_; }

    // Parses the text as read() does: skips lines that do not parse, throws for a NUL.
    static listing parse(std::string_view text);
    listing read() const;

    // The comment of the line with this key; nothing if there is none.
    std::optional<std::string> find(const public_key& key) const;

    // Appends the key unless it is there already (with whatever comment). Folders that lack are made.
    change add(const public_key& key, std::string_view comment = {}) const;

    // Removes every line with this key, or, by its text, with this fingerprint or comment; returns how many.
    std::size_t remove(const public_key& key) const;
    std::size_t remove(std::string_view fingerprint_or_comment) const;

private:
    std::filesystem::path path_;
};

}  // namespace wherry::keys
