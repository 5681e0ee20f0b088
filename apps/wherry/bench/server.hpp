// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "application.hpp"

namespace wherry::app::bench {

enum class serving { until_interrupted, once };

// Receives at `address` (empty: the transport's default), measures, and answers who asks what it measured. Throws
// error.
exit_code run_server(application& app, const effective_options& options, const std::string& address, serving how);

}  // namespace wherry::app::bench
