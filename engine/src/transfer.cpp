// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/transfer.hpp"

#include <botan/system_rng.h>

namespace wherry {

delivery_id make_delivery_id() {
    delivery_id id;
    Botan::system_rng().randomize(reinterpret_cast<std::uint8_t*>(id.data()), id.size());
    return id;
}

delivery_result failed(const error& why) {
    delivery_result result;
    result.failure = why.code();
    result.text = why.what();
    return result;
}

}  // namespace wherry
