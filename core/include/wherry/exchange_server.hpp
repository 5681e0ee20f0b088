#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "wherry/cipher.hpp"
#include "wherry/error.hpp"
#include "wherry/exchange.hpp"
#include "wherry/limits.hpp"
#include "wherry/receive_all.hpp"
#include "wherry/sink.hpp"
#include "wherry/transport.hpp"

namespace wherry {

using connection_id = std::uint64_t;  // from 1 on, in the order of arrival

// Told what happens at a server. Calls for one connection come one at a time, those for different connections at the
// same time from different threads.
class server_observer {
public:
    virtual ~server_observer() = default;

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

// How what a peer says is understood.
struct server_protocol {
    // Null: --raw, whatever comes is delivered (see receive_all); no cipher, no identities. Each silence of
    // raw.idle_timeout ends one delivery, and the connection goes on until the peer closes it, or it fails. Such a peer
    // sends only once: what came before a lost link, a stop or the limit is stored, and told as a failure. A delivery
    // that failed is the last of its connection, so that the peer can notice. A peer that says nothing at first for
    // raw.idle_timeout is let go; one that is silent later has to make room when others wait for a place.
    cipher* protection = nullptr;
    std::string cipher_name;
    // Asked about each peer in its handshake, and again for each of its deliveries (see exchange_options); called from
    // many threads.
    peer_verifier verify;
    receive_all_options raw;
    bool raw_once = false;  // one delivery a connection: the first end of one is the connection's, too
};

struct server_options {
    // Both numbers are less where the process may have few descriptors: a sixteenth and an eighth of its limit.

    // Served at once; further peers, proved welcome, wait for one of these to end.
    std::size_t max_connections = 256;
    // Peers that have not proved themselves yet. When there are that many, the oldest that has not said anything makes
    // room for the next, or else one by lot; each has a quarter of a second for itself.
    std::size_t max_unproved = 1024;
    // Connections that may carry one sender's exchange, 1 to limits::max_streams. Those beyond the first do not count
    // above.
    std::size_t max_streams = limits::usual_streams;
    session_options timing;
};

// Serves many senders at once, each on a thread of its own.
class exchange_server {
public:
    // All references outlive the server. It goes by the limit of descriptors that the process has now.
    exchange_server(listener& from, sink& into, server_protocol protocol, server_options options,
                    server_observer& observer);
    ~exchange_server();
    exchange_server(const exchange_server&) = delete;
    exchange_server& operator=(const exchange_server&) = delete;

    // Nothing, or a sentence for who runs it: the process may have so few descriptors that fewer are served at once
    // than the options wish.
    std::string shortage() const;

    // Accepts until stop(), then returns when every connection has ended. Throws if the listener failed.
    void run();

    // From any thread: accept no more, let what is in flight end for up to `grace`, then cut it. Called again: cut now.
    // A raw connection ends with the first second, or idle timeout, in which nothing came and no delivery is under way.
    void stop(std::chrono::milliseconds grace) noexcept;

private:
    struct implementation;
    std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry
