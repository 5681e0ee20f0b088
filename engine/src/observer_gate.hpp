// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <utility>

#include "wherry/mutex.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// Lets the calls to an observer through one at a time.
template <class Observer>
class observer_gate {
public:
    explicit observer_gate(Observer& observer) noexcept : observer_(observer) {}

    // Calls call(observer).
    template <class Call>
    void tell(Call&& call) {
        const mutex_lock lock(mutex_);
        std::forward<Call>(call)(observer_);
    }

private:
    mutex mutex_;
    Observer& observer_ WHERRY_GUARDED_BY(mutex_);
};

using sending_gate = observer_gate<sending_observer>;
using receiving_gate = observer_gate<receiving_observer>;

}  // namespace wherry
