// SPDX-License-Identifier: BSD-2-Clause
#include "overtaking_queue.hpp"
#include "wait_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <numeric>
#include <thread>
#include <vector>

namespace wherry {
namespace {

using namespace std::chrono_literals;

// Counts its destruction.
class ending_note {
public:
    explicit ending_note(std::atomic<int>& ended) noexcept : ended_(ended) {}
    ~ending_note() { ++ended_; }

private:
    std::atomic<int>& ended_;
};

class overtaking_queue_test : public testing::Test {
protected:
    using queue = overtaking_queue<int>;

    // Jobs below 0 wait until go() is called.
    queue make(std::size_t most_pending = 8, std::size_t most_threads = 4, std::chrono::milliseconds patience = 5ms,
               std::size_t most_together = 1) {
        return queue({most_pending, most_threads, patience, most_together},
                     {[this](std::span<int> group) {
                          for (const int job : group)
                              if (job < 0) may_go_.wait();
                          const std::lock_guard lock(mutex_);
                          done_.insert(done_.end(), group.begin(), group.end());
                          groups_.emplace_back(group.begin(), group.end());
                          ++unflushed_;
                          changed_.notify_all();
                      },
                      [this] {
                          const std::lock_guard lock(mutex_);
                          unflushed_ = 0;
                          ++flushes_;
                          changed_.notify_all();
                      },
                      [](int one, int other) { return one >= 100 && other >= 100; }});
    }
    void go() { go_.set_value(); }
    std::vector<int> done() {
        const std::lock_guard lock(mutex_);
        return done_;
    }
    template <class Condition>
    void await(Condition&& holds) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, holds);
    }

    std::promise<void> go_;
    std::shared_future<void> may_go_ = go_.get_future().share();
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<int> done_;
    std::vector<std::vector<int>> groups_;
    int unflushed_ = 0;
    int flushes_ = 0;
};

TEST_F(overtaking_queue_test, does_everything_and_flushes_it) {
    std::vector<int> all(5000);
    std::iota(all.begin(), all.end(), 0);
    {
        auto to_do = make();
        for (const int job : all) to_do.post(job);
        to_do.wait();
        EXPECT_EQ(done().size(), all.size());
        EXPECT_EQ(unflushed_, 0);
    }
    EXPECT_THAT(done(), testing::UnorderedElementsAreArray(all));
}

TEST_F(overtaking_queue_test, keeps_the_order_of_those_that_are_quick) {
    auto to_do = make(8, 4, 1h);
    std::vector<int> all(2000);
    std::iota(all.begin(), all.end(), 0);
    for (const int job : all) to_do.post(job);
    to_do.wait();
    EXPECT_EQ(done(), all);
}

TEST_F(overtaking_queue_test, a_job_that_takes_long_is_overtaken) {
    auto to_do = make();
    to_do.post(-1);
    to_do.post(1);
    to_do.post(2);
    await([&] { return done_.size() == 2 && unflushed_ == 0; });
    EXPECT_THAT(done(), testing::UnorderedElementsAre(1, 2));
    go();
    to_do.wait();
    EXPECT_THAT(done(), testing::UnorderedElementsAre(1, 2, -1));
}

TEST_F(overtaking_queue_test, one_that_comes_when_all_threads_are_busy_is_overtaking_too) {
    auto to_do = make();
    to_do.post(-1);
    to_do.post(-2);
    to_do.post(-3);
    to_do.post(4);
    await([&] { return done_.size() == 1 && unflushed_ == 0; });
    EXPECT_EQ(done(), std::vector{4});
    go();
    to_do.wait();
    EXPECT_EQ(done().size(), 4u);
}

TEST_F(overtaking_queue_test, what_a_quick_one_left_is_flushed_while_a_slow_one_takes_its_time) {
    // Without company it could not be: the only thread is in the slow one.
    for (const std::size_t threads : {1, 2, 4}) {
        go_ = {};
        may_go_ = go_.get_future().share();
        done_.clear();
        auto to_do = make(8, threads, 5ms);
        to_do.post(1);
        to_do.post(2);
        to_do.post(-1);
        await([&] { return done_.size() == 2 && unflushed_ == 0; });
        go();
    }
}

TEST_F(overtaking_queue_test, one_that_comes_behind_all_before_waits_for_them) {
    auto to_do = make();
    to_do.post(-1);
    to_do.post(1);
    await([&] { return done_.size() == 1; });
    to_do.post(2, queue::place::behind_all_before);
    to_do.post(3);
    std::this_thread::sleep_for(30ms);
    EXPECT_EQ(done(), std::vector{1});
    go();
    to_do.wait();
    // What comes behind it has waited long enough to be done beside it.
    EXPECT_THAT(done(), testing::AnyOf(testing::ElementsAre(1, -1, 2, 3), testing::ElementsAre(1, -1, 3, 2)));
}

