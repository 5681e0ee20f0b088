// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <functional>

#include "wherry/serving.hpp"

namespace wherry {

// Receives the deliveries of one raw peer, one after the other. A silence ends a delivery; the connection stays open.
class raw_receiver {
public:
    // `must_leave` is called at intervals while a peer is silent that has delivered something. It returns true if the
    // connection must end because others wait for its place. All that is referred to outlives the receiver.
    raw_receiver(connection& link, sink& sink, const server_protocol& protocol, server_observer& observer,
                 connection_id id, std::function<bool()> must_leave);
    raw_receiver(const raw_receiver&) = delete;
    raw_receiver& operator=(const raw_receiver&) = delete;

    // Returns when the peer has closed, when a failed delivery was reported, or at the first silence after drain().
    // Throws error if the connection ends for another reason while no delivery is under way.
    void serve();

    // Ends serve() at the next silence: it still takes what has arrived, and the delivery under way. From any thread.
    void drain() noexcept { is_draining_ = true; }
    // Cuts the link. From any thread.
    void abort() noexcept;

private:
    class dump;

    void end_if_silent(std::chrono::steady_clock::time_point since) const;
    void refuse_more();

    connection& link_;
    sink& sink_;
    const receive_all_options limits_;
    const bool is_once_;
    server_observer& observer_;
    const connection_id id_;
    const std::function<bool()> must_leave_;
    std::atomic<bool> is_draining_{false}, is_cut_{false};
};

}  // namespace wherry
