// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "frame.hpp"
#include "link_writer.hpp"
#include "wherry/secure_channel.hpp"

namespace wherry {

// Refuses every offer that a peer makes to a side that only sends, and skips the frames of those transfers.
// Used by the thread that reads.
class refused_offers {
public:
    // All that is referred to outlives it.
    refused_offers(secure_channel& channel, link_writer& writer)
        : channel_(channel), writer_(writer), answers_(writer.make_small_record()) {}

    // Throws error(errc::protocol) unless the number is one of the peer's, and above its last.
    void on_offer(const frame& got);
    // Throws error(errc::protocol) if the frame is about a transfer that was never offered.
    void require_offered(const frame& got) const;
    // Writes the collected answers.
    void flush() { writer_.transmit(answers_); }

private:
    secure_channel& channel_;
    link_writer& writer_;
    record_buffer answers_;
    transfer_id last_offered_ = 0;
};

}  // namespace wherry
