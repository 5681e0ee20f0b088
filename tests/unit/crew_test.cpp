#include "crew.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

namespace wherry {
namespace {

TEST(crew, does_what_it_is_told_and_says_when_it_is_done) {
    int done = 0;
    for (int i = 0; i < 100; ++i) {
        auto task = crew::shared().run([&] { ++done; });
        ASSERT_TRUE(task.joinable());
        task.join();
        EXPECT_FALSE(task.joinable());
        EXPECT_EQ(done, i + 1);
    }
}

// Who waits for one another would wait for ever if any of them had to wait for a thread.
TEST(crew, all_that_was_begun_runs_at_the_same_time) {
    constexpr std::size_t many = 100;
    for (int round = 0; round < 3; ++round) {
        std::latch all_are_there(many);
        std::vector<crew::task> tasks;
        for (std::size_t i = 0; i < many; ++i)
            tasks.push_back(crew::shared().run([&] { all_are_there.arrive_and_wait(); }));
        for (auto& task : tasks) task.join();
    }
}

TEST(crew, one_can_wait_a_while_for_a_task) {
    std::promise<void> go;
    auto task = crew::shared().run([&] { go.get_future().wait(); });
    EXPECT_FALSE(task.wait_for(std::chrono::milliseconds(1)));
    EXPECT_TRUE(task.joinable());
    go.set_value();
    EXPECT_TRUE(task.wait_for(std::chrono::hours(1)));
    EXPECT_TRUE(task.joinable());
    task.join();
}

TEST(crew, what_was_done_holds_nothing_any_more) {
    auto held = std::make_shared<int>(1);
    auto task = crew::shared().run([held] {});
    task.join();
    EXPECT_EQ(held.use_count(), 1);
}

TEST(crew, a_task_may_begin_others_and_wait_for_them) {
    std::atomic<int> done = 0;
    auto outer = crew::shared().run([&] {
        std::array<crew::task, 8> inner;
        for (auto& task : inner) task = crew::shared().run([&] { ++done; });
        for (auto& task : inner) task.join();
        ++done;
    });
    outer.join();
    EXPECT_EQ(done, 9);
}

TEST(crew, threads_are_used_again) {
    // What else runs in this process may take one away in between, but hardly each time.
    const auto thread_of_a_task = [] {
        std::promise<std::thread::id> id;
        auto task = crew::shared().run([&] { id.set_value(std::this_thread::get_id()); });
        task.join();
        return id.get_future().get();
    };
    int again = 0;
    auto before = thread_of_a_task();
    for (int i = 0; i < 50; ++i) {
        // One that is done is not idle yet.
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
        const auto now = thread_of_a_task();
        again += now == before ? 1 : 0;
        before = now;
    }
    EXPECT_GT(again, 0);
}

TEST(crew, a_process_that_was_forked_has_threads_of_its_own) {
#ifdef WHERRY_SANITIZED
    GTEST_SKIP() << "a sanitizer does not follow a fork of several threads";
#endif
    crew::shared().run([] {}).join();
    // Until it is idle.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const auto child = ::fork();
    if (child == 0) {
        ::alarm(60);
        crew::shared().run([] {}).join();
        ::_exit(0);
    }
    ASSERT_GT(child, 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(crew_death_test, a_task_that_is_forgotten_ends_the_program) {
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_DEATH({ const auto forgotten = crew::shared().run([] {}); }, "");
}

}  // namespace
}  // namespace wherry
