// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "events.hpp"

// Where the time of a transfer goes. docs/benchmarking.md says what the figures mean.
namespace wherry::app::bench {

using nanoseconds = std::chrono::nanoseconds;

// What the path of the data leads through. What is left of a connection's time is the core's own.
enum class stage : std::size_t { source, cipher, transport, sink, answers };
inline constexpr std::size_t stage_count = 5;

// "source", "cipher", ...
std::string_view to_string(stage which) noexcept;

// What time it is, for calls into stages. Thread-safety: all functions from any thread.
class stage_clock {
public:
    virtual ~stage_clock() = default;
    virtual nanoseconds wall() const noexcept = 0;
    // That the calling thread has used.
    virtual nanoseconds cpu() const noexcept = 0;
};

const stage_clock& system_stage_clock() noexcept;

struct stage_time {
    std::uint64_t calls = 0;
    nanoseconds wall{0};
    nanoseconds blocked{0};  // of it, without using the processor; only of transport and answers, else 0
};

using stage_times = std::array<stage_time, stage_count>;

stage_times total(const stage_times& a, const stage_times& b) noexcept;
// REQUIRES: none of `earlier` is more.
stage_times difference(const stage_times& later, const stage_times& earlier) noexcept;

// Sums up the calls of one connection. Thread-safety: all functions from any thread.
class stage_meter {
public:
    explicit stage_meter(const stage_clock& clock = system_stage_clock()) noexcept : clock_(clock) {}

    void add(stage which, nanoseconds wall, nanoseconds blocked) noexcept;
    stage_times sum() const noexcept;
    const stage_clock& clock() const noexcept { return clock_; }

private:
    struct counters {
        std::atomic<std::uint64_t> calls{0};
        std::atomic<std::int64_t> wall{0}, blocked{0};
    };
    const stage_clock& clock_;
    std::array<counters, stage_count> counters_;
};

// One call into a stage, from construction to destruction on one thread. What is called from within it and is timed
// itself does not count for it. Of `answers` only what it waits is counted.
class stage_timer {
public:
    stage_timer(stage_meter& meter, stage which) noexcept;
    ~stage_timer();
    stage_timer(const stage_timer&) = delete;
    stage_timer& operator=(const stage_timer&) = delete;

private:
    stage_meter& meter_;
    const stage which_;
    stage_timer* const outer_;
    nanoseconds wall_, cpu_{0};
    nanoseconds inner_wall_{0}, inner_blocked_{0};
};

// Processor time of this process, all threads.
struct process_time {
    nanoseconds user{0}, system{0};
};
process_time process_time_now() noexcept;

// What one side of a measurement spent: one connection's, or the sum of several.
struct side_times {
    std::size_t connections = 0;
    nanoseconds elapsed{0};  // of all connections together
    nanoseconds longest{0};  // of one
    stage_times stages{};
    process_time cpu;  // of the process meanwhile

    void add(const side_times& other) noexcept;

    // What the shares are parts of: the time of the connections, or, where calls overlap so much that they are longer
    // in sum, of all calls.
    nanoseconds whole() const noexcept;
    double share(stage which) const noexcept;
    // What no stage accounts for. With the shares of all stages it makes 1.
    double core_share() const noexcept;
    // Of the time in which the connections waited for the other side or the link.
    double waiting_share() const noexcept;
    // Processors in use.
    double processors() const noexcept;
};

enum class bench_side { sender, receiver };

// The stages that a side has, with "core" for the rest.
json to_json(const side_times& times, bench_side side);
// What to_json wrote, at the other end of a link. Throws error(errc::protocol).
side_times side_times_from(const json& told);

// What keeps a transfer from being faster.
struct bottleneck {
    // link: both sides wait for it. beyond: the link or the other side, of which nothing is known.
    enum class place { sender, receiver, link, beyond } where;
    std::optional<stage> which;  // of that side; none: the core

    std::string sentence() const;  // "the cipher on the receiving side"
};

// Null: nothing is known of the receiver.
bottleneck find_bottleneck(const side_times& sender, const side_times* receiver);

}  // namespace wherry::app::bench
