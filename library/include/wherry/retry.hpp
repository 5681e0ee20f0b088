// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cerrno>
#include <chrono>
#include <functional>
#include <optional>

#include "wherry/error.hpp"

namespace wherry {

// True for a failure of the link, which another attempt may mend: it was lost, it damaged what it carried, or there was
// none.
constexpr bool is_link_failure(errc code) noexcept {
    return code == errc::disconnected || code == errc::timed_out || code == errc::integrity;
}

// The same of a failure to connect. EPROTONOSUPPORT: both sides have no version or algorithm in common, or so somebody
// said who proved nothing; another attempt would hear the same.
inline bool is_link_failure(const error& why) noexcept {
    return is_link_failure(why.code()) && why.system_error() != EPROTONOSUPPORT;
}

// True if an item was cut off with the link, damaged on it, or cut off by a receiver that is shutting down.
// `is_remote`: the code is the receiver's answer.
constexpr bool is_cut_off(errc code, bool is_remote) noexcept {
    // What a receiver's sink waited for in vain is no failure of the link.
    return is_link_failure(code) && !(is_remote && code == errc::timed_out);
}

// True if the receiver lacks room: disk, quota, memory or descriptors. Other refusals by a peer, a disk or a policy are
// final.
constexpr bool is_out_of_room(errc code, bool is_remote) noexcept { return is_remote && code == errc::exhausted; }

struct next_attempt {
    unsigned number;  // of the attempts after the first failure, from 1 on
    unsigned total;
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
