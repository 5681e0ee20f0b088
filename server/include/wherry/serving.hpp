// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "wherry/cipher.hpp"
#include "wherry/error.hpp"
#include "wherry/limits.hpp"
#include "wherry/receive_all.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/sink.hpp"
#include "wherry/transfer.hpp"

// Options and observer of a server.
namespace wherry {

using connection_id = std::uint64_t;  // from 1 on, in the order of arrival

// Told what happens at a server. Calls for one connection come one at a time, those for different connections at the
// same time from different threads.
class server_observer {
public:
    virtual ~server_observer() = default;

    // The next peer is not served yet, for there is no thread, memory or descriptor for it. Once for each such time.
    virtual void must_wait(const error& why) { (void)why; }

    // The handshake is done. `cipher` describes what was agreed.
    virtual void connected(connection_id, std::string_view address, const identity& peer, std::string_view cipher) {
        (void)address, (void)peer, (void)cipher;
    }
    // This connection carries a part of what comes over the other, earlier one, and has no deliveries of its own.
    virtual void joined(connection_id, connection_id other) { (void)other; }
    virtual void receiving(connection_id, transfer_id, const offer&, std::uint64_t resumed_from) { (void)resumed_from; }
    virtual void received_so_far(connection_id, transfer_id, std::uint64_t bytes) { (void)bytes; }
    virtual void delivered(connection_id, transfer_id, const offer&, const delivery_result&) {}
    // The connection is over; `failure` says why if not in order, a failed handshake included.
    virtual void disconnected(connection_id, std::string_view address, const std::optional<error>& failure) {
        (void)address, (void)failure;
    }
};

// The protocol that peers speak.
struct server_protocol {
    // Null: --raw, all received bytes are delivered (see receive_all); no cipher, no identities. Each silence of
    // raw.idle_timeout ends one delivery. The connection stays open until the peer closes it or the link fails. Such a
    // peer sends only once: the server stores what came before a lost link, a stop or the limit, and reports a failure.
    // It closes the connection after a failed delivery, so that the peer can notice. It also closes the connection of a
    // peer that sends nothing at first for raw.idle_timeout, and of one that is silent later while others wait for a
    // place.
    cipher* protection = nullptr;
    std::string cipher_name;
    // Called for each peer in its handshake, and again for each of its deliveries (see engine::receiver_options), from
    // many threads.
    peer_verifier verify;
    receive_all_options raw;
    bool raw_once = false;  // the end of the first delivery closes its connection
};

struct server_options {
    // The server uses at most a sixteenth of the process's limit of descriptors as max_connections, and an eighth as
    // max_unproved.

    // Served at once; further peers, proved welcome, wait for one of these to end.
    std::size_t max_connections = 256;
    // Peers that have not proved themselves yet. At that number the next peer evicts the oldest one that has sent
    // nothing, or else one at random, but none within its first quarter of a second.
    std::size_t max_unproved = 1024;
    // Connections that may carry what one sender sends, 1 to limits::max_streams. Extra ones count above only until
    // they have joined.
    std::size_t max_streams = limits::usual_streams;
    channel_options timing;
};

}  // namespace wherry
