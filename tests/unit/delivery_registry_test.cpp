// SPDX-License-Identifier: BSD-2-Clause
#include "delivery_registry.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "claimed_delivery.hpp"
#include "collected_response.hpp"
#include "error_of.hpp"
#include "memory_stream.hpp"
#include "plain_cipher.hpp"
#include "recording_sink.hpp"
#include "wait_until.hpp"
#include "wherry/engine/receiver.hpp"
#include "wherry/engine/sender.hpp"
#include "wherry/limits.hpp"

namespace wherry {
namespace {

using namespace std::chrono_literals;
using test::error_of;
using test::memory_link;
using test::plain_cipher;
using test::recording_sink;
using testing::ElementsAre;
using testing::HasSubstr;

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 131 + i / 251) & 0xFF);
    return text;
}

// Content that may stop in the middle: read() then waits until it is told to go on. What comes before fits one record,
// so that the sink has all of it once it has any.
class text_source final : public source {
public:
    text_source(std::string name, std::string content) : content_(std::move(content)) {
        what_.name = std::move(name);
        what_.size = content_.size();
    }
    text_source& resumable() {
        what_.wants_resume = true;
        return *this;
    }
    text_source& stops_at(std::size_t position) {
        stops_at_ = position;
        return *this;
    }
    void go_on() { may_go_on_.set_value(); }

    const offer& what() const noexcept override { return what_; }
    std::size_t read(mutable_bytes into) override {
        if (position_ >= stops_at_) {
            may_go_on_.get_future().wait();
            stops_at_ = std::string::npos;
        }
        const auto end = std::min(content_.size(), stops_at_);
        const auto count = std::min(into.size(), end - position_);
        std::copy_n(as_bytes(content_).begin() + static_cast<std::ptrdiff_t>(position_), count, into.begin());
        position_ += count;
        return count;
    }
    void seek(std::uint64_t position) override { position_ = position; }
    // Before it waits, what it gave is sent.
    bool may_wait() const noexcept override { return true; }

private:
    offer what_;
    const std::string content_;
    std::size_t position_ = 0;
    std::size_t stops_at_ = std::string::npos;
    std::promise<void> may_go_on_;
};

struct noting_observer final : sending_observer {
    void answered(transfer_id, const offer&, const delivery_result& result) override {
        const std::lock_guard lock(mutex);
        answer = result;
        changed.notify_all();
    }
    delivery_result wait_for_answer() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return answer.has_value(); });
        return *answer;
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::optional<delivery_result> answer;
};

// One connection: its sender on the test's thread, its receiver on another.
class meeting {
public:
    meeting(delivery_registry& known, sink& into, std::string who, std::chrono::milliseconds sender_pings = 1h,
            std::chrono::milliseconds receiver_pings = 1h)
        : cipher_(std::move(who)) {
        memory_link link;
        channel_options at_sender, at_receiver;
        at_sender.ping_interval = sender_pings;
        at_receiver.ping_interval = receiver_pings;
        serving_ = std::async(std::launch::async, [this, &known, &into, at_receiver,
                                                   responder = std::shared_ptr<connection>(std::move(link.responder))] {
            receiving_observer nobody;
            try {
                engine::receiver serving(
                    secure_channel::open(role::responder, responder, cipher_, "plain", nullptr, at_receiver), into,
                    nobody, {.deliveries = &known});
                serving.serve();
            } catch (const error&) {
            }
        });
        sending_.emplace(
            secure_channel::open(role::initiator, std::move(link.initiator), cipher_, "plain", nullptr, at_sender),
            sender_options{}, observer_);
    }

    engine::sender& sending() { return *sending_; }

    // Sends, and returns the answer.
    delivery_result deliver(source& item, const delivery_attempt& attempt) {
        transfer_id id = 0;
        try {
            id = sending_->announce(item, attempt);
        } catch (const error& e) {
            delivery_result never_offered;
            never_offered.failure = e.code();
            return never_offered;
        }
        try {
            sending_->send(id, item);
            sending_->finish();
        } catch (const error&) {
            // The answer tells.
        }
        return observer_.wait_for_answer();
    }

    void cut() {
        sending_->abort();
        serving_.wait();
    }

private:
    plain_cipher cipher_;
    noting_observer observer_;
    std::future<void> serving_;  // waits for the other side, which ends when this one does
    std::optional<engine::sender> sending_;
};

