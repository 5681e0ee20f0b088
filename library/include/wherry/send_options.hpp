// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/dialer.hpp"
#include "wherry/retry.hpp"
#include "wherry/sources.hpp"
#include "wherry/transfer.hpp"
#include "wherry/trust.hpp"

// How a sending is done, who is told how it goes, and how it ended.
namespace wherry {

// How far one item is.
struct send_progress {
    std::size_t index;  // of the item, in the order given, with what folders hold in their place
    const offer& what;
    std::uint64_t bytes;  // sent so far, or known to the receiver from before
};

// What a failure concerns: one item, or all that was under way on the connection.
enum class failure_scope { item, connection };

// An item that has its result. Valid during the call that gets it.
struct ended_item {
    std::size_t index;                    // as send_progress::index
    std::optional<transfer_id> transfer;  // that it ended with; none: it was not announced
    const offer& what;                    // of an item that was not announced: its kind and name
    failure_scope scope;                  // of its failure
};

// Told how a sending goes. An item is told with its index, as in send_progress; a transfer id is valid for one
// connection.
// Calls come from any thread, several at once. They must return soon, must not throw, and must not call back into the
// sending.
class send_observer {
public:
    virtual ~send_observer() = default;

    // The item is read from a pipe or a terminal from now on.
    virtual void reading_pipe(std::size_t index) { (void)index; }
    // As sending_observer::sending(), and for each attempt.
    virtual void sending(std::size_t index, transfer_id, const offer&, std::uint64_t resumed_from) {
        (void)index, (void)resumed_from;
    }
    virtual void sent_so_far(transfer_id, std::uint64_t bytes) { (void)bytes; }
    // The transfer is over without a result: another attempt may settle its item.
    virtual void withdrawn(transfer_id) {}
    // Once for each item: its result.
    virtual void ended(const ended_item&, const delivery_result&) {}
    // As sending_observer::streams().
    virtual void streams(std::size_t joined, std::size_t wanted, const std::string& why_fewer) {
        (void)joined, (void)wanted, (void)why_fewer;
    }
    // Another attempt follows after next.wait. Transfers without a result have gone with the connection. Without a wait
    // it is about a connection that was kept, and is opened again at once.
    virtual void retrying(const error& why, const next_attempt& next) { (void)why, (void)next; }
};

enum class updating { no, wanted };

struct send_options {
    channel_options timing;
    // What to do with a receiver whose key is not known: refuse to send, unless `meeting` accepts it (report), or
    // remember the key, and trust it from then on.
    first_contact new_peer = first_contact::report;
    sender_options::digest digest = sender_options::digest::none;
    sender_options::compression compression = sender_options::compression::automatic;
    // Go on with files, from 1 MiB on, of which the receiver has a part.
    resuming resume = resuming::wanted;
    // Ask of every file, not only of a large one, whether the receiver has it, and send what it has not. Takes a digest
    // of what is there, on both sides. Of no effect without `resume`.
    updating update = updating::no;
    // How many times in a row to try again when the link is lost, not there or damages data, or there is no room.
    // See retry_schedule for the pauses.
    unsigned retry = 0;
    // Connections that carry it, 1 to limits::max_streams: more than one where the path has a long delay or loses
    // packets. Where fewer can be had, those do.
    std::size_t streams = 1;
    // Called from threads of the sending, one call at a time; must not throw, and must return soon. It
    // may ask for a stop.
    std::function<void(const send_progress&)> progress;
    // Told of each item and its result, and of each attempt. May be null; else outlives the sending.
    send_observer* observer = nullptr;
    // Told of each connection, and asked about a receiver whose key is not known. May be null; else as the other.
    dial_observer* meeting = nullptr;
    // Ends it: connecting at once, if the transport can be aborted; what is not delivered yet is cancelled in order,
    // or, where that takes long, by cutting the link.
    std::stop_token stop;
    // Called before a stop cuts a link, because a plugin may hang in that; from any thread, must not throw.
    std::function<void()> before_cut;
};

// What these say to a sender, but for an opener of extra connections.
sender_options sender_options_of(const send_options& options);

// How one item ended.
struct item_result : delivery_result {
    item_result(const ended_item& item, const delivery_result& result)
        : delivery_result(result), index(item.index), kind(item.what.kind), name(item.what.name) {}

    std::size_t index;  // as send_progress::index
    item_kind kind;
    std::string name;

    // What the receiver answered; untrusted, see printable().
    std::string_view response_text() const noexcept { return as_text(response); }
};

struct send_counts {
    std::size_t delivered = 0, failed = 0;  // items
    std::size_t already_there = 0;          // of those delivered: stored before, with the same content
    std::uint64_t bytes = 0;                // content of those delivered, without what was resumed
    std::uint64_t bytes_on_link = 0;        // what that took on the link: less where it was compressed
};

struct send_result : send_counts {
    std::vector<item_result> failures;   // of items that are not delivered, by index; see send_observer for all
    std::vector<skipped_entry> skipped;  // found in folders, but neither a file nor a folder
    std::optional<error> ended_by;       // ended all of it before each item had a result of its own

    bool ok() const noexcept { return failed == 0; }  // all items are delivered
};

}  // namespace wherry
