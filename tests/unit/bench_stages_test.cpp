// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "bench/bench_report.hpp"
#include "bench/comparison.hpp"
#include "bench/stage_times.hpp"
#include "bench/workload.hpp"

namespace wherry::app::bench {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Moves only when it is told to.
class fake_clock final : public stage_clock {
public:
    nanoseconds wall() const noexcept override { return wall_; }
    nanoseconds cpu() const noexcept override { return cpu_; }

    void work(nanoseconds time) { wall_ += time, cpu_ += time; }
    void sleep(nanoseconds time) { wall_ += time; }

private:
    nanoseconds wall_{1h}, cpu_{1min};
};

const stage_time& of(const stage_times& all, stage which) { return all[static_cast<std::size_t>(which)]; }

class BenchStages : public testing::Test {
protected:
    fake_clock clock;
    stage_meter meter{clock};
};

TEST_F(BenchStages, call_counts_for_its_stage) {
    {
        const stage_timer timer(meter, stage::cipher);
        clock.work(3ms);
    }
    {
        const stage_timer timer(meter, stage::cipher);
        clock.work(4ms);
    }
    EXPECT_EQ(of(meter.sum(), stage::cipher).calls, 2u);
    EXPECT_EQ(of(meter.sum(), stage::cipher).wall, 7ms);
    EXPECT_EQ(of(meter.sum(), stage::cipher).blocked, 0ms);
    EXPECT_EQ(of(meter.sum(), stage::source).calls, 0u);
}

TEST_F(BenchStages, transport_tells_what_it_waits) {
    {
        const stage_timer timer(meter, stage::transport);
        clock.work(2ms);
        clock.sleep(5ms);
    }
    EXPECT_EQ(of(meter.sum(), stage::transport).wall, 7ms);
    EXPECT_EQ(of(meter.sum(), stage::transport).blocked, 5ms);
}

TEST_F(BenchStages, inner_call_does_not_count_for_the_outer_one) {
    {
        const stage_timer outer(meter, stage::sink);
        clock.work(1ms);
        {
            const stage_timer inner(meter, stage::transport);
            clock.work(10ms);
            clock.sleep(20ms);
        }
        clock.work(2ms);
    }
    EXPECT_EQ(of(meter.sum(), stage::sink).wall, 3ms);
    EXPECT_EQ(of(meter.sum(), stage::transport).wall, 30ms);
}

TEST_F(BenchStages, only_the_waiting_for_answers_counts) {
    {
        const stage_timer outer(meter, stage::answers);
        clock.work(1ms);
        clock.sleep(6ms);
        const stage_timer inner(meter, stage::transport);
        clock.work(2ms);
        clock.sleep(3ms);
    }
    EXPECT_EQ(of(meter.sum(), stage::answers).wall, 6ms);
    EXPECT_EQ(of(meter.sum(), stage::answers).blocked, 6ms);
    EXPECT_EQ(of(meter.sum(), stage::transport).blocked, 3ms);
}

TEST_F(BenchStages, timers_of_threads_know_nothing_of_each_other) {
    const stage_timer here(meter, stage::source);
    std::thread([&] { const stage_timer there(meter, stage::cipher); }).join();
    clock.work(1ms);
    EXPECT_EQ(of(meter.sum(), stage::cipher).wall, 0ms);
}

TEST_F(BenchStages, call_that_throws_counts_all_the_same) {
    try {
        const stage_timer timer(meter, stage::sink);
        clock.work(1ms);
        throw 1;
    } catch (int) {
    }
    EXPECT_EQ(of(meter.sum(), stage::sink).wall, 1ms);
}

side_times times(nanoseconds elapsed, std::initializer_list<std::pair<stage, stage_time>> stages) {
    side_times made;
    made.connections = 1;
    made.elapsed = made.longest = elapsed;
    for (const auto& [which, time] : stages) made.stages[static_cast<std::size_t>(which)] = time;
    return made;
}

TEST(BenchShares, rest_is_the_core) {
    const auto side = times(10s, {{stage::source, {1, 1s, 0s}}, {stage::cipher, {1, 4s, 0s}}});
    EXPECT_DOUBLE_EQ(side.share(stage::source), 0.1);
    EXPECT_DOUBLE_EQ(side.share(stage::cipher), 0.4);
    EXPECT_DOUBLE_EQ(side.core_share(), 0.5);
}

TEST(BenchShares, where_calls_overlap_they_are_shares_of_the_calls) {
    const auto side = times(10s, {{stage::source, {1, 5s, 0s}}, {stage::transport, {1, 15s, 0s}}});
    EXPECT_DOUBLE_EQ(side.share(stage::source), 0.25);
    EXPECT_DOUBLE_EQ(side.share(stage::transport), 0.75);
    EXPECT_DOUBLE_EQ(side.core_share(), 0);
}

TEST(BenchShares, nothing_measured_is_no_division_by_zero) {
    EXPECT_DOUBLE_EQ(side_times().core_share(), 1);
    EXPECT_DOUBLE_EQ(side_times().share(stage::sink), 0);
    EXPECT_DOUBLE_EQ(side_times().processors(), 0);
}

TEST(BenchShares, connections_add_up) {
    auto sum = times(10s, {{stage::cipher, {1, 4s, 0s}}});
    sum.cpu = {3s, 1s};
    auto other = times(8s, {{stage::cipher, {2, 5s, 0s}}});
    other.cpu = {2s, 1s};
    sum.add(other);
    EXPECT_EQ(sum.connections, 2u);
    EXPECT_DOUBLE_EQ(sum.share(stage::cipher), 0.5);
    EXPECT_EQ(of(sum.stages, stage::cipher).calls, 3u);
    // One process: what it used counts once.
    EXPECT_DOUBLE_EQ(sum.processors(), 0.4);
}

TEST(BenchShares, come_back_from_json) {
    // A number of nanoseconds that is no binary fraction of a second.
    auto side =
        times(10'063'793'988ns,
              {{stage::transport, {7, 6'000'000'001ns, 2s}}, {stage::cipher, {8, 1s, 0s}}, {stage::sink, {9, 2s, 0s}}});
    side.cpu = {3s, 1s};
    const auto told = to_json(side, bench_side::receiver);
    double sum = 0;
    for (const auto& [name, stage] : told.at("stages").items()) sum += stage.at("share").get<double>();
    EXPECT_NEAR(sum, 1, 1e-9);
    EXPECT_FALSE(told.at("stages").contains("source"));
    const auto read = side_times_from(json::parse(told.dump()));
    EXPECT_EQ(to_json(read, bench_side::receiver), told);
}

TEST(BenchShares, nonsense_of_the_other_side_is_refused) {
    const auto good = to_json(times(1s, {}), bench_side::receiver);
    for (const auto& [key, value] : {std::pair<std::string, json>{"seconds", -1},
                                     {"seconds", 1e300},
                                     {"seconds", "1"},
                                     {"connection_seconds", nullptr},
                                     {"stages", 1},
                                     {"cpu", {{"user_seconds", 1}}}}) {
        auto bad = good;
        bad[key] = value;
        EXPECT_THROW(side_times_from(bad), error) << bad;
    }
    EXPECT_THROW(side_times_from(json::array()), error);
}

TEST(BenchBottleneck, is_the_side_that_waits_less) {
    const auto sender = times(10s, {{stage::cipher, {1, 3s, 0s}}, {stage::transport, {1, 7s, 6s}}});
    const auto receiver = times(10s, {{stage::cipher, {1, 2s, 0s}}, {stage::sink, {1, 7s, 0s}}});
    const auto found = find_bottleneck(sender, &receiver);
    EXPECT_EQ(found.where, bottleneck::place::receiver);
    EXPECT_EQ(found.which, stage::sink);
    EXPECT_EQ(found.sentence(), "the sink on the receiving side");
    const auto turned = find_bottleneck(receiver, &sender);
    EXPECT_EQ(turned.where, bottleneck::place::sender);
    EXPECT_EQ(turned.which, stage::sink);
}

TEST(BenchBottleneck, is_the_link_where_both_sides_wait) {
    const auto waiting = times(10s, {{stage::transport, {1, 9s, 8s}}});
    EXPECT_EQ(find_bottleneck(waiting, &waiting).where, bottleneck::place::link);
    EXPECT_THAT(find_bottleneck(waiting, &waiting).sentence(), HasSubstr("link"));
}

TEST(BenchBottleneck, is_somewhere_beyond_where_the_receiver_tells_nothing) {
    const auto waiting = times(10s, {{stage::transport, {1, 9s, 8s}}});
    EXPECT_EQ(find_bottleneck(waiting, nullptr).where, bottleneck::place::beyond);
    const auto busy = times(10s, {{stage::cipher, {1, 6s, 0s}}, {stage::transport, {1, 3s, 2s}}});
    EXPECT_EQ(find_bottleneck(busy, nullptr).where, bottleneck::place::sender);
    EXPECT_EQ(find_bottleneck(busy, nullptr).which, stage::cipher);
}

TEST(BenchBottleneck, may_be_the_core) {
    const auto busy = times(10s, {{stage::cipher, {1, 2s, 0s}}});
    EXPECT_EQ(find_bottleneck(busy, nullptr).which, std::nullopt);
    EXPECT_EQ(find_bottleneck(busy, nullptr).sentence(), "wherry's core on the sending side");
}

TEST(BenchLatencies, percentile_is_one_of_the_samples) {
    latencies some;
    for (int i = 1; i <= 200; ++i) some.samples.emplace_back(i);
    EXPECT_EQ(some.percentile(50), 100ns);
    EXPECT_EQ(some.percentile(99), 198ns);
    EXPECT_EQ(some.percentile(100), 200ns);
    EXPECT_EQ(some.percentile(0), 1ns);
    EXPECT_EQ(some.mean(), 100ns);
    some.samples.resize(1);
    EXPECT_EQ(some.percentile(50), 1ns);
}

connection_outcome outcome(std::uint64_t bytes, nanoseconds elapsed) {
    connection_outcome made;
    made.bytes = bytes;
    made.items = 1;
    made.elapsed = elapsed;
    made.sender = times(elapsed, {});
    made.receiver = times(elapsed, {});
    return made;
}

TEST(BenchResult, adds_connections_that_ran_at_once) {
    bench_result result;
    result.add(outcome(1000, 2s));
    result.add(outcome(3000, 4s));
    EXPECT_EQ(result.senders, 2u);
    EXPECT_DOUBLE_EQ(result.bytes_per_second(), 1000);
    EXPECT_DOUBLE_EQ(result.items_per_second(), 0.5);
    ASSERT_TRUE(result.sum.receiver);
    EXPECT_EQ(result.sum.receiver->connections, 2u);
}

TEST(BenchResult, knows_the_receiver_only_if_every_connection_does) {
    bench_result result;
    result.add(outcome(1, 1s));
    auto mute = outcome(1, 1s);
    mute.receiver.reset();
    result.add(std::move(mute));
    result.add(outcome(1, 1s));
    EXPECT_FALSE(result.sum.receiver);
    EXPECT_TRUE(result_fields(result).at("receiver").is_null());
    EXPECT_THAT(result_text(result_fields(result)), HasSubstr("wherry bench --serve"));
}

TEST(BenchComparison, name_and_values) {
    EXPECT_EQ(read_comparison("cipher").name, "cipher");
    EXPECT_TRUE(read_comparison("cipher").values.empty());
    const auto sizes = read_comparison("tcp.record-bytes=64KiB,1MiB");
    EXPECT_EQ(sizes.name, "tcp.record-bytes");
    EXPECT_EQ(sizes.values, (std::vector<std::string>{"64KiB", "1MiB"}));
    for (const auto* const wrong : {"", "=a", "cipher=", "cipher=a,", "cipher=,a", "cipher=a,,b"})
        EXPECT_THROW(read_comparison(wrong), error) << wrong;
}

TEST(BenchComparison, median) {
    EXPECT_DOUBLE_EQ(median({3}), 3);
    EXPECT_DOUBLE_EQ(median({9, 1, 5}), 5);
    EXPECT_DOUBLE_EQ(median({9, 1, 5, 6}), 5.5);
}

json one_round(double rate, const char* limit) {
    return {{"workload", "stream"}, {"bytes_per_second", rate}, {"limited_by", {{"text", limit}}}};
}

TEST(BenchComparison, rows_have_medians_and_ratios) {
    compared_results results;
    results.add("a", one_round(100, "x"));
    results.add("b", one_round(300, "y"));
    results.add("a", one_round(200, "x"));
    results.add("a", one_round(900, "z"));
    const auto rows = results.rows();
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_EQ(rows[0].at("value"), "a");
    EXPECT_EQ(rows[0].at("rounds"), 3);
    EXPECT_EQ(rows[0].at("bytes_per_second"), 200.0);
    EXPECT_EQ(rows[0].at("ratio"), 1.0);
    EXPECT_EQ(rows[0].at("limited_by"), "x");
    EXPECT_FALSE(rows[0].contains("items_per_second"));
    EXPECT_EQ(rows[1].at("ratio"), 1.5);
    EXPECT_THAT(results.table("cipher"), HasSubstr("1.50"));
}

}  // namespace
}  // namespace wherry::app::bench
