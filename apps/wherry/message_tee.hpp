// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "wherry/bytes.hpp"
#include "wherry/sink.hpp"
#include "wherry/wrapped_group.hpp"

namespace wherry::app {

// A message that was delivered. Borrowed for the call that tells of it.
struct delivered_message {
    const offering_peer& peer;
    const offer& what;
    std::string_view text;  // its beginning, at most 64 KiB
    bool is_whole;          // otherwise there is more of it
    std::string_view outcome;
    const_bytes response;
};

// Hands everything on to another sink, and keeps the beginning of messages, to show it once they are delivered.
class message_tee final : public sink {
public:
    // `tell` is called from the threads that finish deliveries. `inner` and what `tell` uses outlive it.
    message_tee(sink& inner, std::function<void(const delivered_message&)> tell);
    ~message_tee() override;

    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override;
    void interrupt() noexcept override { inner_.interrupt(); }

private:
    class message_delivery;

    sink& inner_;
    const std::function<void(const delivered_message&)> tell_;
    wrapped_groups<message_delivery> groups_;
};

}  // namespace wherry::app
