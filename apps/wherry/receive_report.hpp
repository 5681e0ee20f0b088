// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "application.hpp"
#include "folder_tally.hpp"
#include "line_budget.hpp"
#include "message_tee.hpp"
#include "progress.hpp"
#include "wherry/mutex.hpp"
#include "wherry/server.hpp"

namespace wherry::app {

// Tells what happens at a receiver: a line for each delivery and progress for people, events for programs.
// Thread-safety: all functions from any thread.
class receive_report final : public server_observer {
public:
    // `connection_over` is called when a connection has ended that had got further than the handshake.
    receive_report(application& app, bool is_raw, detail how, std::function<void()> connection_over);
    ~receive_report() override;

    // A sender whose key is not authorised.
    void refused(const identity& peer);
    // At its durable end, before delivered() tells of it.
    void message(const delivered_message& message);

    void must_wait(const error& why) override;
    void connected(connection_id id, std::string_view address, const identity& peer, std::string_view cipher) override;
    void joined(connection_id id, connection_id other) override;
    void receiving(connection_id id, transfer_id transfer, const offer& what, std::uint64_t resumed_from) override;
    void received_so_far(connection_id id, transfer_id transfer, std::uint64_t bytes) override;
    void delivered(connection_id id, transfer_id transfer, const offer& what, const delivery_result& result) override;
    void disconnected(connection_id id, std::string_view address, const std::optional<error>& failure) override;

    // Ends the progress; tells the sum of it. Once, when nothing else is called any more.
    void finish(exit_code code);

    // For what came so far; a receiver that is stopped by a signal does not ask.
    exit_code outcome() const;

private:
    struct peer_entry {
        std::string address;
        identity who;
        bool has_joined_another = false;
        bool has_offered = false;
        std::size_t failures = 0;
    };

    peer_entry entry(connection_id id) const;
    void show_progress(const progress_state* state);
    // Counts it, and says whether it gets a line of its own.
    bool is_failure_told(connection_id id);
    void tell_received(connection_id id, const offer& what, const delivery_result& result, const peer_entry& peer);

    application& app_;
    const bool is_raw_;
    const detail detail_;
    const std::function<void()> connection_over_;
    const progress_clock::time_point began_ = progress_clock::now();

    mutable mutex mutex_;
    std::map<connection_id, peer_entry> peers_ WHERRY_GUARDED_BY(mutex_);
    std::map<connection_id, folder_tally> folders_ WHERRY_GUARDED_BY(mutex_);
    std::size_t delivered_ WHERRY_GUARDED_BY(mutex_) = 0, failed_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::uint64_t bytes_ WHERRY_GUARDED_BY(mutex_) = 0;
    line_budget strangers_ WHERRY_GUARDED_BY(mutex_){20};
    std::optional<exit_code> first_cause_ WHERRY_GUARDED_BY(mutex_);

    progress_meter progress_;  // last: its thread uses what is above
};

}  // namespace wherry::app
