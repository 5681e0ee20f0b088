// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "frame.hpp"
#include "link_writer.hpp"
#include "offered_numbers.hpp"
#include "wherry/secure_channel.hpp"

namespace wherry {

// Refuses every offer that a peer makes to a side that only sends, and skips the frames of those transfers.
// Used by the thread that reads.
class refused_offers {
public:
    // `writer` outlives it.
    refused_offers(const secure_channel& channel, link_writer& writer)
        : writer_(writer), answers_(writer.make_small_record()), offered_(channel.side()) {}

    // Throws error(errc::protocol) unless the number is one of the peer's, and above its last.
    void on_offer(const frame& got);
    // Throws error(errc::protocol) if the frame is about a transfer that was never offered.
    void require_offered(const frame& got) const { offered_.require(got); }
    // Writes the collected answers.
    void flush() { writer_.transmit(answers_); }

private:
    link_writer& writer_;
    record_buffer answers_;
    offered_numbers offered_;
};

}  // namespace wherry
