// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/cipher.hpp"
#include "wherry/keys/authorized_keys.hpp"
#include "wherry/keys/file_version.hpp"
#include "wherry/keys/known_hosts.hpp"
#include "wherry/mutex.hpp"

namespace wherry {

// A peer without a key, which only a cipher that protects nothing has.
enum class keyless_peers { refuse, accept };

// Returns "FILE line 3 is passed over: WHY", for people.
std::string skipped_text(const std::filesystem::path& file, const keys::skipped_line& line);

// Reports lines of key files that cannot be parsed, each once in the life of this object.
// Thread-safety: all functions from any thread; the callback runs on the caller's.
class skipped_lines {
public:
    using callback = std::function<void(const std::string& text)>;

    explicit skipped_lines(callback tell) : tell_(std::move(tell)) {}
    void tell(const std::filesystem::path& file, const std::vector<keys::skipped_line>& lines);

private:
    const callback tell_;
    mutex mutex_;
    std::set<std::string> told_ WHERRY_GUARDED_BY(mutex_);
};

// Decides which senders a receiver lets in, by the keys in authorized_keys. It checks the file's version each time, and
// reads the file again when that has changed. A key that has just vanished is looked up once more after a moment,
// because an editor may be writing the file.
// Thread-safety: all functions from any thread; the callbacks come from the threads of connections.
class sender_gate {
public:
    struct callbacks {
        std::function<void(const identity& peer)> refused;  // its key is not in the file
        // The file cannot be used, so nobody is let in for now.
        std::function<void(const std::string& why)> cannot_check;
        skipped_lines::callback skipped;  // a line of the file cannot be parsed
    };

    sender_gate(keys::authorized_keys accepted, keyless_peers keyless, callbacks tell)
        : accepted_(std::move(accepted)), keyless_(keyless), tell_(std::move(tell)), skipped_(tell_.skipped) {}

    // For a receiver; borrows this.
    peer_verifier verifier() const {
        return [this](const identity& peer) { return verify(peer); };
    }

    // Returns the number of keys in the file. Throws error if the file cannot be used.
    std::size_t count_keys() const;
    // Returns the label of the peer's key. Throws error: auth_failed if the file lacks the key. Two others say nothing
    // about the peer: io if the file cannot be used; exhausted if descriptors or memory are lacking for 3 s.
    std::string verify(const identity& peer) const;

private:
    struct reading {
        keys::file_version version;
        std::map<std::string, std::string, std::less<>> labels;  // by the line of the key, without comment
    };

    std::optional<std::string> find(const std::string& key) const;
    std::shared_ptr<const reading> read() const;
    std::shared_ptr<const reading> last_reading() const;

    const keys::authorized_keys accepted_;
    const keyless_peers keyless_;
    const callbacks tell_;
    mutable skipped_lines skipped_;
    mutable mutex mutex_;
    mutable std::shared_ptr<const reading> last_ WHERRY_GUARDED_BY(mutex_);  // valid while the file has its version
};

// What to do with a receiver that was never met before.
enum class first_contact { report, remember };

// Whether a sender meets the receiver that it met before at this destination. What it finds is kept, so that a person
// can be asked once the connection is gone: the receiver would not wait.
// Thread-safety: verify() by one thread; the rest when that is done.
class receiver_check {
public:
    // `destination` is as canonical_destination returns it. `skipped` reports lines that cannot be parsed, and outlives
    // this. `accepted` is the key that was accepted at the first contact, where the file could not take it. `met` is
    // the best key exchange that there was with the receiver, where the file may not tell.
    receiver_check(keys::known_hosts known, std::string destination, keyless_peers keyless, first_contact policy,
                   skipped_lines& skipped, std::optional<keys::public_key> accepted = std::nullopt,
                   std::optional<key_exchange> met = std::nullopt)
        : known_(std::move(known)),
          destination_(std::move(destination)),
          keyless_(keyless),
          policy_(policy),
          skipped_(skipped),
          accepted_(std::move(accepted)),
          exchange_before_(met) {}

    // For a secure channel; borrows this.
    peer_verifier verifier() {
        return [this](const identity& peer) { return verify(peer); };
    }

    // Throws error(errc::auth_failed) unless the key is known for the destination, or is remembered now.
    std::string verify(const identity& peer);

    enum class finding {
        nothing,
        known,
        unknown,
        remembered,
        accepted,  // at first contact, but the home cannot be written: why_not_remembered() says more
        changed,
    };
    finding found() const noexcept { return found_; }
    // The peer that it was found for. REQUIRES: found() is not nothing.
    const identity& peer() const noexcept { return *peer_; }
    const std::string& destination() const noexcept { return destination_; }

    // From now on, this key is the destination's. Returns false if the home cannot be written. Throws error.
    bool remember();
    // The reason for that; else empty.
    const std::string& why_not_remembered() const noexcept { return why_not_remembered_; }
    // Compares the key exchange of the open channel with the best one before, and has the file remember a better one.
    // Nothing stands for a cipher that does not tell. A failure to remember fails no connection:
    // why_exchange_not_remembered() says more. For a peer without a key it does nothing.
    void note_exchange(std::optional<key_exchange> used);
    // The best one before this connection; nothing if none is known.
    std::optional<key_exchange> exchange_before() const noexcept { return exchange_before_; }
    enum class exchange_news {
        nothing,
        // It is classical, and none before is known. Told once: the key is new, or the file remembers it from now on.
        classical,
        fallen,  // it was post-quantum before, and is classical, or the cipher does not tell
    };
    exchange_news exchange_finding() const noexcept { return news_; }
    const std::string& why_exchange_not_remembered() const noexcept { return why_exchange_not_remembered_; }

    keys::public_key peer_key() const { return keys::parse_public_key_line(peer_->public_key).key; }

    // The warning for a changed key, over several lines, and how to mend it.
    std::string changed_warning() const;
    // The warning for a key exchange that has fallen, with what the channel describes, over several lines.
    std::string fallen_warning(std::string_view agreed, std::string_view cipher_name) const;

private:
    const keys::known_hosts known_;
    const std::string destination_;
    const keyless_peers keyless_;
    const first_contact policy_;
    skipped_lines& skipped_;
    const std::optional<keys::public_key> accepted_;
    finding found_ = finding::nothing;
    std::optional<identity> peer_;
    std::string why_not_remembered_;
    std::optional<key_exchange> exchange_before_;
    std::optional<key_exchange> used_;
    exchange_news news_ = exchange_news::nothing;
    std::string why_exchange_not_remembered_;
};

// Returns "the cipher NAME protects nothing: WHY", for people.
std::string insecure_text(std::string_view cipher_name);

struct destination_parts {
    std::string scheme;   // "" if there is none
    std::string address;  // what the transport gets
};

// "tcp://host:1" taken apart.
destination_parts split_destination(std::string_view text);

// What known_hosts has a destination under: "tcp://host:9417", in lower case; `default_port` is added to an address
// without one where the transport has ports.
std::string canonical_destination(std::string_view scheme, std::string_view address,
                                  const std::optional<std::string>& default_port);

// A command line that puts this key into authorized_keys: wherry authorize 'ssh-ed25519 AAAA... comment'
std::string authorize_command(const std::string& public_key, std::string_view comment = {});

// `text` for a POSIX shell.
std::string shell_quoted(std::string_view text);

}  // namespace wherry
