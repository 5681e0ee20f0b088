// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "application.hpp"
#include "bench/client.hpp"
#include "bench/comparison.hpp"

namespace wherry::app::bench {

struct local_options {
    std::string address;  // where the receiver listens, for the transport
    comparison compare;
    unsigned rounds = 1;  // with each value that is compared, in turns
    client_options what;
};

// Both sides on this host, each a process of its own, with keys that are thrown away. Throws error.
exit_code run_local(application& app, const effective_options& options, const local_options& how);

}  // namespace wherry::app::bench
