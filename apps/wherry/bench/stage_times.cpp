// SPDX-License-Identifier: BSD-2-Clause
#include "bench/stage_times.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace wherry::app::bench {

namespace {

constexpr std::string_view stage_names[stage_count] = {"source", "cipher", "transport", "sink", "answers"};

class system_clock final : public stage_clock {
public:
    nanoseconds wall() const noexcept override { return read(CLOCK_MONOTONIC); }
    nanoseconds cpu() const noexcept override { return read(CLOCK_THREAD_CPUTIME_ID); }

private:
    static nanoseconds read(clockid_t which) noexcept {
        timespec now{};
        ::clock_gettime(which, &now);
        return std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
    }
};

// Asking for the processor time of a thread is a system call; what is called for each small message goes without.
constexpr bool wants_cpu(stage which) noexcept { return which == stage::transport || which == stage::answers; }

thread_local stage_timer* innermost = nullptr;

double seconds(nanoseconds time) noexcept { return std::chrono::duration<double>(time).count(); }

std::vector<stage> stages_of(bench_side side) {
    if (side == bench_side::sender) return {stage::source, stage::cipher, stage::transport, stage::answers};
    return {stage::transport, stage::cipher, stage::sink};
}

constexpr std::size_t index(stage which) noexcept { return static_cast<std::size_t>(which); }

nanoseconds as_time(const json& value) {
    const auto number = value.get<double>();
    // A century is more than a peer can mean, and what nanoseconds hold.
    if (!(number >= 0 && number < 3e9)) throw error(errc::protocol, "a time of the other side is out of bounds");
    return std::chrono::round<nanoseconds>(std::chrono::duration<double>(number));
}

}  // namespace

std::string_view to_string(stage which) noexcept { return stage_names[index(which)]; }

const stage_clock& system_stage_clock() noexcept {
    static const system_clock clock;
    return clock;
}

stage_times total(const stage_times& a, const stage_times& b) noexcept {
    stage_times sum;
    for (std::size_t i = 0; i < stage_count; ++i)
        sum[i] = {a[i].calls + b[i].calls, a[i].wall + b[i].wall, a[i].blocked + b[i].blocked};
    return sum;
}

stage_times difference(const stage_times& later, const stage_times& earlier) noexcept {
    stage_times rest;
    for (std::size_t i = 0; i < stage_count; ++i)
        rest[i] = {later[i].calls - earlier[i].calls, later[i].wall - earlier[i].wall,
                   later[i].blocked - earlier[i].blocked};
    return rest;
}

void stage_meter::add(stage which, nanoseconds wall, nanoseconds blocked) noexcept {
    auto& counter = counters_[index(which)];
    counter.calls.fetch_add(1, std::memory_order_relaxed);
    counter.wall.fetch_add(wall.count(), std::memory_order_relaxed);
    counter.blocked.fetch_add(blocked.count(), std::memory_order_relaxed);
}

stage_times stage_meter::sum() const noexcept {
    stage_times all;
    for (std::size_t i = 0; i < stage_count; ++i)
        all[i] = {counters_[i].calls.load(std::memory_order_relaxed),
                  nanoseconds(counters_[i].wall.load(std::memory_order_relaxed)),
                  nanoseconds(counters_[i].blocked.load(std::memory_order_relaxed))};
    return all;
}

stage_timer::stage_timer(stage_meter& meter, stage which) noexcept
    : meter_(meter), which_(which), outer_(std::exchange(innermost, this)), wall_(meter.clock().wall()) {
    if (wants_cpu(which_)) cpu_ = meter_.clock().cpu();
}

stage_timer::~stage_timer() {
    const auto wall = meter_.clock().wall() - wall_;
    nanoseconds blocked{0};
    if (wants_cpu(which_)) blocked = std::max(nanoseconds(0), wall - (meter_.clock().cpu() - cpu_));
    const auto own_wall = std::max(nanoseconds(0), wall - inner_wall_);
    const auto own_blocked = std::clamp(blocked - inner_blocked_, nanoseconds(0), own_wall);
    meter_.add(which_, which_ == stage::answers ? own_blocked : own_wall, own_blocked);
    if (outer_ != nullptr) {
        outer_->inner_wall_ += wall;
        outer_->inner_blocked_ += std::max(blocked, inner_blocked_);
    }
    innermost = outer_;
}

process_time process_time_now() noexcept {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto as_ns = [](const timeval& t) {
        return nanoseconds(std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec));
    };
    return {as_ns(used.ru_utime), as_ns(used.ru_stime)};
}

void side_times::add(const side_times& other) noexcept {
    connections += other.connections;
    elapsed += other.elapsed;
    longest = std::max(longest, other.longest);
    stages = total(stages, other.stages);
    // They ran beside each other in one process.
    if (other.cpu.user + other.cpu.system > cpu.user + cpu.system) cpu = other.cpu;
}

