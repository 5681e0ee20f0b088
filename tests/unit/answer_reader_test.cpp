#include "answer_reader.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace wherry {
namespace {

using namespace std::chrono_literals;
using clock = answer_reader::clock;

constexpr std::chrono::hours for_ever{1};

// A peer that says what the test has it say, and who heard each of it.
class scripted_steps final : public answer_reader::steps {
public:
    enum class word { something, end, failure };

    void say(word next) {
        const std::lock_guard lock(mutex_);
        said_.push_back(next);
        changed_.notify_all();
    }
    std::thread::id heard_by(std::size_t index) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return heard_by_.size() > index; });
        return heard_by_[index];
    }
    // "" if that was the end; nothing while it goes on.
    std::optional<std::string> ended() {
        const std::lock_guard lock(mutex_);
        return ended_;
    }
    void wait_until_read_by_another() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return is_read_ && reader_ != std::this_thread::get_id(); });
    }

private:
    bool read_next(const std::optional<clock::time_point>& until) override {
        std::unique_lock lock(mutex_);
        EXPECT_FALSE(is_read_) << "two read at the same time";
        EXPECT_FALSE(ended_) << "it was read after the end";
        is_read_ = true;
        reader_ = std::this_thread::get_id();
        changed_.notify_all();
        const auto is_there = [&] { return !said_.empty(); };
        if (!until)
            changed_.wait(lock, is_there);
        else
            changed_.wait_until(lock, std::min(*until, clock::now() + 10ms), is_there);
        is_read_ = false;
        if (said_.empty()) return true;
        const auto heard = said_.front();
        said_.erase(said_.begin());
        heard_by_.push_back(std::this_thread::get_id());
        changed_.notify_all();
        if (heard == word::failure) throw error(errc::integrity, "what came was altered");
        return heard == word::something;
    }
    void reading_has_ended(const error* why) noexcept override {
        const std::lock_guard lock(mutex_);
        EXPECT_FALSE(ended_) << "it ended twice";
        ended_ = why ? why->what() : "";
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<word> said_;
    std::vector<std::thread::id> heard_by_;
    bool is_read_ = false;
    std::thread::id reader_;
    std::optional<std::string> ended_;
};

using word = scripted_steps::word;

TEST(answer_reader, in_a_short_sending_who_waits_reads) {
    scripted_steps peer;
    answer_reader answers(peer, for_ever);
    answers.begin();
    peer.say(word::something);
    EXPECT_TRUE(answers.listen());
    EXPECT_EQ(peer.heard_by(0), std::this_thread::get_id());
    EXPECT_FALSE(peer.ended());
    peer.say(word::end);
    EXPECT_TRUE(answers.listen());
    EXPECT_EQ(peer.ended(), "");
    EXPECT_FALSE(answers.listen());
    EXPECT_TRUE(answers.wait_for_end(0ms));
    answers.join();
}

TEST(answer_reader, before_it_begins_there_is_nothing_to_hear) {
    scripted_steps peer;
    peer.say(word::something);
    answer_reader answers(peer, for_ever);
    EXPECT_FALSE(answers.listen());
    answers.join();
    EXPECT_FALSE(peer.ended());
}

TEST(answer_reader, one_that_lasts_has_a_thread) {
    scripted_steps peer;
    answer_reader answers(peer, for_ever);
    answers.begin();
    answers.lasts();
    answers.lasts();
    peer.say(word::something);
    EXPECT_NE(peer.heard_by(0), std::this_thread::get_id());
    EXPECT_FALSE(answers.listen());
    EXPECT_FALSE(answers.wait_for_end(1ms));
    peer.say(word::end);
    EXPECT_TRUE(answers.wait_for_end(for_ever));
    EXPECT_EQ(peer.ended(), "");
    answers.join();
}

TEST(answer_reader, time_makes_it_last) {
    scripted_steps peer;
    answer_reader answers(peer, 1ms);
    answers.begin();
    peer.wait_until_read_by_another();
    peer.say(word::end);
    answers.join();
    EXPECT_NE(peer.heard_by(0), std::this_thread::get_id());
}

TEST(answer_reader, a_thread_takes_over_from_who_reads) {
    scripted_steps peer;
    answer_reader answers(peer, 1ms);
    answers.begin();
    // Each returns after a while without having heard anything, until it is not its turn any more.
    while (answers.listen()) continue;
    peer.say(word::something);
    EXPECT_NE(peer.heard_by(0), std::this_thread::get_id());
    peer.say(word::end);
    answers.join();
}

TEST(answer_reader, a_failure_is_told_once_whoever_reads) {
    for (const bool lasts : {false, true}) {
        scripted_steps peer;
        answer_reader answers(peer, for_ever);
        answers.begin();
        if (lasts) answers.lasts();
        peer.say(word::failure);
        EXPECT_TRUE(answers.wait_for_end(for_ever));
        answers.join();
        EXPECT_EQ(peer.ended(), "what came was altered");
        EXPECT_FALSE(answers.listen());
    }
}

TEST(answer_reader, to_listen_ends_in_time) {
    scripted_steps peer;
    answer_reader answers(peer, for_ever);
    answers.begin();
    const auto until = clock::now() + 30ms;
    while (clock::now() < until) ASSERT_TRUE(answers.listen(until));
    EXPECT_FALSE(answers.wait_for_end(1ms));
    peer.say(word::end);
    answers.join();
    EXPECT_EQ(peer.ended(), "");
}

}  // namespace
}  // namespace wherry
