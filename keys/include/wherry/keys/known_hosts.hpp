// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/cipher.hpp"
#include "wherry/keys/authorized_keys.hpp"
#include "wherry/keys/public_key.hpp"

namespace wherry::keys {

inline constexpr std::size_t max_address_bytes = 1024;

// The receivers' keys that a sender has seen: a text file with lines "ADDRESS TYPE BASE64 [COMMENT]", separated by
// blanks or tabs. ADDRESS is a destination in its canonical form, "tcp://192.168.1.5:9417", in letters of either case.
// The word "key-exchange=post-quantum" or "key-exchange=classical" in the comment says what the best key exchange with
// the receiver was. The rest is as for authorized_keys, but the file may have 4 MiB. Every function that reads it
// throws error(errc::auth_failed) if it has a control character other than tabs and line ends.
// Thread-safety: const functions from any thread. Changes are safe against those by other threads and processes.
class known_hosts {
public:
    explicit known_hosts(std::filesystem::path path) : path_(std::move(path)) {}

    struct entry {
        std::size_t line;  // from 1
        std::string address;
        public_key key;
        std::string comment;
    };
    struct listing {
        std::vector<entry> entries;
        std::vector<skipped_line> skipped;
        // The skipped lines themselves, in the same order: each may have held the key of the address it begins with.
        std::vector<std::string> unread;
    };

    const std::filesystem::path& path() const noexcept { return path_; }

    // Parses the text as read() does: skips lines that do not parse, throws if it is not a text file.
    static listing parse(std::string_view text);
    listing read() const;

    // The keys known for this address; mostly none or one.
    std::vector<public_key> find(std::string_view address) const;

    enum class verdict {
        known,    // this key is known for this address
        unknown,  // no key is known for this address: first contact
        changed,  // only other keys are known for it
    };
    // Throws error(errc::auth_failed) instead of returning `unknown` if a line may be about this address. Such a line
    // cannot be parsed, or has the address with an invisible character; it may have held another key.
    verdict check(std::string_view address, const public_key& key) const { return check(read(), address, key); }
    // The same for a result of read().
    verdict check(const listing& all, std::string_view address, const public_key& key) const;

    // Appends the key for this address; not needed if it is there. Throws error(errc::auth_failed) if another key is
    // known for it by now (remove that one first), or where check() does; bad_input for an address with blanks or
    // control characters, or without "://". Words of the comment that begin with "key-exchange=" are left out: others
    // may have written it, and only note_exchange() says what was used.
    change remember(std::string_view address, const public_key& key, std::string_view comment = {}) const;

    // Returns the best key exchange that lines with this address and key tell of.
    static std::optional<key_exchange> best_exchange(const listing& all, std::string_view address,
                                                     const public_key& key);

    // Writes into the comment of the key's line that this key exchange was used; not needed where lines tell of it, or
    // of a better one, and where there is no such line. Throws error: bad_input if its comment has no room.
    change note_exchange(std::string_view address, const public_key& key, key_exchange used) const;

    // Removes every line with this address, one that cannot be read included, or this fingerprint; returns how many.
    std::size_t remove(std::string_view address_or_fingerprint) const;

private:
    std::filesystem::path path_;
};

}  // namespace wherry::keys