class deliveries : public testing::Test {
protected:
    // Delivers x, but the answer is lost.
    void lose_answer(const std::string& who, const std::string& content = "content") {
        std::promise<void> finishing, is_cut;
        sink_.on_call = [&](const std::string& call, const std::string&) {
            if (call != "finish") return;
            finishing.set_value();
            is_cut.get_future().wait();
        };
        meeting first(known_, sink_, who);
        text_source item("x", content);
        auto sent = std::async(std::launch::async, [&] { return first.deliver(item, {id_, false}); });
        finishing.get_future().wait();
        first.sending().abort();
        EXPECT_TRUE(sent.get().is_uncertain);
        sink_.on_call = nullptr;
        is_cut.set_value();
        first.cut();
    }

    std::ptrdiff_t count(const std::string& call) const {
        const auto calls = sink_.calls();
        return std::count(calls.begin(), calls.end(), call);
    }

    delivery_registry known_;
    recording_sink sink_;
    const delivery_id id_ = make_delivery_id();
};

// ---- Answers that were lost ----

TEST_F(deliveries, ids_are_not_alike) { EXPECT_NE(make_delivery_id(), make_delivery_id()); }

TEST_F(deliveries, what_was_delivered_is_answered_again_and_not_taken_again) {
    lose_answer("SHA256:alice");
    meeting later(known_, sink_, "SHA256:alice");
    text_source again("x", "content");
    const auto answer = later.deliver(again, {id_, true});
    EXPECT_TRUE(answer.ok()) << answer.text;
    EXPECT_EQ(as_text(answer.response), "thanks");
    EXPECT_EQ(count("begin x"), 1);
    EXPECT_EQ(count("finish x"), 1);
}

TEST_F(deliveries, what_was_delivered_is_answered_to_who_would_resume_it) {
    lose_answer("SHA256:alice");
    meeting later(known_, sink_, "SHA256:alice");
    text_source again("x", "content");
    // The sender waits for ACCEPT here, and nothing of the content is sent.
    const auto answer = later.deliver(again.resumable(), {id_, true});
    EXPECT_TRUE(answer.ok()) << answer.text;
    EXPECT_EQ(answer.bytes, 0u);
    EXPECT_EQ(count("begin x"), 1);
}

TEST_F(deliveries, another_peer_cannot_ask_for_an_answer_that_is_not_its_own) {
    sink_.response_text = "for Alice";
    lose_answer("SHA256:alice");
    sink_.response_text = "for Mallory";
    meeting other(known_, sink_, "SHA256:mallory");
    text_source same("x", "content");
    const auto answer = other.deliver(same, {id_, true});
    EXPECT_EQ(as_text(answer.response), "for Mallory");
    EXPECT_EQ(count("finish x"), 2);
    // Nor has that changed what Alice hears.
    meeting later(known_, sink_, "SHA256:alice");
    text_source again("x", "content");
    EXPECT_EQ(as_text(later.deliver(again, {id_, true}).response), "for Alice");
}

TEST_F(deliveries, an_item_that_has_changed_is_another_delivery) {
    lose_answer("SHA256:alice");
    meeting later(known_, sink_, "SHA256:alice");
    text_source changed("x", "other content");
    EXPECT_TRUE(later.deliver(changed, {id_, true}).ok());
    EXPECT_EQ(count("finish x"), 2);
    EXPECT_EQ(sink_.finished().at("x").content, "other content");
}

TEST_F(deliveries, an_attempt_waits_for_the_earlier_one_to_finish) {
    std::promise<void> finishing, may_finish;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call != "finish") return;
        finishing.set_value();
        may_finish.get_future().wait();
    };
    meeting first(known_, sink_, "SHA256:alice");
    text_source item("x", "content"), again("x", "content");
    first.sending().send(first.sending().announce(item, {id_, false}), item);
    first.sending().flush();
    finishing.get_future().wait();
    meeting second(known_, sink_, "SHA256:alice");
    auto answer = std::async(std::launch::async, [&] { return second.deliver(again, {id_, true}); });
    EXPECT_EQ(answer.wait_for(50ms), std::future_status::timeout);
    may_finish.set_value();
    EXPECT_TRUE(answer.get().ok());
    EXPECT_EQ(count("finish x"), 1);
}

