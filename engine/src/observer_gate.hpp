// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <mutex>
#include <utility>

#include "wherry/transfer.hpp"

namespace wherry {

// Lets the calls to an exchange's observer through one at a time.
class observer_gate {
public:
    explicit observer_gate(exchange_observer& observer) noexcept : observer_(observer) {}

    // Calls call(observer).
    template <class Call>
    void tell(Call&& call) {
        const std::lock_guard lock(mutex_);
        std::forward<Call>(call)(observer_);
    }

private:
    exchange_observer& observer_;
    std::mutex mutex_;
};

inline delivery_result failed(const error& why) {
    delivery_result result;
    result.failure = why.code();
    result.text = why.what();
    return result;
}

// Initiators number the transfers that they offer oddly, responders evenly; 0 is for frames about no transfer.
inline bool is_numbered_by(role side, transfer_id id) noexcept { return (id % 2 == 1) == (side == role::initiator); }

}  // namespace wherry
