// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "wherry/error.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/sink.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

class delivery_registry;
class descriptor_reserve;
class join_registry;

// What an exchange of a server is known by, to further connections that are to join it.
struct joinable {
    join_registry& at;
    std::uint64_t number;
};

// Two peers trading items over one secure channel. Either may offer. Many transfers are in flight; none waits for the
// one before it, except for its bytes.
//
// Use: construct; send() items, from one thread; finish(). A side that only receives calls serve() instead.
class exchange {
public:
    // `into` may be null: then what the peer offers is refused. `known` is what exchanges of one receiver share, so
    // that they know of each other's deliveries; null: nobody does. All that is referred to outlives the exchange.
    // Without `by` further connections cannot join. Without `reserve` deliveries may use the last descriptors.
    exchange(std::unique_ptr<secure_channel> over, sink* into, exchange_options options, exchange_observer& observer,
             delivery_registry* known = nullptr, std::optional<joinable> by = std::nullopt,
             const descriptor_reserve* reserve = nullptr);
    // Ends the exchange; what is in flight is aborted on both sides.
    ~exchange();
    exchange(const exchange&) = delete;
    exchange& operator=(const exchange&) = delete;

    // Announces an item, and returns its id. REQUIRES: at most limits::max_open_transfers are announced and not sent.
    transfer_id announce(source& item, const delivery_attempt& attempt = {});
    // Sends the content of an announced item, and returns when the last byte was given to the link or the transfer
    // ended otherwise (refused, say, or its source failed); answered() tells its result then or later.
    // Throws if the exchange failed: error disconnected, timed_out, auth_failed, integrity, protocol, cancelled.
    // The source is not used after it returns.
    void send(transfer_id id, source& item);
    void send(source& item) { send(announce(item), item); }

    // Sends what is waiting for a record to fill up.
    void flush();

    // Sends that, waits for the result of everything that was sent, and leaves the exchange open for more.
    // Throws as send().
    void settle();

    // ---- For a side that sends now and then ----

    // Waits until the peer has let this side in, which otherwise the first results tell. Throws as send().
    void await_entry();
    // Why nothing more can be sent: the exchange failed, or the peer takes no more. From any thread.
    std::optional<error> why_over() const;

    // Waits for every result, and takes leave. Throws if the exchange failed before; answered() has then told a failure
    // for every transfer that was not answered.
    void finish();

    // Before serve(): waits for the first that the peer says. If this is a further connection of another exchange, it
    // has joined that when this returns its number; serve() then lasts as long as the other. Throws if it may not join,
    // or what serve() throws.
    std::optional<std::uint64_t> find_what_it_joins();

    // Receives on the calling thread until the peer takes leave, or all has ended after drain(). Throws if the exchange
    // failed or was cut off.
    void serve();

    // From any thread. Refuses what the peer still offers, and takes leave when what is in flight has ended; serve()
    // then returns when the peer has taken leave, too, or has closed.
    void drain() noexcept;
    // From any thread; also from a watcher of signals. Cancels what this side sends: send() throws errc::cancelled.
    void cancel() noexcept;
    // From any thread. Cuts the link.
    void abort() noexcept;

    const secure_channel& over() const noexcept;

private:
    struct implementation;
    std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry
