#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/bytes.hpp"
#include "wherry/endpoint.hpp"
#include "wherry/exchange.hpp"
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
    std::size_t index;  // of its result
    const offer& what;
    std::uint64_t bytes;  // sent so far, or known to the receiver from before
};

struct send_options {
    session_options timing;
    // What to do with a receiver whose key is not known: refuse to send (report), or remember the key, and trust it
    // from then on.
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
    // Ends it: what is not delivered yet is cancelled in order, or, where that takes long, by cutting the link. While
    // it is still being connected, when that has ended or failed.
    std::stop_token stop;
};

// How one item ended.
struct item_result : delivery_result {
    item_kind kind = item_kind::file;
    std::string name;

    // What the receiver answered; untrusted, see printable().
    std::string_view response_text() const noexcept { return as_text(response); }
};

struct send_result {
    std::vector<item_result> items;      // in the order given, with what folders hold in their place
    std::vector<skipped_entry> skipped;  // found in folders, but neither a file nor a folder

    bool ok() const noexcept;  // all items are delivered
};

// Sends items to the receiver at `destination`, "tcp://host:9417", over one connection or several, and waits for each
// one's result. Returns when all have one; that some have failed is told there. Throws error where nothing was
// delivered, nor may have been, for a reason that is none of the items': bad_input for a destination, a plugin or a key
// that will not do; auth_failed for a receiver whose key is not known or has changed, or who does not let this side in;
// disconnected, timed_out; cancelled after a stop.
// Thread-safety: any number at once, also with one endpoint.
send_result send(const endpoint& here, std::string_view destination, const std::vector<item>& items,
                 const send_options& options = {});

}  // namespace wherry