TEST_F(deliveries, a_failure_at_the_end_is_answered_again) {
    struct failing : sink {
        struct item : delivery {
            explicit item(failing& of) : of(of) {}
            void write(const_bytes) override {}
            void finish(response&) override {
                ++of.finished;
                throw error(of.how, "no");
            }
            void abort(partial) noexcept override {}
            failing& of;
        };
        std::unique_ptr<delivery> begin(const offer&, const offering_peer&) override {
            return std::make_unique<item>(*this);
        }
        errc how = errc::refused;
        std::atomic<int> finished = 0;
    } into;
    // Unless the next attempt may succeed: the sink's destination was not reached, or the sink had no room.
    for (const auto& [how, times] : {std::pair{errc::refused, 1}, {errc::disconnected, 2}, {errc::exhausted, 2}}) {
        into.how = how;
        into.finished = 0;
        const delivery_attempt attempt{make_delivery_id(), true};
        meeting first(known_, into, "SHA256:alice"), second(known_, into, "SHA256:alice");
        text_source item("x", "1"), again("x", "1");
        first.sending().send(first.sending().announce(item, attempt), item);
        first.sending().flush();
        wait_until([&] { return into.finished != 0; });
        EXPECT_EQ(second.deliver(again, attempt).failure, how);
        EXPECT_EQ(into.finished, times);
    }
}

TEST_F(deliveries, nothing_is_remembered_of_what_the_peer_has_heard) {
    {
        meeting one(known_, sink_, "SHA256:alice");
        text_source item("x", "content");
        EXPECT_TRUE(one.deliver(item, {id_, false}).ok());
    }
    EXPECT_EQ(known_.remembered(), 0u);
    lose_answer("SHA256:alice", "other");
    EXPECT_EQ(known_.remembered(), 1u);
    meeting later(known_, sink_, "SHA256:alice");
    text_source again("x", "other");
    EXPECT_TRUE(later.deliver(again, {id_, true}).ok());
    wait_until([&] { return known_.remembered() == 0; });
}

TEST_F(deliveries, an_answer_to_what_was_never_sent_whole_is_a_lie) {
    lose_answer("SHA256:alice");
    meeting later(known_, sink_, "SHA256:alice");
    text_source again("x", "content");
    // A sender that knows that it has not sent all of it does not believe that it is there.
    EXPECT_EQ(later.deliver(again.resumable(), {id_, false}).failure, errc::protocol);
}

TEST_F(deliveries, one_delivery_is_under_way_once_on_a_connection) {
    meeting one(known_, sink_, "SHA256:alice");
    text_source first("x", "1"), second("x", "2");
    const auto id = one.sending().announce(first, {id_, false});
    one.sending().send(one.sending().announce(second, {id_, false}), second);
    one.sending().send(id, first);
    one.sending().finish();
    EXPECT_EQ(count("finish x"), 1);
    EXPECT_EQ(sink_.finished().at("x").content, "1");
}

// ---- Connections that are dead and look alive ----

