// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "wherry/secure_channel.hpp"
#include "wherry/sink.hpp"
#include "wherry/transfer.hpp"

namespace wherry::engine {

// Receives items from one peer over one secure channel, whichever side connected, into a sink.
//
// Use: construct; serve(). Its caller is the connection's reader thread; the finisher's threads and, for a peer with
// extra connections, one more reader run beside it.
class receiver {
public:
    // `sink` and `observer` outlive the receiver.
    receiver(std::unique_ptr<secure_channel> channel, sink& sink, receiving_observer& observer,
             receiver_options options = {});
    // Aborts what is in flight.
    ~receiver();
    receiver(const receiver&) = delete;
    receiver& operator=(const receiver&) = delete;

    // Waits for the first record; called before serve(). If this connection joins another receiver, returns that one's
    // number, and serve() then lasts as long as that one. Throws if it may not join, or what serve() throws.
    std::optional<std::uint64_t> find_what_it_joins();

    // Returns when the peer has said BYE, or when the link has ended after this side's BYE. Throws if the link failed
    // or the peer broke the protocol: error disconnected, timed_out, auth_failed, integrity, protocol.
    void serve();

    // From any thread. Refuses what the peer still offers, and says BYE when what is in flight has ended; serve() then
    // returns when the peer has said BYE, too, or has closed.
    void drain() noexcept;
    // From any thread. Cuts the link, and ends what is being done that takes long.
    void abort() noexcept;

private:
    struct implementation;
    std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry::engine
