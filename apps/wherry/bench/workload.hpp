// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/probes.hpp"
#include "bench/stage_times.hpp"
#include "wherry/engine/sender.hpp"

// What a bench sends, and how it counts it.
namespace wherry::app::bench {

enum class workload { stream, files, messages };

std::string_view to_string(workload which) noexcept;

struct workload_options {
    workload kind = workload::stream;
    std::optional<std::chrono::milliseconds> time;  // stream: ends then
    std::optional<std::uint64_t> bytes;             // stream: ends behind so many, on each connection
    std::filesystem::path source;                   // stream: this file, else memory
    std::uint64_t count = 0;                        // files and messages, on each connection
    std::uint64_t size = 0;                         // of each of them
    std::uint64_t singles = 0;                      // messages: how many are sent one at a time, after the others
};

// How far the connections of a bench are. Thread-safety: all functions from any thread.
struct bench_progress {
    std::atomic<std::uint64_t> bytes{0};  // given to links
    std::atomic<std::uint64_t> items{0};  // answered
    std::atomic<bool> wants_stop{false};  // ends in order what is under way
};

// Messages that were sent one at a time: how long each took until it was answered.
struct latencies {
    std::vector<nanoseconds> samples;

    // The least that so many percent of the samples do not exceed. REQUIRES: not empty, sorted.
    nanoseconds percentile(double percent) const;
    nanoseconds mean() const;
};

// What one connection did.
struct connection_outcome {
    std::uint64_t bytes = 0;  // of content that the receiver has confirmed
    std::uint64_t bytes_on_link = 0;
    std::uint64_t items = 0;   // that it confirmed
    std::uint64_t failed = 0;  // that it, or this side, did not take
    std::optional<delivery_result> first_failure;
    std::size_t streams = 1;        // connections that carried it
    std::string why_fewer_streams;  // where that is less than was wanted
    nanoseconds elapsed{0};         // from the first byte to the last answer
    side_times sender;
    std::optional<side_times> receiver;  // none: it does not measure
    latencies singles;
    std::optional<error> broken;  // it came to its end too soon
};

// One connection of a bench. Used by one thread, but for abort().
class bench_connection {
public:
    // What is referred to outlives it.
    bench_connection(std::unique_ptr<secure_channel> channel, std::shared_ptr<stage_meter> meter,
                     const workload_options& what, const sender_options& how, bench_progress& progress);
    ~bench_connection();

    // Waits until the receiver has let it in. Throws error.
    void await_entry();
    // Does the work, asks the receiver what it measured, and takes leave. What goes wrong is told in the outcome.
    connection_outcome run();
    // From any thread: cuts the link.
    void abort() noexcept;

    std::string describe() const;

private:
    struct implementation;
    const std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry::app::bench
