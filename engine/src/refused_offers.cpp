// SPDX-License-Identifier: BSD-2-Clause
#include "refused_offers.hpp"

#include "answer.hpp"

namespace wherry {

void refused_offers::on_offer(const frame& got) {
    offered_.add(got);
    error why(errc::refused, "this side only sends");
    try {
        decode_offer(got.payload);
    } catch (const error& e) {
        if (e.code() == errc::protocol) throw;
        why = e;
    }
    put_answer(writer_, answers_, got.transfer, failed(why));
}

}  // namespace wherry
