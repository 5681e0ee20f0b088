#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "wherry/error.hpp"

namespace wherry {

// True for what another attempt may mend: the link was lost, or there was none. Nothing that a peer, a disk or a policy
// said no to is.
constexpr bool is_link_failure(errc code) noexcept { return code == errc::disconnected || code == errc::timed_out; }

struct next_attempt {
    unsigned number;  // of the attempts after the first failure, from 1 on
    unsigned of;
    std::chrono::milliseconds wait;  // before it
};

// How often to try again, and when: after 1 s, 2 s, 4 s and so on up to a minute, each shortened by up to half at
// random so that senders that lost the same link do not come back all at once. Where an attempt got something done the
// count and the wait start over: what limits the attempts is how often nothing comes of them, not how long a file is.
class retry_schedule {
public:
    // `random` gives numbers from 0 up to, but not including, 1.
    retry_schedule(unsigned attempts, std::function<double()> random)
        : attempts_(attempts), random_(std::move(random)) {}

    // Another attempt has failed. Nothing: that was the last.
    enum class progress { none, some };
    std::optional<next_attempt> after_failure(progress made);

    bool is_on() const noexcept { return attempts_ > 0; }

private:
    const unsigned attempts_;
    const std::function<double()> random_;
    unsigned used_ = 0;
};

}  // namespace wherry
