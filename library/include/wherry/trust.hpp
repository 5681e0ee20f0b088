#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/cipher.hpp"
#include "wherry/keys/authorized_keys.hpp"
#include "wherry/keys/file_version.hpp"
#include "wherry/keys/known_hosts.hpp"

namespace wherry {

// A peer without a key, which only a cipher that protects nothing has.
enum class keyless_peers { refuse, accept };

// "FILE line 3 is passed over: WHY", for people.
std::string skipped_text(const std::filesystem::path& file, const keys::skipped_line& line);

// Tells of lines of key files that are not understood, each once for as long as this lives.
// Thread-safety: all functions from any thread, which the callback comes from.
class skipped_lines {
public:
    using callback = std::function<void(const std::string& text)>;

    explicit skipped_lines(callback tell) : tell_(std::move(tell)) {}
    void tell(const std::filesystem::path& file, const std::vector<keys::skipped_line>& lines);

private:
    const callback tell_;
    std::mutex mutex_;
    std::set<std::string> told_;
};

// Whom a receiver lets in: the keys in authorized_keys, which is looked at each time, and read anew when it is another.
// A key that has just vanished from it is looked for once more after a moment, for an editor may be about to write it.
// Thread-safety: all functions from any thread; the callbacks come from the threads of connections.
class sender_gate {
public:
    struct callbacks {
        std::function<void(const identity& peer)> refused;  // its key is not in the file
        // The file cannot be used; nobody is let in, at least not now.
        std::function<void(const std::string& why)> cannot_check;
        skipped_lines::callback skipped;  // a line of it is not understood
    };

    sender_gate(keys::authorized_keys accepted, keyless_peers keyless, callbacks tell)
        : accepted_(std::move(accepted)), keyless_(keyless), tell_(std::move(tell)), skipped_(tell_.skipped) {}

    // For a receiver; borrows this.
    peer_verifier verifier() const {
        return [this](const identity& peer) { return verify(peer); };
    }

    // How many keys there are to let in, before anyone comes. Throws error if the file cannot be used.
    std::size_t count_keys() const;
    // The label of the peer's key. Throws error: auth_failed; exhausted where the file could not be read for want of
    // descriptors or memory, although it waited for that for 3 s, which says nothing about the peer.
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
    mutable std::mutex mutex_;
    mutable std::shared_ptr<const reading> last_;  // good as long as the file is of its version
};

// What to do with a receiver that was never met before.
enum class first_contact { report, remember };

// Whether a sender meets the receiver that it met before at this destination. What it finds is kept, so that a person
// can be asked once the connection is gone: the receiver would not wait.
// Thread-safety: verify() by one thread; the rest when that is done.
class receiver_check {
public:
    // `destination` as canonical_destination gives it. `skipped` tells of lines that are not understood; it outlives
    // this.
    receiver_check(keys::known_hosts known, std::string destination, keyless_peers keyless, first_contact policy,
                   skipped_lines& skipped)
        : known_(std::move(known)),
          destination_(std::move(destination)),
          keyless_(keyless),
          policy_(policy),
          skipped_(skipped) {}

    // For a session; borrows this.
    peer_verifier verifier() {
        return [this](const identity& peer) { return verify(peer); };
    }

    // Throws error(errc::auth_failed) unless the key is known for the destination, or is remembered now.
    std::string verify(const identity& peer);

    enum class finding { nothing, known, unknown, remembered, changed };
    finding found() const noexcept { return found_; }
    // The peer that it was found for. REQUIRES: found() is not nothing.
    const identity& peer() const noexcept { return *peer_; }
    const std::string& destination() const noexcept { return destination_; }

    // From now on, this key is the destination's. Throws error.
    void remember() const;

    // The warning for a changed key, over several lines, and how to mend it.
    std::string changed_warning() const;

private:
    const keys::known_hosts known_;
    const std::string destination_;
    const keyless_peers keyless_;
    const first_contact policy_;
    skipped_lines& skipped_;
    finding found_ = finding::nothing;
    std::optional<identity> peer_;
};

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