TEST_F(overtaking_queue_test, one_that_had_to_wait_is_overtaken_as_any_other) {
    auto to_do = make();
    to_do.post(1);
    to_do.post(-2, queue::place::behind_all_before);
    to_do.post(3);
    await([&] { return done_.size() == 2 && unflushed_ == 0; });
    EXPECT_EQ(done(), (std::vector{1, 3}));
    go();
    to_do.wait();
    EXPECT_EQ(done().size(), 3u);
}

TEST_F(overtaking_queue_test, more_than_may_be_pending_wait_for_room) {
    auto to_do = make(3, 2);
    to_do.post(-1);
    to_do.post(-2);
    to_do.post(-3);
    std::atomic<bool> has_posted = false;
    const auto posting = std::async(std::launch::async, [&] {
        to_do.post(4);
        has_posted = true;
    });
    std::this_thread::sleep_for(20ms);
    EXPECT_FALSE(has_posted);
    go();
    posting.wait();
    to_do.wait();
    EXPECT_EQ(done().size(), 4u);
}

TEST_F(overtaking_queue_test, ends_in_order_with_jobs_still_waiting) {
    {
        auto to_do = make(8, 1);
        for (int job = 0; job < 8; ++job) to_do.post(job);
    }
    EXPECT_EQ(done().size(), 8u);
    EXPECT_EQ(unflushed_, 0);
}

TEST_F(overtaking_queue_test, what_leaves_no_room_is_done_in_order) {
    auto to_do = make(2, 4, 1h);
    for (const int job : {1, 2, 3, 4, 5}) to_do.post(job);
    to_do.wait();
    EXPECT_EQ(done(), (std::vector{1, 2, 3, 4, 5}));
}

TEST_F(overtaking_queue_test, each_is_done_without_another_that_follows) {
    auto to_do = make();
    for (const int job : {1, 2, 3}) {
        to_do.post(job);
        await([&] { return done_.size() == static_cast<std::size_t>(job) && unflushed_ == 0; });
        // Once while the thread has just been busy, and once when it has waited.
        if (job == 2) std::this_thread::sleep_for(30ms);
    }
}

TEST_F(overtaking_queue_test, each_overtakes_without_another_that_follows) {
    auto to_do = make();
    to_do.post(-1);
    for (const int job : {1, 2, 3}) {
        to_do.post(job);
        await([&] { return done_.size() == static_cast<std::size_t>(job) && unflushed_ == 0; });
        if (job == 2) std::this_thread::sleep_for(30ms);
    }
    go();
}

TEST_F(overtaking_queue_test, those_that_go_together_are_done_as_groups) {
    auto to_do = make(16, 1, 1h, 3);
    to_do.post(-1);
    for (const int job : {100, 101, 102, 103, 4, 5, 106, 107}) to_do.post(job);
    to_do.post(108, queue::place::behind_all_before);
    to_do.post(109);
    to_do.post(110);
    go();
    to_do.wait();
    EXPECT_EQ(groups_,
              (std::vector<std::vector<int>>{{-1}, {100, 101, 102}, {103}, {4}, {5}, {106, 107}, {108}, {109, 110}}));
}

TEST_F(overtaking_queue_test, a_group_that_takes_long_is_overtaken) {
    auto to_do = make(16, 4, 5ms, 8);
    to_do.post(-1);
    for (const int job : {100, 101}) to_do.post(job);
    await([&] { return done_.size() == 2 && unflushed_ == 0; });
    EXPECT_EQ(groups_, (std::vector<std::vector<int>>{{100, 101}}));
    go();
    to_do.wait();
}

TEST_F(overtaking_queue_test, a_thread_that_has_nothing_to_do_ends) {
    std::vector<std::thread::id> ids;
    std::atomic<int> ended = 0;
    overtaking_queue<int> to_do({8, 1, 5ms, 1, 1ms}, {[&](std::span<int>) {
                                                          // Is destroyed with its thread.
                                                          thread_local const ending_note note(ended);
                                                          ids.push_back(std::this_thread::get_id());
                                                      },
                                                      [] {}});
    to_do.post(1);
    to_do.wait();
    wait_until([&] { return ended != 0; });
    // Another is started for what comes then.
    to_do.post(2);
    to_do.wait();
    EXPECT_EQ(ids.size(), 2u);
}

}  // namespace
}  // namespace wherry
