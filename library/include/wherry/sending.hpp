// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/send_options.hpp"

namespace wherry {

// Whether a connection ends with what it delivers, or stays for more.
enum class link_use { once, kept };

// Brings a plan's items to one receiver, over one connection after the other until each item has its result: what
// send() is made of, for a plan that grows while it is sent.
// Thread-safety: stop() from any thread; the rest by one.
class sending {
public:
    // What is referred to outlives it, also by `options`. The plan may grow at its end between calls. `failures` may be
    // null; else it gets the results of items that are not delivered, as they come.
    // Throws error: as dialer, and bad_input for a number of streams that is not possible.
    sending(const endpoint& here, std::string_view destination, const sending_plan& plan, const send_options& options,
            link_use use, std::vector<item_result>* failures = nullptr);
    // Cuts the connection if there is one.
    ~sending();
    sending(const sending&) = delete;
    sending& operator=(const sending&) = delete;

    // "tcp://host:9417", as known_hosts has it.
    const std::string& destination() const noexcept;

    // Takes in items that were added to the plan. Those with a problem get that as their result.
    void plan_has_grown();
    // True if an item of the plan, from `first` on, has no result.
    bool has_anything_left(std::size_t first = 0) const;

    // Delivers the plan's items from `first` on that have no result. Tries again as the options say. Throws error:
    // cancelled after a stop, and what ended the last attempt; items may have no result then: see abandon_rest().
    void deliver(std::size_t first = 0);
    // Delivers all that has no result, as deliver(), and returns what ended it, if that was a failure. Then every item
    // of the plan has its result.
    std::optional<error> deliver_all();
    // Every item of the plan without a result gets one now: the one that was held back for another attempt, or this
    // failure. Also from another thread, if the process is about to end.
    void abandon_rest(const error& why);

    send_counts counts() const;
    // True if the receiver has answered something about at least one item, or may have it.
    bool has_any_answer() const;

    // ---- With link_use::kept ----

    // Connects, and waits until the receiver has let this side in. Throws error.
    void connect();
    // Returns, once, why the connection is gone. The next deliver() connects again.
    std::optional<error> notice_loss();
    // Takes leave as far as that goes; what is unanswered gets its result.
    void close();

    // ---- To end it, from any thread ----

    // What it is at.
    enum class phase {
        idle,          // none of the following
        connecting,    // until the handshake is done
        transferring,  // a connection is in use
        waiting,       // before another attempt
    };
    // Ends what is under way. Connecting is aborted at once. What a connection is used for is cancelled in order, and
    // the link is cut where that takes longer than 3 s; a second call cuts it at once. deliver() makes no further
    // attempt then. Calls `otherwise` where nothing is under way, where connecting has not ended 3 s later or at a
    // second call, as with a transport that cannot be aborted, and where two calls have not ended the use of a
    // connection; nothing else begins meanwhile. Where that returns true, the wait for another attempt ends, also one
    // that begins later in the same deliver().
    void stop(const std::function<bool(phase)>& otherwise);

private:
    struct implementation;
    const std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry
