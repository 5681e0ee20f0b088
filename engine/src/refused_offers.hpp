// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "frame.hpp"
#include "link_writer.hpp"
#include "wherry/secure_channel.hpp"

namespace wherry {

// What a peer offers to a side that only sends: each offer is refused, and what else comes of it is skipped.
// Used by the thread that reads.
class refused_offers {
public:
    // All that is referred to outlives it.
    refused_offers(secure_channel& channel, link_writer& writer)
        : channel_(channel), writer_(writer), answers_(writer.make_small_record()) {}

    // Throws error(errc::protocol) if its number is not the peer's next.
    void on_offer(const frame& got);
    // Throws error(errc::protocol) if the frame is about a transfer that was never offered.
    void require_offered(const frame& got) const;
    // Writes the answers that wait for company.
    void flush() { writer_.transmit(answers_); }

private:
    secure_channel& channel_;
    link_writer& writer_;
    record_buffer answers_;
    transfer_id last_offered_ = 0;
};

}  // namespace wherry
