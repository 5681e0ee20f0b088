// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "frame.hpp"

namespace wherry {

// The numbers of the transfers that a peer has offered over one channel. Used by the thread that reads.
class offered_numbers {
public:
    explicit offered_numbers(role own_side) noexcept : own_side_(own_side) {}

    // Throws error(errc::protocol) unless the number is one of the peer's, and above its last.
    void add(const frame& offer) {
        if (!is_theirs(offer.transfer) || offer.transfer <= last_)
            throw error(errc::protocol, "the peer offered a transfer with a number that is not its next");
        last_ = offer.transfer;
    }

    // Throws error(errc::protocol) if the frame is about a transfer that was never offered.
    void require(const frame& about) const {
        if (!is_theirs(about.transfer) || about.transfer > last_)
            throw error(errc::protocol, "the peer goes on with a transfer that it never offered");
    }

private:
    bool is_theirs(transfer_id id) const noexcept { return id != 0 && !is_numbered_by(own_side_, id); }

    const role own_side_;
    transfer_id last_ = 0;
};

}  // namespace wherry
