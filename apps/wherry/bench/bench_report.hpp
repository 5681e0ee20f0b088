// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/workload.hpp"

// What a bench has to tell, for people and for programs.
namespace wherry::app::bench {

// All connections of a bench together.
struct bench_result {
    workload kind = workload::stream;
    std::string destination;  // "tcp://host:9417"
    std::string transport;    // the plugin
    std::string cipher;       // what was agreed
    std::size_t senders = 0;
    connection_outcome sum;  // elapsed: of the longest; receiver: only where all have told theirs
    bool is_interrupted = false;

    void add(connection_outcome one);

    double seconds() const noexcept;
    // Confirmed content, and items, a second; 0 where there is nothing to tell.
    double bytes_per_second() const noexcept;
    double items_per_second() const noexcept;
    bottleneck limit() const;
};

// The fields of the event "bench".
json result_fields(const bench_result& result);

// What was done between two moments, counted from the beginning.
struct interval {
    nanoseconds begin{0}, end{0};
    std::uint64_t bytes = 0, items = 0;
};

json interval_fields(const interval& passed);
std::string interval_line(const interval& passed, workload kind);

// The result as people read it, from the fields of the event. Several lines.
std::string result_text(const json& fields);

// One connection's, at the receiver.
json report_fields(const received_report& report);
std::string report_text(const received_report& report);

// "1234 MiB/s", "0.12 MiB/s"
std::string rate_text(double bytes_per_second);

}  // namespace wherry::app::bench
