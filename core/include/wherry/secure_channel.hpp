// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "wherry/cipher.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"
#include "wherry/transport.hpp"

namespace wherry {

struct channel_options {
    // For the preface and the handshake as a whole, so that a peer that says nothing, or little, is soon rid of.
    std::chrono::milliseconds handshake_timeout = clocks::handshake_timeout;
    // Silence after which the peer counts as gone. Live peers say PING every clocks::ping_interval; keep this well
    // above.
    std::chrono::milliseconds io_timeout = clocks::io_timeout;
    // A side that has had nothing to say for this long says PING.
    std::chrono::milliseconds ping_interval = clocks::ping_interval;
};

// A connection on which sealed records can flow: the preface and the cipher's handshake are done, or, for an initiator,
// done as far as they must be before it may send.
class secure_channel {
public:
    // Opens `link` as initiator or responder. `cipher_name` goes into the preface, where two sides that disagree get a
    // clear error: disconnected with EPROTONOSUPPORT, or protocol as responder. Throws error: protocol (no wherry
    // there), auth_failed, integrity, disconnected, timed_out. After a failure as responder the peer has had time to
    // read why.
    static std::unique_ptr<secure_channel> open(role side, std::shared_ptr<connection> link, cipher& protection,
                                                std::string_view cipher_name, const peer_verifier& verify,
                                                const channel_options& options);
    ~secure_channel();

    // What is left of the opening before the first record is read: an initiator learns here whether it was accepted.
    // Once, by the thread that reads, while another may write. Throws as open() does.
    void complete();

    role side() const noexcept { return side_; }
    const channel_options& timing() const noexcept { return options_; }
    connection& link() noexcept { return *link_; }
    const std::shared_ptr<connection>& shared_link() const noexcept { return link_; }
    cipher_session& protection() noexcept { return *protection_; }

    const identity& peer() const noexcept { return protection_->peer(); }
    std::string_view peer_address() const noexcept { return link_->peer_address(); }
    std::string_view describe() const noexcept { return protection_->describe(); }
    std::optional<key_exchange> exchanged() const noexcept { return protection_->exchanged(); }

private:
    class opening_stream;

    secure_channel(role side, std::shared_ptr<connection> link, const channel_options& options);

    const role side_;
    const std::shared_ptr<connection> link_;
    const channel_options options_;
    std::unique_ptr<opening_stream> opening_;  // until complete()
    std::unique_ptr<cipher_session> protection_;
};

// Once this side writes no more: reads and drops what comes until the peer closes, for two seconds at most. Closing at
// once, with something unread, would take back what was written last.
void await_close(connection& link) noexcept;

}  // namespace wherry
