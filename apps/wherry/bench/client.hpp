// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "application.hpp"
#include "bench/workload.hpp"

namespace wherry::app::bench {

struct client_options {
    workload_options what;
    std::size_t senders = 1;             // at once
    std::size_t streams = 1;             // connections that carry what one of them sends
    std::chrono::milliseconds interval;  // between lines that tell how far it is; 0: none
};

// Sends to the receiver that the options of a dialer name, and tells what that was like. Throws error.
exit_code run_client(application& app, const effective_options& options, const client_options& how);

}  // namespace wherry::app::bench
