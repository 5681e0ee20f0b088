// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <vector>

#include "endpoint.hpp"
#include "socket_connection.hpp"
#include "tcp_options.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::tcp {

// Races to the addresses of one host: the next one starts when those before have failed, or have been quiet for a
// while; the first to answer wins.
class connect_race {
public:
    // `stop` outlives it.
    connect_race(std::vector<socket_address> addresses, const options& chosen, const stop_signal& stop)
        : addresses_(std::move(addresses)), options_(chosen), stop_(stop) {}

    // The connected socket; one that is not open when all failed, and then failure() is the most telling errno, or
    // ECANCELED once the signal was raised.
    unique_fd run(const deadline& until);

    int failure() const noexcept { return failure_; }

private:
    unique_fd start_next();
    unique_fd wait(const deadline& until);
    bool usable(int socket);
    void note(int code) noexcept;

    std::vector<socket_address> addresses_;
    const options& options_;
    const stop_signal& stop_;
    std::size_t next_ = 0;
    std::vector<unique_fd> pending_;
    int failure_ = 0;
};

}  // namespace wherry::tcp
