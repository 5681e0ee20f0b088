// SPDX-License-Identifier: BSD-2-Clause
#include "timer.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace wherry {
namespace {

using namespace std::chrono_literals;

TEST(timer, rings_once_each_in_the_order_of_their_times) {
    auto& clock = timer::shared();
    std::mutex mutex;
    std::vector<int> rung;
    std::promise<void> last;
    const auto ring = [&](int which) {
        return [&, which] {
            const std::lock_guard lock(mutex);
            rung.push_back(which);
            if (which == 3) last.set_value();
        };
    };
    clock.set(30ms, ring(3));
    clock.set(1ms, ring(1));
    clock.set(10ms, ring(2));
    last.get_future().wait();
    const std::lock_guard lock(mutex);
    EXPECT_EQ(rung, (std::vector{1, 2, 3}));
}

TEST(timer, what_is_cancelled_does_not_ring) {
    auto& clock = timer::shared();
    std::atomic<bool> has_rung = false;
    std::promise<void> later;
    const auto which = clock.set(5ms, [&] { has_rung = true; });
    clock.cancel(which);
    clock.cancel(which);
    clock.set(20ms, [&] { later.set_value(); });
    later.get_future().wait();
    EXPECT_FALSE(has_rung);
}

TEST(timer, who_cancels_waits_for_what_rings) {
    auto& clock = timer::shared();
    std::promise<void> begun;
    std::atomic<bool> has_ended = false;
    const auto which = clock.set(0ms, [&] {
        begun.set_value();
        std::this_thread::sleep_for(20ms);
        has_ended = true;
    });
    begun.get_future().wait();
    clock.cancel(which);
    EXPECT_TRUE(has_ended);
}

TEST(timer, rings_in_the_order_of_the_times) {
    auto& clock = timer::shared();
    std::promise<void> all;
    std::mutex mutex;
    std::vector<int> rung;
    const auto ring = [&](int which) {
        const std::lock_guard lock(mutex);
        rung.push_back(which);
        if (rung.size() == 3) all.set_value();
    };
    const auto third = clock.set(std::chrono::milliseconds(600), [&] { ring(3); });
    clock.set(std::chrono::milliseconds(300), [&] { ring(2); });
    // While it sleeps until a later one.
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    clock.set(std::chrono::milliseconds(1), [&] { ring(1); });
    all.get_future().wait();
    clock.cancel(third);  // It has said so, and may be ringing still.
    EXPECT_EQ(rung, (std::vector{1, 2, 3}));
}

TEST(timer, what_was_cancelled_does_not_ring) {
    auto& clock = timer::shared();
    bool has_rung = false;
    const auto first = clock.set(std::chrono::milliseconds(5), [&] { has_rung = true; });
    clock.cancel(first);
    std::promise<void> later;
    const auto second = clock.set(std::chrono::milliseconds(10), [&] { later.set_value(); });
    later.get_future().wait();
    clock.cancel(second);
    EXPECT_FALSE(has_rung);
}

TEST(timer, rings_in_a_process_that_was_forked) {
#ifdef WHERRY_SANITIZED
    GTEST_SKIP() << "a sanitizer does not follow a fork of several threads";
#endif
    std::promise<void> before;
    const auto in_parent = timer::shared().set(std::chrono::milliseconds(1), [&] { before.set_value(); });
    before.get_future().wait();
    timer::shared().cancel(in_parent);
    const auto child = ::fork();
    if (child == 0) {
        ::alarm(60);
        std::promise<void> rung;
        timer::shared().set(std::chrono::milliseconds(1), [&] { rung.set_value(); });
        rung.get_future().wait();
        ::_exit(0);
    }
    ASSERT_GT(child, 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace wherry