nanoseconds side_times::whole() const noexcept {
    nanoseconds sum{0};
    for (const auto& one : stages) sum += one.wall;
    return std::max(sum, elapsed);
}

double side_times::share(stage which) const noexcept {
    const auto all = whole();
    return all.count() > 0 ? seconds(stages[index(which)].wall) / seconds(all) : 0;
}

double side_times::core_share() const noexcept {
    const auto all = whole();
    nanoseconds rest = all;
    for (const auto& one : stages) rest -= one.wall;
    return all.count() > 0 ? seconds(rest) / seconds(all) : 1;
}

double side_times::waiting_share() const noexcept {
    const auto all = whole();
    const auto waited = stages[index(stage::transport)].blocked + stages[index(stage::answers)].wall;
    return all.count() > 0 ? seconds(waited) / seconds(all) : 0;
}

double side_times::processors() const noexcept {
    return longest.count() > 0 ? seconds(cpu.user + cpu.system) / seconds(longest) : 0;
}

json to_json(const side_times& times, bench_side side) {
    json told;
    told["connections"] = times.connections;
    told["seconds"] = seconds(times.longest);
    told["connection_seconds"] = seconds(times.elapsed);
    told["cpu"] = {{"user_seconds", seconds(times.cpu.user)},
                   {"system_seconds", seconds(times.cpu.system)},
                   {"processors", times.processors()}};
    auto& stages = told["stages"];
    for (const auto which : stages_of(side)) {
        const auto& time = times.stages[index(which)];
        json row = {{"share", times.share(which)}, {"seconds", seconds(time.wall)}};
        if (which == stage::transport) row["blocked_seconds"] = seconds(time.blocked);
        row["calls"] = time.calls;
        stages[std::string(to_string(which))] = std::move(row);
    }
    stages["core"] = {{"share", times.core_share()}, {"seconds", times.core_share() * seconds(times.whole())}};
    told["waiting_share"] = times.waiting_share();
    return told;
}

side_times side_times_from(const json& told) {
    try {
        side_times read;
        read.connections = told.at("connections").get<std::uint32_t>();
        read.longest = as_time(told.at("seconds"));
        read.elapsed = as_time(told.at("connection_seconds"));
        read.cpu = {as_time(told.at("cpu").at("user_seconds")), as_time(told.at("cpu").at("system_seconds"))};
        // Where there is no object, find() finds nothing.
        if (!told.at("stages").is_object()) throw error(errc::protocol, "the other side names no stages");
        for (std::size_t i = 0; i < stage_count; ++i) {
            const auto row = told.at("stages").find(stage_names[i]);
            if (row == told.at("stages").end()) continue;
            auto& time = read.stages[i];
            time.calls = row->at("calls").get<std::uint64_t>();
            time.wall = as_time(row->at("seconds"));
            if (const auto blocked = row->find("blocked_seconds"); blocked != row->end())
                time.blocked = std::min(as_time(*blocked), time.wall);
        }
        return read;
    } catch (const json::exception& e) {
        throw error(errc::protocol, fmt::format("the times of the other side cannot be understood: {}", e.what()));
    }
}

std::string bottleneck::sentence() const {
    switch (where) {
        case place::link: return "the link: both sides wait for it";
        case place::beyond: return "the link or the receiving side, which tells nothing of itself";
        case place::sender:
        case place::receiver: break;
    }
    const std::string_view side = where == place::sender ? "sending" : "receiving";
    return which ? fmt::format("the {} on the {} side", to_string(*which), side)
                 : fmt::format("wherry's core on the {} side", side);
}

namespace {

// What a side is at when it does not wait.
std::optional<stage> busiest(const side_times& times) {
    std::optional<stage> which;
    double most = times.core_share();
    for (const auto candidate : {stage::source, stage::cipher, stage::transport, stage::sink}) {
        const auto& time = times.stages[index(candidate)];
        const auto whole = seconds(times.whole());
        const auto share = whole > 0 ? seconds(time.wall - time.blocked) / whole : 0;
        if (share > most) {
            most = share;
            which = candidate;
        }
    }
    return which;
}

}  // namespace

bottleneck find_bottleneck(const side_times& sender, const side_times* receiver) {
    // A side that waits for more than half of its time could be twice as fast.
    constexpr double mostly = 0.5;
    const auto sender_waits = sender.waiting_share();
    if (receiver == nullptr) {
        if (sender_waits >= mostly) return {bottleneck::place::beyond, std::nullopt};
        return {bottleneck::place::sender, busiest(sender)};
    }
    const auto receiver_waits = receiver->waiting_share();
    if (std::min(sender_waits, receiver_waits) >= mostly) return {bottleneck::place::link, std::nullopt};
    if (sender_waits <= receiver_waits) return {bottleneck::place::sender, busiest(sender)};
    return {bottleneck::place::receiver, busiest(*receiver)};
}

}  // namespace wherry::app::bench
