// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <memory>
#include <optional>

#include "wherry/error.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/transfer.hpp"

namespace wherry::engine {

// Sends items to one peer over one secure channel, whichever side connected. Many transfers are in flight; none waits
// for the one before it, except for its bytes. An item that the peer offers is refused.
//
// Use: construct; send() items; finish(). One thread calls all functions but those that say otherwise. A reader thread
// runs from the first call of announce(), await_entry(), settle() or finish() to the end.
class sender {
public:
    // `observer` and `options.opener` outlive the sender.
    sender(std::unique_ptr<secure_channel> channel, sender_options options, sending_observer& observer);
    // Cuts the link unless finish() has returned; the peer then aborts what is in flight.
    ~sender();
    sender(const sender&) = delete;
    sender& operator=(const sender&) = delete;

    // Announces an item, and returns its id. REQUIRES: at most limits::max_open_transfers are announced and not sent.
    transfer_id announce(source& item, const delivery_attempt& attempt = {});
    // Sends the content of an announced item. Returns when its last byte is in a record, which flush() may still have
    // to send, or when the transfer has ended otherwise (refused, say, or its source failed); the observer is told its
    // result then or later.
    // Throws if the sending failed: error disconnected, timed_out, auth_failed, integrity, protocol, cancelled.
    // The source is not used after it returns.
    void send(transfer_id id, source& item);
    void send(source& item) { send(announce(item), item); }

    // Sends what is waiting for a record to fill up.
    void flush();
    // Sends that, waits for the result of everything that was sent, and leaves the channel open for more.
    // Throws as send().
    void settle();
    // Waits until the peer has let this side in, which otherwise the first results tell. Throws as send().
    void await_entry();
    // Waits for every result, and says BYE. Throws if the sending failed before; the observer has then been told a
    // failure for every transfer that was not answered.
    void finish();

    // From any thread. Why nothing more can be sent: the sending failed, or the peer takes no more.
    std::optional<error> why_over() const;
    // From any thread; also from a watcher of signals. send() then throws errc::cancelled.
    void cancel() noexcept;
    // From any thread. Cuts the link.
    void abort() noexcept;

    const secure_channel& channel() const noexcept;

private:
    struct implementation;
    std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry::engine