TEST_F(deliveries, a_newer_attempt_takes_over_from_a_connection_that_hangs) {
    const auto content = pattern(200'000);
    meeting hanging(known_, sink_, "SHA256:alice");
    text_source half("x", content), again("x", content);
    half.resumable().stops_at(50'000);
    auto first = std::async(std::launch::async, [&] { return hanging.deliver(half, {id_, false}); });
    wait_until([&] { return sink_.has_call("write x"); });
    meeting newer(known_, sink_, "SHA256:alice");
    const auto answer = newer.deliver(again.resumable(), {id_, false});
    EXPECT_TRUE(answer.ok()) << answer.text;
    EXPECT_GT(answer.resumed_from, 0u);
    EXPECT_EQ(answer.resumed_from + answer.bytes, content.size());
    EXPECT_TRUE(sink_.finished().at("x").content == content);
    // The older one had ended before the newer one began.
    auto calls = sink_.calls();
    std::erase(calls, "write x");
    EXPECT_THAT(calls, ElementsAre("begin x", "keep x", "begin x", "finish x"));
    // Its link is cut, for its sender has left it.
    half.go_on();
    EXPECT_FALSE(first.get().ok());
}

TEST_F(deliveries, what_cannot_be_resumed_is_taken_over_as_well) {
    meeting hanging(known_, sink_, "SHA256:alice");
    text_source half("x", pattern(50'000)), again("x", pattern(50'000));
    half.stops_at(20'000);
    auto first = std::async(std::launch::async, [&] { return hanging.deliver(half, {id_, false}); });
    wait_until([&] { return sink_.has_call("write x"); });
    meeting newer(known_, sink_, "SHA256:alice");
    EXPECT_TRUE(newer.deliver(again, {id_, false}).ok());
    EXPECT_EQ(count("drop x"), 1);
    EXPECT_EQ(count("finish x"), 1);
    half.go_on();
    EXPECT_FALSE(first.get().ok());
}

TEST_F(deliveries, a_sender_that_is_run_again_takes_over_from_a_connection_that_is_silent) {
    const auto content = pattern(200'000);
    meeting hanging(known_, sink_, "SHA256:alice");
    text_source half("x", content), again("x", content);
    half.resumable().stops_at(50'000);
    auto first = std::async(std::launch::async, [&] { return hanging.deliver(half, {id_, false}); });
    wait_until([&] { return sink_.has_call("write x"); });
    meeting newer(known_, sink_, "SHA256:alice", 1h, 20ms);
    const auto answer = newer.deliver(again.resumable(), {make_delivery_id(), false});
    EXPECT_TRUE(answer.ok()) << answer.text;
    EXPECT_GT(answer.resumed_from, 0u);
    EXPECT_EQ(sink_.finished().size(), 1u);
    // It was alive after all: it learns what happened, and nothing of it gets into the sink.
    half.go_on();
    const auto late = first.get();
    EXPECT_EQ(late.failure, errc::refused);
    EXPECT_THAT(late.text, HasSubstr("newer connection"));
    EXPECT_EQ(count("finish x"), 1);
}

TEST_F(deliveries, who_sends_the_same_at_the_same_time_is_left_alone) {
    const auto content = pattern(200'000);
    // Says PING more often than it must.
    meeting living(known_, sink_, "SHA256:alice", 1ms);
    text_source slow("x", content), quick("x", content);
    slow.resumable().stops_at(50'000);
    auto first = std::async(std::launch::async, [&] { return living.deliver(slow, {id_, false}); });
    wait_until([&] { return sink_.has_call("write x"); });
    meeting other(known_, sink_, "SHA256:alice", 1h, 200ms);
    EXPECT_TRUE(other.deliver(quick.resumable(), {make_delivery_id(), false}).ok());
    slow.go_on();
    EXPECT_TRUE(first.get().ok());
    EXPECT_EQ(count("finish x"), 2);
    EXPECT_FALSE(sink_.has_call("keep x"));
}

TEST_F(deliveries, another_peer_cannot_take_over) {
    const auto content = pattern(200'000);
    for (const bool knows_id : {false, true}) {
        for (const std::string victim : {"SHA256:alice", ""}) {
            recording_sink into;
            meeting slow_link(known_, into, victim);
            text_source slow("x", content), stolen("x", content);
            slow.resumable().stops_at(50'000);
            const auto id = make_delivery_id();
            auto first = std::async(std::launch::async, [&] { return slow_link.deliver(slow, {id, false}); });
            wait_until([&] { return into.has_call("write x"); });
            // The sink knows whose a partial is; here it is about who is aborted.
            recording_sink of_mallory;
            meeting other(known_, of_mallory, "SHA256:mallory", 1h, 1ms);
            EXPECT_TRUE(other.deliver(stolen.resumable(), {knows_id ? id : make_delivery_id(), false}).ok());
            slow.go_on();
            EXPECT_TRUE(first.get().ok());
            EXPECT_FALSE(into.has_call("keep x"));
        }
    }
}

TEST_F(deliveries, peers_without_a_key_take_over_only_by_the_id) {
    const auto content = pattern(200'000);
    meeting hanging(known_, sink_, "");
    text_source half("x", content), other("x", content), again("x", content);
    half.resumable().stops_at(50'000);
    auto first = std::async(std::launch::async, [&] { return hanging.deliver(half, {id_, false}); });
    wait_until([&] { return sink_.has_call("write x"); });
    {
        meeting somebody(known_, sink_, "", 1h, 1ms);
        EXPECT_TRUE(somebody.deliver(other.resumable(), {make_delivery_id(), false}).ok());
        EXPECT_FALSE(sink_.has_call("keep x"));
    }
    meeting newer(known_, sink_, "", 1h, 1ms);
    EXPECT_TRUE(newer.deliver(again.resumable(), {id_, false}).ok());
    EXPECT_TRUE(sink_.has_call("keep x"));
    half.go_on();
    EXPECT_FALSE(first.get().ok());
}

TEST_F(deliveries, many_attempts_at_once_deliver_once) {
    for (int round = 0; round < 20; ++round) {
        recording_sink into;
        const auto id = make_delivery_id();
        std::vector<std::future<bool>> attempts;
        for (int i = 0; i < 8; ++i)
            attempts.push_back(std::async(std::launch::async, [&] {
                meeting one(known_, into, "SHA256:alice", 1h, 1ms);
                text_source item("x", pattern(30'000));
                return one.deliver(item.resumable(), {id, true}).ok();
            }));
        std::ptrdiff_t answered = 0;
        for (auto& attempt : attempts) answered += attempt.get() ? 1 : 0;
        const auto calls = into.calls();
        // Results are forgotten once a peer has heard one, so a straggler may well deliver anew; but never two at once.
        int open = 0;
        for (const auto& call : calls) {
            if (call == "begin x") ++open;
            if (call == "finish x" || call == "keep x" || call == "drop x") --open;
            ASSERT_LE(open, 1);
        }
        EXPECT_GE(answered, 1);
        EXPECT_TRUE(into.finished().at("x").content == pattern(30'000));
    }
}

// ---- Bounds ----

class bounds : public testing::Test {
protected:
    struct answering : sink {
        struct item : delivery {
            explicit item(std::size_t bytes) : bytes(bytes) {}
            void write(const_bytes) override {}
            void finish(response& answer) override { answer.append(std::string(bytes, 'r')); }
            void abort(partial) noexcept override {}
            const std::size_t bytes;
        };
        std::unique_ptr<delivery> begin(const offer&, const offering_peer&) override { return nullptr; }
    };

    void deliver(const delivery_id& id, std::size_t response_bytes) {
        auto claimed = take(id);
        ASSERT_TRUE(claimed.delivery);
        claimed.delivery->begin([&] { return std::make_unique<answering::item>(response_bytes); });
        collected_response answer;
        claimed.delivery->finish(answer);
    }
    delivery_registry::claim take(const delivery_id& id) {
        offer_frame offered;
        offered.what.name = "x";
        offered.what.id = id;
        return known.take(
            {number, *link.responder, std::make_shared<last_heard>(), who, 5s, [] { return false; }, living}, offered);
    }
    static delivery_id id_of(std::size_t number) {
        delivery_id id{};
        store_big_endian(mutable_bytes(id), static_cast<std::uint64_t>(number));
        return id;
    }

    delivery_registry known;
    const delivery_registry::connection_number number = known.new_connection();
    memory_link link;
    identity who{"ssh-ed25519", "", "SHA256:alice", ""};
    std::set<delivery_registry::connection_number> living;
};

TEST_F(bounds, the_oldest_results_give_way) {
    for (std::size_t i = 0; i < limits::max_remembered_results + 10; ++i) deliver(id_of(i), 1);
    EXPECT_EQ(known.remembered(), limits::max_remembered_results);
    EXPECT_FALSE(take(id_of(0)).earlier);
    EXPECT_TRUE(take(id_of(10)).earlier);
    EXPECT_TRUE(take(id_of(limits::max_remembered_results + 9)).earlier);
}

TEST_F(bounds, the_oldest_responses_give_way_before_the_results) {
    const auto large = limits::max_remembered_response_bytes / 2;
    for (std::size_t i = 0; i < 3; ++i) deliver(id_of(i), large);
    EXPECT_EQ(known.remembered(), 3u);
    EXPECT_EQ(take(id_of(0)).earlier.value().response.size(), 0u);
    EXPECT_EQ(take(id_of(1)).earlier.value().response.size(), large);
    EXPECT_EQ(take(id_of(2)).earlier.value().response.size(), large);
    known.forget(number, who);
    EXPECT_EQ(known.remembered(), 0u);
    for (std::size_t i = 0; i < 3; ++i) deliver(id_of(i), large);
    EXPECT_EQ(take(id_of(1)).earlier.value().response.size(), large);
}

TEST_F(bounds, a_claim_that_is_given_up_leaves_nothing) {
    { const auto claimed = take(id_of(1)); }
    auto claimed = take(id_of(1));
    claimed.delivery->begin([] { return std::make_unique<answering::item>(0); });
    claimed.delivery->abort(delivery::partial::drop);
    EXPECT_EQ(error_of([&] { claimed.delivery->write(as_bytes("x")); }).code(), errc::internal);
    EXPECT_TRUE(take(id_of(1)).delivery);
    EXPECT_EQ(known.remembered(), 0u);
}

TEST_F(bounds, a_claim_that_ends_with_its_delivery_unfinished_aborts_it) {
    recording_sink into;
    {
        const auto claimed = take(id_of(1));
        claimed.delivery->begin([&] {
            offer what;
            what.name = "x";
            return into.begin(what, {"", who});
        });
    }
    EXPECT_TRUE(into.has_call("drop x"));
    EXPECT_EQ(known.remembered(), 0u);
}

// ---- A wait for another connection ----

// Two connections of one peer want the same item, and the older one was heard of just now. A ping is due in an hour.
class waiting_claim : public bounds {
protected:
    delivery_registry::claim take_item(delivery_registry::connection_number connection) {
        offer_frame offered;
        offered.what.name = "x";
        offered.what.wants_resume = true;
        std::set<delivery_registry::connection_number> living_others;
        return known.take(
            {connection, *link.responder, std::make_shared<last_heard>(std::chrono::steady_clock::now()), who, 1h,
             [this] {
                 was_asked = true;
                 was_asked.notify_all();
                 return must_stop.load();
             },
             living_others},
            offered);
    }
    // Begins to wait for the other connection.
    std::future<delivery_registry::claim> take_elsewhere() {
        auto claim = std::async(std::launch::async, [this] { return take_item(elsewhere); });
        was_asked.wait(false);
        return claim;
    }

    const delivery_registry::connection_number elsewhere = known.new_connection();
    std::atomic<bool> was_asked{false}, must_stop{false};
};

TEST_F(waiting_claim, is_met_when_the_older_delivery_ends) {
    auto older = take_item(number);
    auto newer = take_elsewhere();
    older.delivery.reset();
    EXPECT_TRUE(newer.get().delivery);
}

TEST_F(waiting_claim, is_given_up_when_it_looks_again_and_must_stop) {
    const auto older = take_item(number);
    auto newer = take_elsewhere();
    known.look_again();
    must_stop = true;
    known.look_again();
    const auto failure = error_of([&] { newer.get(); });
    EXPECT_EQ(failure.code(), errc::disconnected);
    EXPECT_THAT(failure.what(), HasSubstr("shutting down"));
}

// ---- Groups ----

class claimed_group : public bounds {
protected:
    struct grouping final : group_commit {
        struct item final : delivery {
            item(grouping& into, std::optional<errc> failure) : of(into), how(failure) {}
            void write(const_bytes) override {}
            void finish(response&) override { ADD_FAILURE() << "finished by itself"; }
            group_commit* commits_with() noexcept override { return &of; }
            void abort(partial) noexcept override { ++of.aborted; }
            grouping& of;
            const std::optional<errc> how;
        };
        void finish_group(std::span<ending> all) noexcept override {
            if (meanwhile) meanwhile();
            finished += all.size();
            for (auto& one : all) {
                one.answer->append("done");
                const auto how = static_cast<item&>(*one.of).how;
                if (how) one.failure = error(*how, "no");
            }
        }
        std::function<void()> meanwhile;
        std::size_t finished = 0, aborted = 0;
    };

    std::unique_ptr<claimed_delivery> begin(std::size_t id, std::optional<errc> how = {}) {
        auto claimed = take(id_of(id)).delivery;
        claimed->begin([&] { return std::make_unique<grouping::item>(into, how); });
        EXPECT_EQ(claimed->commits_with(), &into);
        return claimed;
    }
    // By another connection of the same peer.
    delivery_registry::claim take_elsewhere(std::size_t id) {
        offer_frame offered;
        offered.what.name = "x";
        offered.what.id = id_of(id);
        return known.take(
            {elsewhere, *link.initiator, std::make_shared<last_heard>(), who, 5s, [] { return false; }, living},
            offered);
    }

    grouping into;
    const delivery_registry::connection_number elsewhere = known.new_connection();
};

TEST_F(claimed_group, is_remembered_one_by_one) {
    const auto good = begin(1), refused = begin(2, errc::refused), unreached = begin(3, errc::disconnected);
    std::array<collected_response, 3> answers;
    std::vector<claimed_delivery::ending> all = {
        {good.get(), &answers[0], {}}, {refused.get(), &answers[1], {}}, {unreached.get(), &answers[2], {}}};
    claimed_delivery::finish_group(all);
    EXPECT_EQ(into.finished, 3u);
    EXPECT_FALSE(all[0].failure);
    EXPECT_EQ(all[1].failure.value().code(), errc::refused);
    EXPECT_EQ(all[2].failure.value().code(), errc::disconnected);
    EXPECT_EQ(known.remembered(), 2u);
    const auto again = take(id_of(1)).earlier.value();
    EXPECT_FALSE(again.failure);
    EXPECT_EQ(as_text(again.response), "done");
    EXPECT_EQ(take(id_of(2)).earlier.value().failure, errc::refused);
    // What was not reached may be tried again.
    EXPECT_TRUE(take(id_of(3)).delivery);
    // They have ended.
    EXPECT_EQ(good->commits_with(), nullptr);
    EXPECT_EQ(error_of([&] { good->write(as_bytes("x")); }).code(), errc::internal);
}

TEST_F(claimed_group, what_was_taken_away_before_fails_alone) {
    const auto one = begin(1), taken = begin(2), other = begin(3);
    const auto newer = take_elsewhere(2);
    ASSERT_TRUE(newer.delivery);
    EXPECT_EQ(into.aborted, 1u);
    std::array<collected_response, 3> answers;
    std::vector<claimed_delivery::ending> all = {
        {one.get(), &answers[0], {}}, {taken.get(), &answers[1], {}}, {other.get(), &answers[2], {}}};
    claimed_delivery::finish_group(all);
    EXPECT_EQ(into.finished, 2u);
    EXPECT_FALSE(all[0].failure);
    EXPECT_THAT(all[1].failure.value().what(), HasSubstr("offered again over a newer connection"));
    EXPECT_FALSE(all[2].failure);
    // The newer one is under way still.
    EXPECT_EQ(known.remembered(), 2u);
}

TEST_F(claimed_group, what_a_newer_connection_has_is_not_taken_back_by_an_older_one) {
    const auto newer = take_elsewhere(1).delivery;
    newer->begin([&] { return std::make_unique<grouping::item>(into, std::nullopt); });
    EXPECT_EQ(error_of([&] { take(id_of(1)); }).code(), errc::disconnected);
    collected_response answer;
    std::vector<claimed_delivery::ending> all = {{newer.get(), &answer, {}}};
    claimed_delivery::finish_group(all);
    EXPECT_FALSE(all[0].failure);
    EXPECT_EQ(into.aborted, 0u);
    EXPECT_TRUE(take(id_of(1)).earlier);
}

TEST_F(claimed_group, where_all_were_taken_away_the_sink_is_not_asked) {
    const auto taken = begin(1);
    const auto newer = take_elsewhere(1);
    collected_response answer;
    std::vector<claimed_delivery::ending> all = {{taken.get(), &answer, {}}};
    claimed_delivery::finish_group(all);
    EXPECT_TRUE(all[0].failure);
    EXPECT_EQ(into.finished, 0u);
}

TEST_F(claimed_group, an_attempt_waits_for_the_group_and_hears_how_it_ended) {
    const auto one = begin(1), other = begin(2);
    std::future<delivery_registry::claim> newer;
    into.meanwhile = [&] {
        newer = std::async(std::launch::async, [&] { return take_elsewhere(2); });
        EXPECT_EQ(newer.wait_for(50ms), std::future_status::timeout);
    };
    std::array<collected_response, 2> answers;
    std::vector<claimed_delivery::ending> all = {{one.get(), &answers[0], {}}, {other.get(), &answers[1], {}}};
    claimed_delivery::finish_group(all);
    EXPECT_FALSE(all[1].failure);
    const auto claim = newer.get();
    EXPECT_FALSE(claim.delivery);
    EXPECT_EQ(as_text(claim.earlier.value().response), "done");
    EXPECT_EQ(into.aborted, 0u);
}

TEST_F(claimed_group, what_nobody_else_knows_is_finished_as_well) {
    claimed_delivery one, other;
    for (auto* const it : {&one, &other})
        it->begin([&] { return std::make_unique<grouping::item>(into, std::nullopt); });
    std::array<collected_response, 2> answers;
    std::vector<claimed_delivery::ending> all = {{&one, &answers[0], {}}, {&other, &answers[1], {}}};
    claimed_delivery::finish_group(all);
    EXPECT_EQ(into.finished, 2u);
    EXPECT_EQ(as_text(answers[1].bytes), "done");
    EXPECT_EQ(known.remembered(), 0u);
}

}  // namespace
}  // namespace wherry
