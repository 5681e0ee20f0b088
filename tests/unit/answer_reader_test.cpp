#include "answer_reader.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "link_writer.hpp"
#include "memory_stream.hpp"
#include "observer_gate.hpp"
#include "outgoing.hpp"
#include "plain_cipher.hpp"

namespace wherry {
namespace {

using namespace std::chrono_literals;
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
    void wait_until_read() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return is_read_; });
    }
    void cut() noexcept override {
        const std::lock_guard lock(mutex_);
        is_cut_ = true;
        changed_.notify_all();
    }

private:
    bool read_next() override {
        std::unique_lock lock(mutex_);
        EXPECT_FALSE(is_read_) << "two read at the same time";
        EXPECT_FALSE(ended_) << "it was read after the end";
        is_read_ = true;
        changed_.notify_all();
        changed_.wait(lock, [&] { return !said_.empty() || is_cut_; });
        is_read_ = false;
        if (said_.empty()) throw error(errc::disconnected, "the link was cut");
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
    bool is_read_ = false, is_cut_ = false;
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
    answers.end_within(for_ever);
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
    peer.say(word::end);
    answers.end_within(for_ever);
    EXPECT_EQ(peer.ended(), "");
}

TEST(answer_reader, time_makes_it_last) {
    scripted_steps peer;
    answer_reader answers(peer, 1ms);
    answers.begin();
    peer.wait_until_read();
    peer.say(word::end);
    EXPECT_NE(peer.heard_by(0), std::this_thread::get_id());
    answers.join();
}

TEST(answer_reader, a_thread_takes_over_when_who_reads_has_heard_something) {
    scripted_steps peer;
    answer_reader answers(peer, for_ever);
    answers.begin();
    auto later = std::async(std::launch::async, [&] {
        peer.wait_until_read();
        answers.lasts();
        peer.say(word::something);
    });
    EXPECT_TRUE(answers.listen());
    EXPECT_EQ(peer.heard_by(0), std::this_thread::get_id());
    later.get();
    EXPECT_FALSE(answers.listen());
    peer.say(word::something);
    EXPECT_NE(peer.heard_by(1), std::this_thread::get_id());
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
        answers.end_within(for_ever);
        EXPECT_EQ(peer.ended(), "what came was altered");
        EXPECT_FALSE(answers.listen());
    }
}

TEST(answer_reader, a_peer_that_does_not_end_is_cut) {
    for (const bool lasts : {false, true}) {
        scripted_steps peer;
        answer_reader answers(peer, for_ever);
        answers.begin();
        if (lasts) answers.lasts();
        peer.say(word::something);
        answers.end_within(20ms);
        EXPECT_EQ(peer.ended(), "the link was cut");
    }
}

TEST(answer_reader, another_stands_in_for_who_reads) {
    scripted_steps peer;
    answer_reader answers(peer, for_ever);
    answers.begin();
    bool was_said = false;
    auto later = std::async(std::launch::async, [&] {
        peer.wait_until_read();
        answers.interrupt(
            [&] {
                peer.say(word::something);
                std::this_thread::sleep_for(10ms);
                was_said = true;
            },
            for_ever);
    });
    EXPECT_TRUE(answers.listen());
    later.get();
    // It has ended by then.
    EXPECT_TRUE(was_said);
    // Who is to say something does not wait, and who takes leave does.
    EXPECT_TRUE(answers.listen());
    peer.say(word::end);
    answers.end_within(for_ever);
    EXPECT_EQ(peer.ended(), "");
}

TEST(answer_reader, who_is_stood_in_for_and_hears_nothing_is_cut) {
    scripted_steps peer;
    answer_reader answers(peer, for_ever);
    answers.begin();
    auto later = std::async(std::launch::async, [&] {
        peer.wait_until_read();
        answers.interrupt([] {}, 20ms);
    });
    EXPECT_TRUE(answers.listen());
    later.get();
    EXPECT_EQ(peer.ended(), "the link was cut");
    answers.join();
}

TEST(answer_reader, nobody_stands_in_for_who_does_not_read) {
    for (const bool lasts : {false, true}) {
        scripted_steps peer;
        answer_reader answers(peer, for_ever);
        answers.begin();
        if (lasts) answers.lasts();
        bool was_said = false;
        answers.interrupt([&] { was_said = true; }, for_ever);
        EXPECT_EQ(answers.listen(), !lasts);
        EXPECT_FALSE(was_said);
        peer.say(word::end);
        answers.end_within(for_ever);
        EXPECT_EQ(peer.ended(), "");
    }
}

// ---- Which sendings last ----

class one_item final : public source {
public:
    explicit one_item(std::uint64_t size) { what_.size = size; }
    const offer& what() const noexcept override { return what_; }
    std::size_t read(mutable_bytes into) override {
        const auto count = std::min<std::size_t>(into.size(), *what_.size - position_);
        std::fill_n(into.begin(), count, std::byte{'x'});
        position_ += count;
        return count;
    }
    bool may_wait() const noexcept override { return waits; }

    bool waits = false;

private:
    offer what_;
    std::size_t position_ = 0;
};

class lasting_test : public testing::Test {
protected:
    ~lasting_test() override {
        peer_.say(word::end);
        answers_.join();
    }
    void send(std::uint64_t size, bool waits = false) {
        one_item item(size);
        item.waits = waits;
        sending_.send(sending_.announce(item, {}), item);
        sending_.flush();
    }

    test::plain_cipher cipher_;
    test::memory_link link_;
    const std::unique_ptr<session> over_ =
        session::open(role::initiator, std::move(link_.initiator), cipher_, "plain", nullptr, {});
    exchange_observer nobody_;
    observer_gate gate_{nobody_};
    link_writer writer_{*over_, for_ever};
    scripted_steps peer_;
    answer_reader answers_{peer_, for_ever};
    outgoing_transfers sending_{*over_, {}, writer_, gate_, answers_};
};

TEST_F(lasting_test, few_items_and_bytes_do_not) {
    answers_.begin();
    for (int i = 0; i < 16; ++i) send(200'000);
    peer_.say(word::something);
    EXPECT_TRUE(answers_.listen());
    EXPECT_EQ(peer_.heard_by(0), std::this_thread::get_id());
}

TEST_F(lasting_test, many_items_do) {
    answers_.begin();
    for (int i = 0; i < 17; ++i) send(1);
    peer_.say(word::something);
    EXPECT_NE(peer_.heard_by(0), std::this_thread::get_id());
}

TEST_F(lasting_test, many_bytes_do) {
    answers_.begin();
    send(5'000'000);
    peer_.say(word::something);
    EXPECT_NE(peer_.heard_by(0), std::this_thread::get_id());
}

TEST_F(lasting_test, a_pipe_does) {
    answers_.begin();
    send(1, true);
    peer_.say(word::something);
    EXPECT_NE(peer_.heard_by(0), std::this_thread::get_id());
}

}  // namespace
}  // namespace wherry
