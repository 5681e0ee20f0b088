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
// further connections, one more reader run beside it.
class receiver {
public:
    // `sink` and `observer` outlive the receiver.
    receiver(std::unique_ptr<secure_channel> channel, sink& sink, receiving_observer& observer,
             receiver_options options = {});
    // Aborts what is in flight.
    ~receiver();
    receiver(const receiver&) = delete;
    receiver& operator=(const receiver&) = delete;

    // Before serve(): waits for the first that the peer says. If this is a further connection of another receiver, it
    // has joined that when this returns its number; serve() then lasts as long as the other. Throws if it may not join,
    // or what serve() throws.
    std::optional<std::uint64_t> find_what_it_joins();

    // Returns when the peer has taken leave, or all has ended after drain(). Throws if the link failed or the peer
    // broke the protocol: error disconnected, timed_out, auth_failed, integrity, protocol.
    void serve();

    // From any thread. Refuses what the peer still offers, and takes leave when what is in flight has ended; serve()
    // then returns when the peer has taken leave, too, or has closed.
    void drain() noexcept;
    // From any thread. Cuts the link, and ends what is being done that takes long.
    void abort() noexcept;

private:
    struct implementation;
    std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry::engine
