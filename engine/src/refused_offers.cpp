// SPDX-License-Identifier: BSD-2-Clause
#include "refused_offers.hpp"

#include "answer.hpp"

namespace wherry {

void refused_offers::on_offer(const frame& got) {
    const bool is_theirs = got.transfer != 0 && !is_numbered_by(channel_.side(), got.transfer);
    if (!is_theirs || got.transfer <= last_offered_)
        throw error(errc::protocol, "the peer offered a transfer with a number that is not its next");
    last_offered_ = got.transfer;
    error why(errc::refused, "this side only sends");
    try {
        decode_offer(got.payload);
    } catch (const error& e) {
        if (e.code() == errc::protocol) throw;
        why = e;
    }
    put_answer(writer_, answers_, got.transfer, failed(why));
}

void refused_offers::require_offered(const frame& got) const {
    const bool is_theirs = got.transfer != 0 && !is_numbered_by(channel_.side(), got.transfer);
    if (!is_theirs || got.transfer > last_offered_)
        throw error(errc::protocol, "the peer goes on with a transfer that it never offered");
}

}  // namespace wherry
