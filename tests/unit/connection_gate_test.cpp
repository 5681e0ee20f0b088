// SPDX-License-Identifier: BSD-2-Clause
#include <gmock/gmock.h>

#include <future>

#include "rfcomm_socket.hpp"

namespace wherry::rfcomm {
namespace {

using namespace std::chrono_literals;

TEST(connection_gate, lets_one_in_at_a_time) {
    connection_gate gate;
    const stop_signal stop;
    auto first = gate.enter(std::nullopt, stop);
    ASSERT_TRUE(first.owns_lock());
    auto second = std::async(std::launch::async, [&] { return gate.enter(std::nullopt, stop).owns_lock(); });
    EXPECT_EQ(second.wait_for(50ms), std::future_status::timeout);
    first.unlock();
    EXPECT_TRUE(second.get());
}

TEST(connection_gate, lets_nobody_in_when_the_time_is_over) {
    connection_gate gate;
    const stop_signal stop;
    const auto first = gate.enter(std::nullopt, stop);
    EXPECT_FALSE(
        std::async(std::launch::async, [&] { return gate.enter(deadline_after(10ms), stop).owns_lock(); }).get());
}

TEST(connection_gate, a_stop_ends_the_wait) {
    connection_gate gate;
    stop_signal stop;
    {
        const auto first = gate.enter(std::nullopt, stop);
        auto second = std::async(std::launch::async, [&] { return gate.enter(std::nullopt, stop).owns_lock(); });
        EXPECT_EQ(second.wait_for(50ms), std::future_status::timeout);
        stop.raise();
        EXPECT_FALSE(second.get());
    }
    EXPECT_FALSE(gate.enter(std::nullopt, stop).owns_lock());
}

}  // namespace
}  // namespace wherry::rfcomm
