#pragma once

#include <atomic>
#include <chrono>
#include <functional>

#include "wherry/exchange_server.hpp"

namespace wherry {

// Serves one raw peer: its deliveries, one after the other. A silence ends a delivery, and the connection goes on.
class raw_receiver {
public:
    // `gives_way` is asked now and then while a peer that has delivered something is silent: whether its connection is
    // to end because others wait for its place. All that is referred to outlives the receiver.
    raw_receiver(connection& link, sink& into, const server_protocol& protocol, server_observer& observer,
                 connection_id id, std::function<bool()> gives_way);
    raw_receiver(const raw_receiver&) = delete;
    raw_receiver& operator=(const raw_receiver&) = delete;

    // Returns when the peer has closed, when a failed delivery was told, or after drain() at the next silence. Throws
    // error where the connection ends otherwise while no delivery is under way.
    void serve();

    // From any thread. What has arrived, and the delivery under way, is still taken.
    void drain() noexcept { is_draining_ = true; }
    // From any thread. Cuts the link.
    void abort() noexcept;

private:
    class dump;

    void end_if_mute(std::chrono::steady_clock::time_point since) const;
    void refuse_more();

    connection& link_;
    sink& into_;
    const receive_all_options limits_;
    const bool is_once_;
    server_observer& observer_;
    const connection_id id_;
    const std::function<bool()> gives_way_;
    std::atomic<bool> is_draining_{false}, is_cut_{false};
};

}  // namespace wherry
