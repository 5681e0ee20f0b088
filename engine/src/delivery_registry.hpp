// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "claimed_delivery.hpp"
#include "frame.hpp"
#include "record.hpp"
#include "wherry/mutex.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// Keeps what a receiver knows of deliveries across connections. A sender that connects again thus neither delivers
// twice nor competes with its older connection. It keeps:
// - what is under way over which connection. A newer attempt takes a delivery away from an older one; the older one is
//   aborted first, on the newer one's thread, so that a sink never has two that go on with one partial;
// - how deliveries ended whose senders may not have heard of it.
// All of it is per identity: nothing that one peer says reaches what another began. Peers without a key are one and
// the same peer here, and only the delivery id, which is as hard to guess as a key, tells theirs apart.
// Thread-safety: all functions from any thread.
class delivery_registry final : private delivery_ends {
public:
    using connection_number = std::uint64_t;

    // The connection that makes an offer. Everything is borrowed for the call but `link`, which the claim keeps until
    // its delivery is over.
    struct claimant {
        connection_number number;
        connection& link;
        std::shared_ptr<const last_heard> heard;
        const identity& peer;
        std::chrono::milliseconds ping_interval;
        std::function<bool()> must_stop;      // ends a wait for another connection; asked with the registry's lock held
        std::set<connection_number>& living;  // what this connection has found out about others
    };

    // Either the claim, under which the sink may begin, or how this delivery ended before.
    struct claim {
        std::unique_ptr<claimed_delivery> delivery;
        std::optional<earlier_result> earlier;
    };

    // Numbers connections; each has one of its own.
    connection_number new_connection();

    // Claims what is offered, and takes it away from an earlier claimant first. The same delivery (by its id) is taken
    // from an older connection at once, and that connection is cut: its sender has left it. The same item (kind, name,
    // size, time) that wants a resume is taken only from a connection that seems dead, for two senders with one key may
    // well send alike files at the same time; to tell that takes up to three of the peer's pings. Throws error:
    // protocol if this connection has the same delivery under way; disconnected if a newer one has, or if `must_stop`
    // says so.
    claim take(const claimant& taker, const offer_frame& offered);

    // Makes every take() that waits ask its `must_stop` again.
    void look_again() noexcept;

    // Forgets the results that were answered over this connection: the peer has them.
    void forget(connection_number number, const identity& peer);

    // For tests: how many ended deliveries are remembered.
    std::size_t remembered() const;

private:
    using under_way = delivery_under_way;

    struct remembered_result {
        sha256_digest what;
        earlier_result ended;
        std::chrono::steady_clock::time_point when;
        connection_number number;
    };
    struct known_peer {
        std::map<delivery_id, std::shared_ptr<under_way>> by_id;
        std::map<sha256_digest, std::shared_ptr<under_way>> by_item;
        std::map<delivery_id, remembered_result> results;
        std::deque<delivery_id> order;          // of results, the oldest first
        std::deque<delivery_id> with_response;  // of those whose response is kept
        std::size_t response_bytes = 0;

        bool empty() const noexcept { return by_id.empty() && by_item.empty() && results.empty(); }
        void forget_result(std::map<delivery_id, remembered_result>::iterator entry);
        // Behind forget_result(): the queues hold what `results` does.
        void tidy();
    };

    void ended(const under_way& what) noexcept override;
    void finished(const under_way& what, earlier_result how) override;
    void drop_outdated() WHERRY_REQUIRES(mutex_);

    mutable mutex mutex_;
    condition changed_;  // a delivery that was under way is over, or look_again() was called
    std::map<std::string, known_peer, std::less<>> peers_ WHERRY_GUARDED_BY(mutex_);  // by fingerprint
    connection_number last_number_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::chrono::steady_clock::time_point next_tidying_ WHERRY_GUARDED_BY(mutex_);
};

}  // namespace wherry
