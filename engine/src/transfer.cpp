// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/transfer.hpp"

#include <botan/system_rng.h>

namespace wherry {

delivery_id make_delivery_id() {
    delivery_id id;
    Botan::system_rng().randomize(reinterpret_cast<std::uint8_t*>(id.data()), id.size());
    return id;
}

void mark_failed(delivery_result& result, const error& why) {
    result.failure = why.code();
    result.text = why.what();
}

delivery_result failed(const error& why) {
    delivery_result result;
    mark_failed(result, why);
    return result;
}

}  // namespace wherry
