#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/bytes.hpp"
#include "wherry/dialer.hpp"
#include "wherry/endpoint.hpp"
#include "wherry/exchange.hpp"
#include "wherry/retry.hpp"
#include "wherry/sources.hpp"
#include "wherry/trust.hpp"

namespace wherry {

// Something to send: made by the functions below. What is wrong with it is told in its result.
class item {
public:
    explicit item(std::function<void(sending_plan&)> plan) : plan_(std::move(plan)) {}
    // Adds what it stands for.
    void plan(sending_plan& into) const { plan_(into); }

private:
    std::function<void(sending_plan&)> plan_;
};

item message(std::string text);
// A regular file, read when its turn comes; it arrives under the last component of its path, or as `name`.
item file(std::filesystem::path path, std::string name = {});
// A folder with all that is in it; each file and folder has a result of its own.
item folder(std::filesystem::path path, symlinks links = symlinks::skip);
// What is in memory, to arrive under this name as if it had been piped in.
item data(std::string name, std::string_view content);
item data(std::string name, const_bytes content);
// Whatever `open` gives. It is called once for each attempt, on the thread of send(), and gives all of it each time, or
// throws. `name` is what the source's offer says.
item from(std::string name, std::function<std::unique_ptr<source>()> open);

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
    // As exchange_observer::sending(), and for each attempt.
    virtual void sending(std::size_t index, transfer_id, const offer&, std::uint64_t resumed_from) {
        (void)index, (void)resumed_from;
    }
    virtual void sent_so_far(transfer_id, std::uint64_t bytes) { (void)bytes; }
    // The transfer is over without a result: another attempt may settle its item.
    virtual void withdrawn(transfer_id) {}
    // Once for each item: its result.
    virtual void ended(const ended_item&, const delivery_result&) {}
    // As exchange_observer::streams().
    virtual void streams(std::size_t joined, std::size_t wanted, const std::string& why_fewer) {
        (void)joined, (void)wanted, (void)why_fewer;
    }
    // Another attempt follows after next.wait. Transfers without a result have gone with the connection. Without a wait
    // it is about a connection that was kept, and is opened again at once.
    virtual void retrying(const error& why, const next_attempt& next) { (void)why, (void)next; }
};

struct send_options {
    session_options timing;
    // What to do with a receiver whose key is not known: refuse to send, unless `meeting` accepts it (report), or
    // remember the key, and trust it from then on.
    first_contact new_peer = first_contact::report;
    exchange_options::digest digest = exchange_options::digest::none;
    exchange_options::compression compression = exchange_options::compression::automatic;
    // Go on with files, from 1 MiB on, of which the receiver has a part.
    resuming resume = resuming::wanted;
    // How many times in a row to try again when the link is lost or not there, or the receiver answers `exhausted`.
    // See retry_schedule for the pauses.
    unsigned retry = 0;
    // Connections that carry it, 1 to limits::max_streams: more than one where the path has a long delay or loses
    // packets. Where fewer can be had, those do.
    std::size_t streams = 1;
    // Called from threads of the exchange, one call at a time; must not throw, and must return soon. It
    // may ask for a stop.
    std::function<void(const send_progress&)> progress;
    // Told of each item and its result, and of each attempt. May be null; else outlives the sending.
    send_observer* observer = nullptr;
    // Told of each connection, and asked about a receiver whose key is not known. May be null; else as the other.
    dial_observer* meeting = nullptr;
    // Ends it: what is not delivered yet is cancelled in order, or, where that takes long, by cutting the link. While
    // it is still being connected, when that has ended or failed.
    std::stop_token stop;
    // Called before a stop cuts a link, because a plugin may hang in that; from any thread, must not throw.
    std::function<void()> before_cut;
};

// What these say of an exchange, but for an opener of further streams.
exchange_options exchange_options_of(const send_options& options);

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
    std::uint64_t bytes = 0;                // content of those delivered, without what was resumed
    std::uint64_t bytes_on_link = 0;        // what that took on the link: less where it was compressed
};

struct send_result : send_counts {
    std::vector<item_result> failures;   // of items that are not delivered, by index; see send_observer for all
    std::vector<skipped_entry> skipped;  // found in folders, but neither a file nor a folder
    std::optional<error> ended_by;       // ended all of it before each item had a result of its own

    bool ok() const noexcept { return failed == 0; }  // all items are delivered
};

// Sends items to the receiver at `destination`, "tcp://host:9417", over one connection or several, and waits for each
// one's result. Returns when all have one; that some have failed is told there. The observer is told each result, also
// before it throws. Throws error where nothing was
// delivered, nor may have been, for a reason that is none of the items': bad_input for a destination, a plugin or a key
// that will not do; auth_failed for a receiver whose key is not known or has changed, or who does not let this side in;
// disconnected, timed_out; cancelled after a stop.
// Thread-safety: any number at once, also with one endpoint.
send_result send(const endpoint& here, std::string_view destination, const std::vector<item>& items,
                 const send_options& options = {});
// The same for a plan. REQUIRES: it has an item.
send_result send(const endpoint& here, std::string_view destination, const sending_plan& plan,
                 const send_options& options = {});

}  // namespace wherry
