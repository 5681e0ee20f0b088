// SPDX-License-Identifier: BSD-2-Clause
#include "wait_until.hpp"
#include "wherry/engine/sender.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <span>
#include <thread>

#include "compression.hpp"
#include "frame.hpp"
#include "memory_stream.hpp"
#include "plain_cipher.hpp"
#include "record.hpp"
#include "recording_sink.hpp"
#include "wherry/engine/receiver.hpp"
#include "wherry/limits.hpp"

namespace wherry {
namespace {

using test::damage;
using test::memory_link;
using test::plain_cipher;
using test::recording_sink;
using testing::ElementsAre;
using testing::HasSubstr;

// A source from a string, which can fail, wait or lie about its size.
class text_source final : public source {
public:
    text_source(std::string name, std::string content, item_kind kind = item_kind::file)
        : content_(std::move(content)) {
        what_.kind = kind;
        what_.name = std::move(name);
        what_.size = content_.size();
    }
    text_source& resumable() {
        what_.wants_resume = true;
        return *this;
    }
    text_source& says_size(std::optional<std::uint64_t> size) {
        what_.size = size;
        return *this;
    }
    text_source& fails_at(std::size_t position) {
        fails_at_ = position;
        return *this;
    }

    const offer& what() const noexcept override { return what_; }
    std::size_t read(mutable_bytes into) override {
        if (position_ >= fails_at_) throw error(errc::io, "the source broke");
        const auto end = std::min(content_.size(), fails_at_);
        const auto count = std::min({into.size(), end - position_, step});
        std::copy_n(as_bytes(content_).begin() + static_cast<std::ptrdiff_t>(position_), count, into.begin());
        position_ += count;
        return count;
    }
    void seek(std::uint64_t position) override { position_ = position; }
    bool may_wait() const noexcept override { return waits; }

    std::size_t step = std::string::npos;
    bool waits = false;

private:
    offer what_;
    std::string content_;
    std::size_t position_ = 0;
    std::size_t fails_at_ = std::string::npos;
};

struct noting_observer final : sending_observer, receiving_observer {
    void sending(transfer_id, const offer& what, std::uint64_t resumed_from) override {
        note("sending " + what.name + " from " + std::to_string(resumed_from));
    }
    void answered(transfer_id, const offer& what, const delivery_result& result) override {
        const std::lock_guard lock(mutex);
        answers[what.name] = result;
        answered_on[what.name] = std::this_thread::get_id();
        changed.notify_all();
    }
    void received_so_far(transfer_id, std::uint64_t bytes) override {
        if (on_received) on_received(bytes);
    }
    void delivered(transfer_id, const offer& what, const delivery_result& result) override {
        const std::lock_guard lock(mutex);
        deliveries[what.name] = result;
        changed.notify_all();
    }
    void note(std::string line) {
        const std::lock_guard lock(mutex);
        notes.push_back(std::move(line));
    }
    void wait_for_answer(const std::string& name) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return answers.contains(name); });
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, delivery_result> answers, deliveries;
    std::map<std::string, std::thread::id> answered_on;
    std::vector<std::string> notes;
    std::function<void(std::uint64_t)> on_received;
};

std::unique_ptr<secure_channel> open_channel(role side, std::shared_ptr<connection> link, channel_options timing = {},
                                             cipher* protection = nullptr) {
    static plain_cipher plain;
    return secure_channel::open(side, std::move(link), protection ? *protection : plain, "plain", nullptr, timing);
}

// As ciphers may: it seals nothing after a record that it refused.
class speechless_cipher final : public cipher {
public:
    std::unique_ptr<cipher_session> handshake(role side, const_bytes prologue, stream& link,
                                              const peer_verifier& verify) override {
        return std::make_unique<session>(plain_cipher().handshake(side, prologue, link, verify));
    }

private:
    class session final : public cipher_session {
    public:
        explicit session(std::unique_ptr<cipher_session> plain) : plain_(std::move(plain)) {}
        void finish_handshake(stream& link) override { plain_->finish_handshake(link); }
        std::size_t overhead() const noexcept override { return plain_->overhead(); }
        void seal(mutable_bytes record, std::size_t length) override {
            if (has_failed_) throw error(errc::integrity, "it has failed before");
            plain_->seal(record, length);
        }
        mutable_bytes open(mutable_bytes record) override {
            try {
                return plain_->open(record);
            } catch (const error&) {
                has_failed_ = true;
                throw;
            }
        }
        const identity& peer() const noexcept override { return plain_->peer(); }
        std::string_view describe() const noexcept override { return plain_->describe(); }

    private:
        const std::unique_ptr<cipher_session> plain_;
        std::atomic<bool> has_failed_ = false;
    };
};

// A sender on this thread, a receiver on another.
class transfers_test : public testing::Test {
protected:
    void connect(damage to_receiver = {}, damage to_sender = {}, sender_options options = {},
                 peer_verifier verify = nullptr, channel_options timing = {}) {
        link_.emplace(to_receiver, to_sender);
        receiver_done_ = std::async(std::launch::async, [this, verify, timing] {
            try {
                auto channel = open_channel(role::responder, std::move(link_->responder), timing, receiver_cipher_);
                engine::receiver serving(std::move(channel), *into_, at_receiver_, {.verify = verify});
                {
                    const std::lock_guard lock(mutex_);
                    serving_ = &serving;
                    changed_.notify_all();
                }
                std::optional<error> failure;
                try {
                    serving.serve();
                } catch (const error& e) {
                    failure = e;
                }
                const std::lock_guard lock(mutex_);
                serving_ = nullptr;
                return failure;
            } catch (const error& e) {
                return std::optional<error>(e);
            }
        });
        sender_.emplace(open_channel(role::initiator, std::move(link_->initiator), timing), options, at_sender_);
    }

    std::optional<error> finish() {
        std::optional<error> failure;
        try {
            sender_->finish();
        } catch (const error& e) {
            failure = e;
        }
        sender_.reset();
        return failure;
    }
    std::optional<error> receiver_failure() { return receiver_done_.get(); }

    engine::receiver& serving() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return serving_ != nullptr; });
        return *serving_;
    }

    // Under the lock, so that it has returned before the receiver's thread does away with it.
    void abort_serving() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return serving_ != nullptr; });
        serving_->abort();
    }

    std::optional<memory_link> link_;
    recording_sink sink_;
    sink* into_ = &sink_;
    cipher* receiver_cipher_ = nullptr;  // the plain one
    noting_observer at_sender_, at_receiver_;
    std::optional<engine::sender> sender_;
    std::future<std::optional<error>> receiver_done_;
    std::mutex mutex_;
    std::condition_variable changed_;
    engine::receiver* serving_ = nullptr;
};

// Finishes nothing until "last" is offered, then all of it; "bad..." fails, and "alone..." is of no group.
class grouping_sink final : public sink, public group_commit {
public:
    std::unique_ptr<delivery> begin(const offer& what, const offering_peer&) override {
        if (what.name == "last") {
            if (on_last) on_last();
            const std::lock_guard lock(mutex_);
            has_last_ = true;
            changed_.notify_all();
        }
        return std::make_unique<item>(*this, what.name);
    }
    void finish_group(std::span<ending> all) noexcept override {
        await_last();
        std::vector<std::string> names;
        for (auto& one : all) {
            names.push_back(static_cast<item&>(*one.of).name);
            try {
                end(names.back(), *one.answer);
            } catch (const error& e) {
                one.failure = e;
            }
        }
        const std::lock_guard lock(mutex_);
        groups_.push_back(std::move(names));
    }
    std::vector<std::vector<std::string>> groups() {
        const std::lock_guard lock(mutex_);
        return groups_;
    }
    std::function<void()> on_last;         // called before any delivery is finished
    std::atomic<std::size_t> dropped = 0;  // aborted with partial::drop

private:
    struct item final : delivery {
        item(grouping_sink& of, std::string named) : into(of), name(std::move(named)) {}
        void write(const_bytes) override {}
        void finish(response& answer) override {
            into.await_last();
            {
                const std::lock_guard lock(into.mutex_);
                into.groups_.push_back({name});
            }
            end(name, answer);
        }
        group_commit* commits_with() noexcept override { return name.starts_with("alone") ? nullptr : &into; }
        void abort(partial what_came) noexcept override {
            if (what_came == partial::drop) ++into.dropped;
        }

        grouping_sink& into;
        const std::string name;
    };

    static void end(const std::string& name, response& answer) {
        answer.append("this was " + name);
        if (name.starts_with("bad")) throw error(errc::refused, "no " + name);
        answer.set_outcome("kept");
    }
    void await_last() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return has_last_; });
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool has_last_ = false;
    std::vector<std::vector<std::string>> groups_;
};

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 131 + i / 251) & 0xFF);
    return text;
}

TEST_F(transfers_test, deliveries_are_finished_as_groups_and_each_is_answered) {
    grouping_sink grouping;
    into_ = &grouping;
    connect();
    // Threads that wait take one group each, and what is left over then is one group, however fast this goes.
    constexpr std::size_t count = limits::max_finishing_threads + 12;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < count; ++i) names.push_back((i % 5 == 3 ? "bad" : "good") + std::to_string(i));
    for (const auto& name : names) {
        text_source item(name, pattern(names.size()));
        sender_->send(item);
    }
    names.push_back("last");
    text_source last("last", "x");
    sender_->send(last);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());

    std::vector<std::string> ended;
    std::size_t largest = 0;
    for (const auto& group : grouping.groups()) {
        ended.insert(ended.end(), group.begin(), group.end());
        largest = std::max(largest, group.size());
        EXPECT_LE(group.size(), limits::max_group_commit);
    }
    EXPECT_THAT(ended, testing::UnorderedElementsAreArray(names));
    EXPECT_GE(largest, 12u);
    for (const auto& name : names) {
        const bool is_bad = name.starts_with("bad");
        for (const auto& result : {at_sender_.answers.at(name), at_receiver_.deliveries.at(name)}) {
            EXPECT_EQ(result.ok(), !is_bad) << name;
            EXPECT_EQ(as_text(result.response), "this was " + name);
            EXPECT_EQ(result.text, is_bad ? "no " + name : "");
            EXPECT_EQ(result.outcome, is_bad ? "" : "kept");
        }
        EXPECT_EQ(at_receiver_.deliveries.at(name).bytes, name == "last" ? 1u : count);
    }
}

TEST_F(transfers_test, what_is_of_no_group_or_large_is_finished_by_itself) {
    grouping_sink grouping;
    into_ = &grouping;
    connect();
    std::vector<std::string> names;
    for (std::size_t i = 0; i < limits::max_finishing_threads + 12; ++i)
        names.push_back((i % 2 == 0 ? "alone" : "large") + std::to_string(i));
    for (const auto& name : names) {
        text_source item(name, pattern(name.starts_with("large") ? (std::size_t{1} << 20) + 1 : 1));
        sender_->send(item);
    }
    text_source last("last", "x");
    sender_->send(last);
    EXPECT_FALSE(finish());
    EXPECT_EQ(grouping.groups().size(), names.size() + 1);
    for (const auto& name : names) EXPECT_EQ(as_text(at_sender_.answers.at(name).response), "this was " + name);
}

// A peer that is welcome until is_over is set.
struct welcome {
    peer_verifier verifier() {
        return [this](const identity& peer) {
            EXPECT_EQ(peer.fingerprint, "SHA256:plain");
            if (!is_over) return std::string("label");
            ++refusals;
            throw error(refused_with, "the key was taken back");
        };
    }
    std::atomic<bool> is_over = false;
    std::atomic<int> refusals = 0;
    errc refused_with = errc::auth_failed;
};

TEST_F(transfers_test, deliveries_under_way_leave_nothing_when_the_peer_loses_its_welcome) {
    welcome one;
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call == "write" && name == "open") one.is_over = true;
    };
    connect({}, {}, {}, one.verifier());
    text_source before("before", "x"), open("open", pattern(3'000'000));
    open.resumable();
    sender_->send(before);
    sender_->settle();
    sender_->send(open);
    for (const auto* name : {"later", "later still"}) {
        text_source item(name, "x");
        sender_->send(item);
    }
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(at_sender_.answers.at("before").ok());
    for (const auto* name : {"open", "later", "later still"})
        for (const auto& result : {at_sender_.answers.at(name), at_receiver_.deliveries.at(name)}) {
            EXPECT_EQ(result.failure, errc::auth_failed) << name;
            EXPECT_EQ(result.text, "the key was taken back");
        }
    EXPECT_EQ(sink_.finished().size(), 1u);
    EXPECT_TRUE(sink_.has_call("drop open"));
    EXPECT_TRUE(sink_.partials().empty());
    EXPECT_FALSE(sink_.has_call("begin later"));
    EXPECT_EQ(one.refusals, 1) << "the verifier is called once, and so is the refusal reported";
}

TEST_F(transfers_test, a_group_that_waits_is_dropped_when_the_peer_loses_its_welcome) {
    welcome one;
    grouping_sink grouping;
    into_ = &grouping;
    grouping.on_last = [&] { one.is_over = true; };
    connect({}, {}, {}, one.verifier());
    // Each of the first keeps a thread, and none is left for the group behind them.
    constexpr std::size_t count = limits::max_finishing_threads + 12;
    for (std::size_t i = 0; i < count; ++i) {
        text_source item((i < limits::max_finishing_threads ? "alone" : "good") + std::to_string(i), "x");
        sender_->send(item);
    }
    text_source last("last", "x");
    sender_->send(last);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    std::set<std::string> finished;
    for (const auto& group : grouping.groups()) finished.insert(group.begin(), group.end());
    for (const auto& [name, result] : at_sender_.answers)
        EXPECT_EQ(result.failure, finished.contains(name) ? std::nullopt : std::optional(errc::auth_failed)) << name;
    EXPECT_EQ(finished.size() + grouping.dropped, count + 1);
    EXPECT_GE(grouping.dropped, 12u);
    EXPECT_EQ(one.refusals, 1);
}

TEST_F(transfers_test, a_delivery_that_finishes_at_once_is_dropped_when_the_peer_loses_its_welcome) {
    struct quick_sink final : sink {
        struct quick_delivery final : delivery {
            explicit quick_delivery(quick_sink& sink) : owner(sink) {}
            void write(const_bytes) override { owner.lose_welcome(); }
            void finish(response&) override { ++owner.finished; }
            bool finishes_at_once() const noexcept override { return true; }
            void abort(partial) noexcept override { ++owner.aborted; }
            quick_sink& owner;
        };
        std::unique_ptr<delivery> begin(const offer&, const offering_peer&) override {
            return std::make_unique<quick_delivery>(*this);
        }
        std::function<void()> lose_welcome;
        int finished = 0, aborted = 0;
    } quick;
    welcome one;
    quick.lose_welcome = [&] { one.is_over = true; };
    into_ = &quick;
    connect({}, {}, {}, one.verifier());
    text_source item("large", pattern(3'000'000));  // in more than one record
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_EQ(at_sender_.answers.at("large").failure, errc::auth_failed);
    EXPECT_EQ(quick.finished, 0);
    EXPECT_EQ(quick.aborted, 1);
}

TEST_F(transfers_test, peer_that_could_not_be_looked_up_is_looked_up_again) {
    welcome one;
    one.refused_with = errc::exhausted;
    one.is_over = true;
    connect({}, {}, {}, one.verifier());
    text_source first("first", "x"), second("second", "x");
    sender_->send(first);
    sender_->settle();
    one.is_over = false;
    sender_->send(second);
    EXPECT_FALSE(finish());
    EXPECT_EQ(at_sender_.answers.at("first").failure, errc::exhausted);
    EXPECT_TRUE(at_sender_.answers.at("second").ok());
}

TEST_F(transfers_test, a_receiver_that_cannot_check_keys_keeps_what_a_resume_needs) {
    welcome one;
    one.refused_with = errc::io;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "write") one.is_over = true;
    };
    connect({}, {}, {}, one.verifier());
    text_source item("large", pattern(3'000'000));
    item.resumable();
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_EQ(at_sender_.answers.at("large").failure, errc::io);
    EXPECT_EQ(sink_.partials().at("large"), pattern(3'000'000));
    EXPECT_TRUE(sink_.finished().empty());
}

// A command that holds a lock until its input ends, and one behind it that takes its input only when it has the lock.
TEST_F(transfers_test, a_write_may_wait_for_what_has_ended_before_it) {
    std::promise<void> is_first_finished;
    auto first_is_finished = is_first_finished.get_future();
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call == "answered" && name == "first") is_first_finished.set_value();
        if (call == "write" && name == "second") first_is_finished.wait();
    };
    connect();
    // Once while the thread that finishes is new, and once more when it has long had nothing to do.
    text_source warm("warm", "x"), first("first", "x"), second("second", "x");
    sender_->send(warm);
    sender_->flush();
    at_sender_.wait_for_answer("warm");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    sender_->send(first);
    sender_->send(second);
    EXPECT_FALSE(finish());
    EXPECT_TRUE(at_sender_.answers.at("second").ok());
}

// One that asks for the rest only when it has what was sent.
TEST_F(transfers_test, what_a_source_gave_is_sent_before_its_end_is_looked_for) {
    struct asking : source {
        offer item;
        std::function<void()> before_end;
        bool has_given = false;
        const offer& what() const noexcept override { return item; }
        std::size_t read(mutable_bytes into) override {
            if (has_given) before_end();
            if (std::exchange(has_given, true)) return 0;
            into[0] = std::byte{'x'};
            return 1;
        }
        bool may_wait() const noexcept override { return true; }
    } from;
    from.item.name = "a";
    from.item.size = 1;
    std::promise<void> has_come;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "write") has_come.set_value();
    };
    from.before_end = [&] { has_come.get_future().wait(); };
    connect();
    sender_->send(from);
    EXPECT_FALSE(finish());
    EXPECT_EQ(sink_.finished().at("a").content, "x");
}

TEST_F(transfers_test, delivers_content_of_every_awkward_size) {
    connect();
    const std::size_t record = 65536;
    std::map<std::string, std::string> expected;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{1023}, record - 40, record - 16,
                                   record - 15, record - 14, record, record + 1, 2 * record, 5 * record + 17}) {
        const auto name = "f" + std::to_string(size);
        expected[name] = pattern(size);
        text_source item(name, expected[name]);
        item.step = 10'007;
        sender_->send(item);
    }
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    const auto stored = sink_.finished();
    ASSERT_EQ(stored.size(), expected.size());
    for (const auto& [name, content] : expected) {
        EXPECT_TRUE(stored.at(name).content == content) << name;
        EXPECT_TRUE(at_sender_.answers.at(name).ok());
        EXPECT_EQ(as_text(at_sender_.answers.at(name).response), "thanks");
        EXPECT_EQ(at_sender_.answers.at(name).bytes, content.size());
        EXPECT_EQ(at_receiver_.deliveries.at(name).bytes, content.size());
    }
}

TEST_F(transfers_test, carries_what_an_offer_says) {
    connect();
    class described final : public source {
    public:
        described() {
            what_.kind = item_kind::folder;
            what_.name = "caf\xE9/\x1b[2J";
            what_.mode = 0750;
            what_.mtime = file_time{-5, 999'999'999};
        }
        const offer& what() const noexcept override { return what_; }
        std::size_t read(mutable_bytes) override { return 0; }
        offer what_;
    } item;
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_EQ(sink_.finished().at(item.what_.name).what, item.what_);
}

TEST_F(transfers_test, small_items_do_not_wait_for_each_other) {
    connect();
    // The sink answers the first only when the last has arrived, so a sender that waited would wait for ever.
    std::promise<void> last_has_come;
    const auto came = last_has_come.get_future().share();
    std::promise<void> sent;
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call == "begin" && name == "0") sent.get_future().wait();
        if (call == "begin" && name == "1999") last_has_come.set_value();
    };
    for (int i = 0; i < 1000; ++i) {
        text_source item(std::to_string(i), "x");
        sender_->send(item);
    }
    sender_->flush();
    sent.set_value();
    for (int i = 1000; i < 2000; ++i) {
        text_source item(std::to_string(i), "x");
        sender_->send(item);
    }
    EXPECT_FALSE(finish());
    came.wait();
    EXPECT_EQ(sink_.finished().size(), 2000u);
}

TEST_F(transfers_test, a_refusal_ends_one_transfer_only) {
    connect();
    sink_.on_call = [](const std::string& call, const std::string& name) {
        if (call == "begin" && name == "bad") throw error(errc::refused, "we want none of that");
    };
    text_source good("good", "1"), bad("bad", pattern(500'000)), better("better", "2");
    for (auto* item : {&good, &bad, &better}) sender_->send(*item);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_EQ(sink_.finished().size(), 2u);
    const auto& answer = at_sender_.answers.at("bad");
    EXPECT_EQ(answer.failure, errc::refused);
    EXPECT_EQ(answer.text, "we want none of that");
    EXPECT_TRUE(answer.is_remote);
}

TEST_F(transfers_test, a_sink_that_fails_in_the_middle_drops_what_came) {
    connect();
    int writes = 0;
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call == "write" && name == "big" && ++writes == 3) throw error(errc::exhausted, "the disk is full");
    };
    text_source big("big", pattern(1'000'000)), next("next", "fits");
    sender_->send(big);
    sender_->send(next);
    EXPECT_FALSE(finish());
    EXPECT_EQ(at_sender_.answers.at("big").failure, errc::exhausted);
    EXPECT_TRUE(at_sender_.answers.at("next").ok());
    EXPECT_TRUE(sink_.has_call("drop big"));
    EXPECT_FALSE(sink_.has_call("finish big"));
}

TEST_F(transfers_test, a_sink_that_fails_to_finish_is_a_failure_for_the_sender) {
    connect();
    sink_.on_call = [](const std::string& call, const std::string&) {
        if (call == "finish") throw std::runtime_error("no wherry error at all");
    };
    text_source item("x", "content");
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_EQ(at_sender_.answers.at("x").failure, errc::internal);
    EXPECT_EQ(at_sender_.answers.at("x").text, "no wherry error at all");
}

TEST_F(transfers_test, a_delivery_is_answered_with_the_sinks_own_word) {
    connect();
    sink_.outcome = "caf\u00e9 served";
    text_source item("x", "content");
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_TRUE(at_sender_.answers.at("x").ok());
    EXPECT_EQ(at_sender_.answers.at("x").outcome, "caf\u00e9 served");
    EXPECT_EQ(at_receiver_.deliveries.at("x").outcome, "caf\u00e9 served");
}

TEST_F(transfers_test, a_delivery_that_failed_is_answered_too) {
    connect();
    sink_.outcome = "exit 3";
    sink_.response_text = std::string(10'000, 'r');
    sink_.on_call = [](const std::string& call, const std::string&) {
        if (call == "answered") throw error(errc::refused, "the model has a hole");
    };
    text_source item("x", "content");
    sender_->send(item);
    EXPECT_FALSE(finish());
    const auto& answer = at_sender_.answers.at("x");
    EXPECT_EQ(answer.failure, errc::refused);
    EXPECT_EQ(answer.text, "the model has a hole");
    EXPECT_EQ(answer.outcome, "exit 3");
    EXPECT_EQ(as_text(answer.response), sink_.response_text);
}

TEST_F(transfers_test, an_outcome_that_is_no_word_fails_the_delivery) {
    connect();
    int number = 0;
    for (const std::string word :
         {"two\nlines", "\x1b[2J", "caf\xE9", "0123456789012345678901234567890123456789012345678901234567890123x"}) {
        sink_.outcome = word;
        const auto name = std::to_string(number++);
        text_source item(name, "content");
        sender_->send(item);
        sender_->flush();
        at_sender_.wait_for_answer(name);
        EXPECT_EQ(at_sender_.answers.at(name).failure, errc::bad_input);
        EXPECT_EQ(at_sender_.answers.at(name).outcome, "");
    }
    EXPECT_FALSE(finish());
}

TEST_F(transfers_test, a_source_that_fails_cancels_its_transfer_only) {
    connect();
    text_source broken("broken", pattern(300'000)), fine("fine", "1");
    broken.fails_at(200'000);
    sender_->send(broken);
    sender_->send(fine);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_EQ(at_sender_.answers.at("broken").failure, errc::io);
    EXPECT_FALSE(at_sender_.answers.at("broken").is_remote);
    EXPECT_EQ(at_receiver_.deliveries.at("broken").text, "the source broke");
    EXPECT_TRUE(at_receiver_.deliveries.at("broken").is_remote);
    EXPECT_TRUE(sink_.has_call("drop broken"));
    EXPECT_TRUE(at_sender_.answers.at("fine").ok());
}

TEST_F(transfers_test, content_that_is_not_as_long_as_offered_is_never_finished) {
    connect();
    text_source shorter("shorter", "abc"), longer("longer", pattern(100'000));
    shorter.says_size(4);
    longer.says_size(99'999);
    sender_->send(shorter);
    sender_->send(longer);
    EXPECT_FALSE(finish());
    EXPECT_EQ(at_sender_.answers.at("shorter").failure, errc::integrity);
    EXPECT_EQ(at_sender_.answers.at("longer").failure, errc::io);
    EXPECT_TRUE(sink_.finished().empty());
}

TEST_F(transfers_test, size_need_not_be_known) {
    connect();
    text_source item("pipe", pattern(200'000), item_kind::data);
    item.says_size(std::nullopt);
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_EQ(sink_.finished().at("pipe").content.size(), 200'000u);
}

TEST_F(transfers_test, a_long_response_arrives_whole) {
    connect();
    sink_.response_text = pattern(limits::max_response_bytes);
    text_source item("x", "1");
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_TRUE(as_text(at_sender_.answers.at("x").response) == sink_.response_text);
}

TEST_F(transfers_test, a_response_that_is_too_long_fails_the_delivery) {
    connect();
    sink_.response_text = pattern(limits::max_response_bytes + 1);
    text_source item("x", "1");
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_EQ(at_sender_.answers.at("x").failure, errc::exhausted);
}

TEST_F(transfers_test, a_content_digest_is_compared_before_the_end) {
    sender_options options;
    options.content_digest = sender_options::digest::sha256;
    connect({}, {}, options);
    text_source item("x", pattern(200'000));
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_TRUE(at_sender_.answers.at("x").ok());
}

TEST_F(transfers_test, damage_on_the_way_is_an_integrity_error_and_nothing_is_finished) {
    for (const std::uint64_t offset : {100u, 5'000u, 65'600u, 150'000u}) {
        SCOPED_TRACE(offset);
        damage harm;
        harm.flip_at = offset;
        connect(harm);
        text_source item("x" + std::to_string(offset), pattern(200'000));
        try {
            sender_->send(item);
        } catch (const error&) {
            // It may be found out while it is still being sent.
        }
        // Whether the sender takes leave before the connection is closed is a matter of chance.
        finish();
        const auto failure = receiver_failure();
        ASSERT_TRUE(failure);
        EXPECT_TRUE(failure->code() == errc::integrity || failure->code() == errc::protocol) << failure->what();
        EXPECT_TRUE(sink_.finished().empty());
        EXPECT_FALSE(at_sender_.answers.at("x" + std::to_string(offset)).ok());
    }
}

TEST_F(transfers_test, damage_on_the_way_is_answered_for_what_is_open_and_gone_on_from) {
    const auto content = pattern(200'000);
    damage harm;
    harm.flip_at = 150'000;
    connect(harm);
    text_source item("x", content);
    try {
        sender_->send(item.resumable());
    } catch (const error&) {
        // The answer may come while it is still being sent.
    }
    // Whether the sender has taken leave before the connection is closed is a matter of chance.
    if (const auto failure = finish()) {
        EXPECT_EQ(failure->code(), errc::integrity) << failure->what();
    }
    EXPECT_EQ(receiver_failure()->code(), errc::integrity);
    const auto& told = at_sender_.answers.at("x");
    EXPECT_EQ(told.failure, errc::integrity);
    EXPECT_TRUE(told.is_remote);
    EXPECT_FALSE(told.is_uncertain);
    EXPECT_EQ(told.text, "what arrived was damaged on the way; send it again");
    EXPECT_EQ(at_receiver_.deliveries.at("x").failure, errc::integrity);

    const auto kept = sink_.partials().at("x");
    ASSERT_GT(kept.size(), 0u);
    connect();
    text_source again("x", content);
    sender_->send(again.resumable());
    EXPECT_FALSE(finish());
    EXPECT_TRUE(sink_.finished().at("x").content == content);
    EXPECT_EQ(at_sender_.answers.at("x").resumed_from, kept.size());
}

TEST_F(transfers_test, damage_to_the_length_of_a_record_is_answered_as_any_other) {
    constexpr std::size_t opening_bytes = 16, record_bytes = 65536;
    damage harm;
    harm.flip_at = opening_bytes + record_bytes;
    harm.mask = std::byte{0x80};
    connect(harm);
    text_source item("x", pattern(200'000));
    try {
        sender_->send(item);
    } catch (const error&) {
        // The answer may come while it is still being sent.
    }
    finish();
    const auto failure = receiver_failure();
    EXPECT_EQ(failure->code(), errc::integrity);
    EXPECT_THAT(failure->what(), testing::HasSubstr("which is out of bounds"));
    EXPECT_EQ(at_sender_.answers.at("x").failure, errc::integrity);
    EXPECT_TRUE(at_sender_.answers.at("x").is_remote);
}

TEST_F(transfers_test, a_cipher_that_refuses_to_seal_after_damage_closes_without_an_answer) {
    speechless_cipher speechless;
    receiver_cipher_ = &speechless;
    damage harm;
    harm.flip_at = 150'000;
    connect(harm);
    text_source item("x", pattern(200'000));
    try {
        sender_->send(item);
    } catch (const error&) {
    }
    EXPECT_EQ(finish()->code(), errc::disconnected);
    EXPECT_EQ(receiver_failure()->code(), errc::integrity);
    EXPECT_EQ(at_sender_.answers.at("x").failure, errc::disconnected);
    EXPECT_FALSE(at_sender_.answers.at("x").is_remote);
    EXPECT_TRUE(sink_.has_call("drop x"));
}

TEST_F(transfers_test, a_cut_link_drops_what_came_and_is_told_on_both_sides) {
    damage harm;
    harm.cut_at = 100'000;
    connect(harm);
    text_source item("x", pattern(200'000));
    try {
        sender_->send(item);
    } catch (const error&) {
    }
    const auto at_sender = finish();
    ASSERT_TRUE(at_sender);
    EXPECT_EQ(at_sender->code(), errc::disconnected);
    EXPECT_EQ(receiver_failure()->code(), errc::disconnected);
    EXPECT_TRUE(sink_.has_call("drop x"));
    EXPECT_FALSE(at_receiver_.deliveries.at("x").ok());
    EXPECT_FALSE(at_sender_.answers.at("x").ok());
}

TEST_F(transfers_test, a_cut_transfer_that_wants_resume_goes_on_where_it_stopped) {
    const auto content = pattern(200'000);
    damage harm;
    harm.cut_at = 100'000;
    connect(harm);
    {
        text_source item("x", content);
        try {
            sender_->send(item.resumable());
        } catch (const error&) {
        }
        EXPECT_TRUE(finish());
        EXPECT_TRUE(receiver_failure());
    }
    const auto kept = sink_.partials().at("x");
    ASSERT_GT(kept.size(), 0u);
    EXPECT_TRUE(content.starts_with(kept));

    sender_options options;
    options.content_digest = sender_options::digest::sha256;
    connect({}, {}, options);
    text_source again("x", content);
    sender_->send(again.resumable());
    EXPECT_FALSE(finish());
    EXPECT_TRUE(sink_.finished().at("x").content == content);
    EXPECT_EQ(at_sender_.answers.at("x").resumed_from, kept.size());
    EXPECT_EQ(at_sender_.answers.at("x").bytes, content.size() - kept.size());
}

TEST_F(transfers_test, a_source_that_has_changed_starts_over) {
    sink_.set_partial("x", "what was there before");
    sender_options options;
    options.content_digest = sender_options::digest::sha256;
    connect({}, {}, options);
    const auto content = pattern(100'000);
    text_source item("x", content);
    sender_->send(item.resumable());
    EXPECT_FALSE(finish());
    EXPECT_TRUE(sink_.finished().at("x").content == content);
    EXPECT_EQ(at_sender_.answers.at("x").resumed_from, 0u);
    EXPECT_THAT(at_sender_.notes, ElementsAre("sending x from 0"));
}

TEST_F(transfers_test, a_partial_longer_than_the_source_is_not_resumed_from) {
    sink_.set_partial("x", "longer than what is offered");
    connect();
    text_source item("x", "short");
    sender_->send(item.resumable());
    EXPECT_FALSE(finish());
    EXPECT_EQ(at_sender_.answers.at("x").failure, errc::internal);
    EXPECT_TRUE(sink_.finished().empty());
}

TEST_F(transfers_test, items_announced_ahead_resume_without_waiting_for_each_other) {
    connect();
    std::vector<std::unique_ptr<text_source>> items;
    std::vector<transfer_id> ids;
    for (int i = 0; i < 16; ++i) {
        items.push_back(std::make_unique<text_source>(std::to_string(i), pattern(5000)));
        ids.push_back(sender_->announce(items.back()->resumable()));
    }
    for (int i = 0; i < 16; ++i) sender_->send(ids[i], *items[i]);
    EXPECT_FALSE(finish());
    EXPECT_EQ(sink_.finished().size(), 16u);
}

TEST_F(transfers_test, settles_again_and_again) {
    connect();
    sender_->await_entry();
    for (const std::string name : {"first", "second", "third"}) {
        text_source item(name, "1");
        sender_->send(item);
        sender_->settle();
        const std::lock_guard lock(at_sender_.mutex);
        EXPECT_TRUE(at_sender_.answers.at(name).ok());
    }
    EXPECT_FALSE(sender_->why_over());
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
}

TEST_F(transfers_test, a_link_that_is_cut_while_nothing_is_sent_is_told) {
    connect();
    sender_->await_entry();
    abort_serving();
    EXPECT_TRUE(receiver_failure());
    // Nothing is sent, so nothing but the reader finds out.
    wait_until([&] { return sender_->why_over(); });
    EXPECT_THROW(sender_->settle(), error);
    EXPECT_EQ(sender_->why_over()->code(), errc::disconnected);
    EXPECT_TRUE(finish());
}

TEST_F(transfers_test, cancel_stops_the_sender_and_tells_the_receiver) {
    connect();
    // Endless, until somebody cancels.
    class endless final : public source {
    public:
        explicit endless(engine::sender& sender) : sender_(sender) {
            what_.kind = item_kind::data;
            what_.name = "endless";
        }
        const offer& what() const noexcept override { return what_; }
        std::size_t read(mutable_bytes into) override {
            if (++reads_ == 20) sender_.cancel();
            return into.size();
        }

    private:
        engine::sender& sender_;
        offer what_;
        int reads_ = 0;
    } item(*sender_);
    EXPECT_THROW(sender_->send(item), error);
    const auto failure = finish();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::cancelled);
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(sink_.has_call("drop endless"));
    EXPECT_EQ(at_receiver_.deliveries.at("endless").failure, errc::cancelled);
    EXPECT_EQ(at_sender_.answers.at("endless").failure, errc::cancelled);
}

TEST_F(transfers_test, an_idle_receiver_that_drains_takes_leave) {
    connect();
    text_source first("first", "1"), second("second", "2");
    sender_->send(first);
    sender_->flush();
    at_sender_.wait_for_answer("first");
    serving().drain();
    // The sender finds out with the next item, or when it has said BYE.
    std::optional<error> failure;
    for (int i = 0; i < 1000 && !failure; ++i) {
        try {
            text_source item("later" + std::to_string(i), "2");
            sender_->send(item);
            sender_->flush();
        } catch (const error& e) {
            failure = e;
        }
    }
    finish();
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(sink_.finished().contains("first"));
    for (const auto& [name, answer] : at_sender_.answers)
        EXPECT_EQ(answer.ok(), sink_.finished().contains(name)) << name;
}

TEST_F(transfers_test, a_draining_receiver_ends_what_is_in_flight_and_refuses_the_next) {
    connect();
    std::promise<void> writing, drained;
    auto may_go_on = drained.get_future().share();
    std::once_flag once;
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call != "write" || name != "first") return;
        std::call_once(once, [&] { writing.set_value(); });
        may_go_on.wait();
    };
    text_source first("first", pattern(10'000)), second("second", "2");
    sender_->send(first);
    sender_->send(second);
    sender_->flush();
    writing.get_future().wait();
    serving().drain();
    drained.set_value();
    finish();
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(sink_.finished().contains("first"));
    EXPECT_TRUE(at_sender_.answers.at("first").ok());
    EXPECT_FALSE(sink_.finished().contains("second"));
    EXPECT_FALSE(at_sender_.answers.at("second").ok());
    EXPECT_THAT(at_sender_.answers.at("second").text, HasSubstr("shutting down"));
}

TEST_F(transfers_test, a_stop_at_any_moment_tells_the_sender_what_was_delivered) {
    for (int round = 0; round < 40; ++round) {
        connect();
        std::atomic<int> stored = 0;
        sink_.on_call = [&](const std::string& call, const std::string&) { stored += call == "finish"; };
        // Not from within a call of the sink: the stop is to fall between two of them, too.
        auto stop = std::async(std::launch::async, [&, at = 1 + (round * 37) % 900] {
            auto& receiving = serving();
            while (stored < at) {
            }
            receiving.drain();
        });
        std::vector<std::string> names;
        try {
            for (int i = 0; i < 1000; ++i) {
                names.push_back(std::to_string(round) + "-" + std::to_string(i));
                text_source item(names.back(), "x");
                sender_->send(item);
                if (i % 100 == 99) sender_->flush();
            }
            sender_->flush();
        } catch (const error&) {
            // It was stopped.
        }
        stop.wait();
        finish();
        EXPECT_FALSE(receiver_failure());
        const auto finished = sink_.finished();
        for (const auto& name : names) {
            const auto answer = at_sender_.answers.find(name);
            const bool was_told = answer != at_sender_.answers.end() && answer->second.ok();
            ASSERT_EQ(was_told, finished.contains(name)) << name;
        }
    }
}

TEST_F(transfers_test, a_sink_slower_than_the_io_timeout_is_waited_for) {
    channel_options timing;
    timing.io_timeout = std::chrono::milliseconds(300);
    timing.ping_interval = std::chrono::milliseconds(20);
    sink_.on_call = [](const std::string& call, const std::string&) {
        if (call == "finish") std::this_thread::sleep_for(std::chrono::milliseconds(900));
    };
    connect({}, {}, {}, nullptr, timing);
    text_source item("slow", "x");
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(at_sender_.answers.at("slow").ok());
}

// Lets a sink's finish() of items called "slow..." wait.
class slow_sink_test : public transfers_test {
protected:
    slow_sink_test() {
        sink_.on_call = [this](const std::string& call, const std::string& name) {
            if (call == "finish" && name.starts_with("slow")) may_end_.wait();
        };
    }
    void send(const std::string& name) {
        text_source item(name, "content of " + name);
        sender_->send(item);
        sender_->flush();
    }
    void go() { go_.set_value(); }

private:
    std::promise<void> go_;
    const std::shared_future<void> may_end_ = go_.get_future().share();
};

TEST_F(slow_sink_test, stalls_no_other_delivery) {
    connect();
    for (const auto* name : {"slow", "quick", "slow too", "as quick"}) send(name);
    at_sender_.wait_for_answer("quick");
    at_sender_.wait_for_answer("as quick");
    EXPECT_FALSE(at_sender_.answers.contains("slow"));
    EXPECT_EQ(as_text(at_sender_.answers.at("quick").response), "thanks");
    go();
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    for (const auto* name : {"slow", "quick", "slow too", "as quick"}) {
        EXPECT_TRUE(at_sender_.answers.at(name).ok()) << name;
        EXPECT_EQ(sink_.finished().at(name).content, std::string("content of ") + name);
    }
}

// On which threads a delivery is begun and finished.
class thread_noting_sink_test : public slow_sink_test {
protected:
    thread_noting_sink_test() {
        sink_.on_call = [this, wait = sink_.on_call](const std::string& call, const std::string& name) {
            {
                const std::lock_guard lock(mutex_);
                if (call == "begin") begun[name] = std::this_thread::get_id();
                if (call == "finish") finished[name] = std::this_thread::get_id();
            }
            wait(call, name);
        };
    }

    std::map<std::string, std::thread::id> begun, finished;

private:
    std::mutex mutex_;
};

TEST_F(thread_noting_sink_test, another_thread_than_reads_finishes) {
    connect();
    std::vector<std::string> names;
    for (int i = 0; i < 30; ++i) names.push_back((i == 0 ? "slow" : "item") + std::to_string(i));
    send("one by itself");
    at_sender_.wait_for_answer("one by itself");
    for (const auto& name : names) send(name);
    go();
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    names.push_back("one by itself");
    for (const auto& name : names) EXPECT_NE(begun.at(name), finished.at(name)) << name;
}

TEST_F(thread_noting_sink_test, while_one_is_finished_others_are_read) {
    connect();
    send("slow");
    wait_until([&] { return sink_.has_call("finish slow"); });
    send("behind");
    at_sender_.wait_for_answer("behind");
    EXPECT_FALSE(at_sender_.answers.contains("slow"));
    go();
    at_sender_.wait_for_answer("slow");
    send("last");
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_NE(begun.at("behind"), finished.at("slow"));
    EXPECT_NE(finished.at("last"), begun.at("last"));
    for (const auto* const name : {"slow", "behind", "last"}) EXPECT_TRUE(at_sender_.answers.at(name).ok()) << name;
}

TEST_F(slow_sink_test, a_delivery_is_waited_for_when_the_sender_takes_leave) {
    connect();
    send("slow");
    wait_until([&] { return sink_.has_call("finish slow"); });
    sender_->cancel();
    auto left = std::async(std::launch::async, [&] { return finish(); });
    // The BYE is read meanwhile, or after it.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(at_receiver_.deliveries.empty());
    go();
    const auto failure = left.get();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::cancelled);
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(at_receiver_.deliveries.at("slow").ok());
    EXPECT_TRUE(sink_.finished().contains("slow"));
}

TEST_F(slow_sink_test, a_delivery_is_waited_for_by_a_receiver_that_drains) {
    connect();
    send("slow");
    wait_until([&] { return sink_.has_call("finish slow"); });
    serving().drain();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(at_receiver_.deliveries.empty());
    go();
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(at_sender_.answers.at("slow").ok());
}

TEST_F(slow_sink_test, a_delivery_is_finished_although_the_receiver_is_cut) {
    connect();
    send("slow");
    wait_until([&] { return sink_.has_call("finish slow"); });
    abort_serving();
    EXPECT_TRUE(finish());
    EXPECT_TRUE(at_sender_.answers.at("slow").is_uncertain);
    go();
    EXPECT_TRUE(receiver_failure());
    EXPECT_TRUE(sink_.finished().contains("slow"));
    EXPECT_TRUE(at_receiver_.deliveries.at("slow").ok());
}

TEST_F(slow_sink_test, a_delivery_hears_of_a_link_that_broke_meanwhile) {
    connect();
    send("slow");
    wait_until([&] { return sink_.has_call("finish slow"); });
    sender_->abort();
    EXPECT_TRUE(finish());
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    go();
    const auto failure = receiver_failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::disconnected);
    EXPECT_TRUE(sink_.finished().contains("slow"));
}

TEST_F(slow_sink_test, has_a_folder_after_what_is_in_it) {
    connect();
    send("slow/file");
    send("quick");
    at_sender_.wait_for_answer("quick");
    text_source folder("slow", "", item_kind::folder);
    sender_->send(folder);
    send("behind it");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_FALSE(sink_.has_call("finish slow"));
    go();
    EXPECT_FALSE(finish());
    const auto calls = sink_.calls();
    const auto at = [&](const std::string& call) { return std::find(calls.begin(), calls.end(), call); };
    EXPECT_LT(at("finish slow/file"), at("finish slow"));
    EXPECT_LT(at("finish slow"), calls.end());
    EXPECT_TRUE(at_sender_.answers.at("slow").ok());
    EXPECT_TRUE(at_sender_.answers.at("behind it").ok());
}

TEST_F(slow_sink_test, that_throws_anything_fails_one_delivery) {
    connect();
    sink_.on_call = [](const std::string& call, const std::string& name) {
        if (call == "finish" && name == "odd") throw 5;
    };
    send("odd");
    send("even");
    EXPECT_FALSE(finish());
    EXPECT_EQ(at_sender_.answers.at("odd").failure, errc::internal);
    EXPECT_TRUE(at_sender_.answers.at("even").ok());
}

TEST_F(slow_sink_test, more_than_may_be_unfinished_wait_and_all_arrive) {
    connect();
    constexpr std::size_t many = 3 * limits::max_unfinished_deliveries;
    for (std::size_t i = 0; i < many; ++i) send("slow" + std::to_string(i));
    go();
    EXPECT_FALSE(finish());
    EXPECT_EQ(sink_.finished().size(), many);
}

TEST_F(slow_sink_test, is_waited_for_by_a_receiver_that_drains) {
    connect();
    send("slow");
    send("quick");
    at_sender_.wait_for_answer("quick");
    serving().drain();
    send("late");
    go();
    finish();  // fails if the receiver has taken leave before "late" came
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(at_sender_.answers.at("slow").ok());
    EXPECT_EQ(at_sender_.answers.at("late").failure, errc::disconnected);
}

TEST_F(slow_sink_test, has_what_came_whole_when_the_link_broke) {
    connect();
    send("slow");
    send("quick");
    at_sender_.wait_for_answer("quick");
    sender_->abort();
    EXPECT_TRUE(finish());
    EXPECT_TRUE(at_sender_.answers.at("slow").is_uncertain);
    go();
    EXPECT_TRUE(receiver_failure());
    EXPECT_TRUE(at_receiver_.deliveries.at("slow").ok());
    EXPECT_TRUE(sink_.finished().contains("slow"));
}

TEST_F(slow_sink_test, is_given_no_more_by_a_receiver_that_has_given_up) {
    connect();
    const std::size_t threads = limits::max_finishing_threads;
    for (std::size_t i = 0; i < threads + 5; ++i) send("slow" + std::to_string(i));
    send("quick");
    // As many as there are threads for.
    const auto begun = [&] {
        const auto calls = sink_.calls();
        return std::count_if(calls.begin(), calls.end(), [](const auto& call) { return call.starts_with("finish"); });
    };
    wait_until([&] { return begun() >= static_cast<std::ptrdiff_t>(threads); });
    abort_serving();
    go();
    EXPECT_TRUE(receiver_failure());
    EXPECT_TRUE(finish());
    EXPECT_LE(sink_.finished().size(), threads);
    EXPECT_TRUE(sink_.has_call("drop quick"));
    EXPECT_EQ(at_receiver_.deliveries.size(), threads + 6);
}

TEST_F(transfers_test, what_was_sent_whole_when_the_link_broke_may_have_been_delivered) {
    std::promise<void> begun, cut;
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call != "finish" || name != "sent") return;
        begun.set_value();
        cut.get_future().wait();
    };
    connect();
    text_source sent("sent", "x"), half("half", "y");
    sender_->send(sent);
    const auto id = sender_->announce(half);
    sender_->flush();
    begun.get_future().wait();
    sender_->abort();
    EXPECT_TRUE(finish());
    cut.set_value();
    EXPECT_TRUE(receiver_failure());
    EXPECT_TRUE(at_sender_.answers.at("sent").is_uncertain);
    EXPECT_FALSE(at_sender_.answers.at("half").is_uncertain);
    (void)id;
}

TEST_F(transfers_test, abort_cuts_both_sides) {
    connect();
    std::promise<void> begun, aborted;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call != "begin") return;
        begun.set_value();
        aborted.get_future().wait();
    };
    text_source item("x", "1");
    sender_->send(item);
    sender_->flush();
    begun.get_future().wait();
    sender_->abort();
    const auto failure = finish();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::disconnected);
    EXPECT_EQ(at_sender_.answers.at("x").failure, errc::disconnected);
    aborted.set_value();
    EXPECT_TRUE(receiver_failure());
}

TEST_F(transfers_test, more_transfers_than_may_be_unanswered_all_arrive) {
    connect();
    const auto many = 3 * limits::max_unanswered_transfers;
    for (std::size_t i = 0; i < many; ++i) {
        text_source item(std::to_string(i), "");
        sender_->send(item);
    }
    EXPECT_FALSE(finish());
    EXPECT_EQ(sink_.finished().size(), many);
}

TEST_F(transfers_test, a_side_that_only_sends_refuses_offers) {
    link_.emplace();
    auto other = std::async(std::launch::async, [this] {
        engine::sender sending(open_channel(role::responder, std::move(link_->responder)), {}, at_receiver_);
        sending.settle();
        at_sender_.wait_for_answer("x");
        sending.finish();
    });
    sender_.emplace(open_channel(role::initiator, std::move(link_->initiator)), sender_options{}, at_sender_);
    text_source item("x", "1");
    sender_->send(item);
    sender_->settle();
    EXPECT_FALSE(finish());
    other.get();
    EXPECT_EQ(at_sender_.answers.at("x").failure, errc::refused);
    EXPECT_EQ(at_sender_.answers.at("x").text, "this side only sends");
}

// A sender that would have more connections, and sends numbered records meanwhile, is refused item by item, too.
TEST_F(transfers_test, a_side_that_only_sends_grants_no_connections) {
    struct : stream_opener {
        std::shared_ptr<connection> dial() override { throw error(errc::internal, "nobody asked for this"); }
        std::unique_ptr<secure_channel> open(std::shared_ptr<connection>) override { return nullptr; }
    } opener;
    link_.emplace();
    auto other = std::async(std::launch::async, [this] {
        engine::sender sending(open_channel(role::responder, std::move(link_->responder)), {}, at_receiver_);
        sending.settle();
        at_sender_.wait_for_answer("y");
        sending.finish();
    });
    sender_options options;
    options.streams = 2;
    options.opener = &opener;
    sender_.emplace(open_channel(role::initiator, std::move(link_->initiator)), options, at_sender_);
    for (const auto* const name : {"x", "y"}) {
        text_source item(name, "1");
        sender_->send(item);
    }
    sender_->settle();
    EXPECT_FALSE(finish());
    other.get();
    for (const auto* const name : {"x", "y"}) EXPECT_EQ(at_sender_.answers.at(name).text, "this side only sends");
}

// ---- Compressed content ----

// Text that shrinks to a fraction.
std::string lines(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) text += "vertex " + std::to_string(i * 2654435761u % 997) + "\n";
    text.resize(size);
    return text;
}

std::string noise(std::size_t size) {
    std::string text(size, '\0');
    std::uint64_t state = 88172645463325252u;
    for (auto& byte : text) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        byte = static_cast<char>(state >> 32);
    }
    return text;
}

sender_options compressing(sender_options::compression how) {
    sender_options options;
    options.content_compression = how;
    return options;
}

using compression = sender_options::compression;

TEST_F(transfers_test, compressed_content_of_every_awkward_size_arrives) {
    for (const auto how : {compression::zstd, compression::automatic}) {
        auto options = compressing(how);
        options.content_digest = sender_options::digest::sha256;
        connect({}, {}, options);
        std::map<std::string, std::string> expected;
        for (const std::size_t size :
             {0, 1, 2, 255, 256, 257, 4095, 4096, 65535, 65536, 131071, 131072, 131073, 1048576, 1500001})
            for (const std::size_t step : {std::size_t{10'007}, std::string::npos})
                for (const bool knows_size : {true, false})
                    for (const bool shrinks : {true, false}) {
                        const auto name = std::to_string(expected.size());
                        expected[name] = shrinks ? lines(size) : noise(size);
                        text_source item(name, expected[name]);
                        item.step = step;
                        if (!knows_size) item.says_size(std::nullopt);
                        sender_->send(item);
                    }
        EXPECT_FALSE(finish());
        EXPECT_FALSE(receiver_failure());
        const auto stored = sink_.finished();
        ASSERT_EQ(stored.size(), expected.size());
        for (const auto& [name, content] : expected) {
            EXPECT_TRUE(stored.at(name).content == content) << name << ' ' << content.size();
            EXPECT_EQ(at_sender_.answers.at(name).bytes, content.size());
            EXPECT_EQ(at_receiver_.deliveries.at(name).bytes, content.size());
            EXPECT_EQ(at_receiver_.deliveries.at(name).bytes_on_link, at_sender_.answers.at(name).bytes_on_link);
        }
    }
}

TEST_F(transfers_test, compression_is_seen_on_the_link_and_off_it_is_not) {
    const auto text = lines(3'000'000);
    std::map<compression, std::uint64_t> went;
    for (const auto how : {compression::none, compression::automatic, compression::zstd}) {
        connect({}, {}, compressing(how));
        const auto forward = link_->forward;
        text_source item("x", text);
        sender_->send(item);
        EXPECT_FALSE(finish());
        EXPECT_FALSE(receiver_failure());
        EXPECT_TRUE(sink_.finished().at("x").content == text);
        went[how] = forward->written();
        EXPECT_LE(at_sender_.answers.at("x").bytes_on_link, went[how]);
    }
    EXPECT_GT(went[compression::none], text.size());
    EXPECT_LT(went[compression::zstd], text.size() / 4);
    EXPECT_LT(went[compression::automatic], text.size() / 4);
}

TEST_F(transfers_test, content_that_does_not_shrink_goes_as_it_is) {
    connect({}, {}, compressing(compression::automatic));
    const auto content = noise(9'000'000);
    text_source item("x", content);
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_TRUE(sink_.finished().at("x").content == content);
    EXPECT_EQ(at_sender_.answers.at("x").bytes_on_link, content.size());
}

TEST_F(transfers_test, content_that_changes_its_kind_is_compressed_where_it_shrinks) {
    connect({}, {}, compressing(compression::automatic));
    // So little noise that it says nothing of how fast the link is.
    const auto content = lines(3'000'000) + noise(3'000'000) + lines(12'000'000) + noise(100'000);
    text_source item("x", content);
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(sink_.finished().at("x").content == content);
    EXPECT_LT(at_sender_.answers.at("x").bytes_on_link, content.size() - 4'000'000);
    EXPECT_GE(at_sender_.answers.at("x").bytes_on_link, 3'100'000u);
}

TEST_F(transfers_test, a_record_expands_to_no_more_than_it_may) {
    connect({}, {}, compressing(compression::zstd));
    // Would fit one record, as far as that goes.
    const std::string zeros(100 << 20, '\0');
    text_source item("x", zeros);
    sender_->send(item);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(sink_.finished().at("x").content == zeros);
    EXPECT_LT(at_sender_.answers.at("x").bytes_on_link, 100'000u);
}

TEST_F(transfers_test, what_a_slow_source_gave_is_not_kept_by_the_compressor) {
    for (const auto how : {compression::zstd, compression::automatic}) {
        connect({}, {}, compressing(how));
        // Gives the next line when the sink has got the one before: otherwise this never ends.
        class conversation final : public source {
        public:
            conversation() {
                what_.kind = item_kind::data;
                what_.name = "talk";
            }
            const offer& what() const noexcept override { return what_; }
            bool may_wait() const noexcept override { return true; }
            std::size_t read(mutable_bytes into) override {
                std::unique_lock lock(mutex);
                changed.wait(lock, [&] { return came == asked; });
                if (asked == 50 * line.size()) return 0;
                std::copy_n(as_bytes(line).begin(), line.size(), into.begin());
                asked += line.size();
                return line.size();
            }

            const std::string line = "the same line again\n";
            std::mutex mutex;
            std::condition_variable changed;
            std::size_t asked = 0, came = 0;

        private:
            offer what_;
        } item;
        at_receiver_.on_received = [&](std::uint64_t bytes) {
            const std::lock_guard lock(item.mutex);
            item.came = bytes;
            item.changed.notify_all();
        };
        sender_->send(item);
        EXPECT_FALSE(finish());
        EXPECT_FALSE(receiver_failure());
        at_receiver_.on_received = nullptr;
        EXPECT_EQ(sink_.finished().at("talk").content.size(), item.asked);
        EXPECT_LT(at_sender_.answers.at("talk").bytes_on_link, item.asked);
    }
}

TEST_F(transfers_test, a_cut_transfer_that_was_compressed_goes_on_where_it_stopped) {
    const auto content = noise(1'000'000) + lines(2'000'000);
    auto options = compressing(compression::zstd);
    options.content_digest = sender_options::digest::sha256;
    connect(damage{.cut_at = 300'000}, {}, options);
    text_source first("x", content);
    first.resumable();
    try {
        sender_->send(first);
    } catch (const error&) {
        // Also a way to hear of it.
    }
    EXPECT_TRUE(finish());
    EXPECT_TRUE(receiver_failure());
    const auto partial = sink_.partials().at("x");
    EXPECT_GT(partial.size(), 100'000u);
    EXPECT_LT(partial.size(), content.size());
    EXPECT_TRUE(content.starts_with(partial));

    connect({}, {}, options);
    text_source again("x", content);
    again.resumable();
    sender_->send(again);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(sink_.finished().at("x").content == content);
    const auto& answer = at_sender_.answers.at("x");
    EXPECT_EQ(answer.resumed_from, partial.size());
    EXPECT_EQ(answer.bytes, content.size() - partial.size());
    EXPECT_LT(answer.bytes_on_link, answer.bytes / 2);
}

TEST_F(transfers_test, a_source_that_fails_while_it_is_compressed_leaves_the_next_item_whole) {
    connect({}, {}, compressing(compression::zstd));
    text_source bad("bad", lines(400'000)), good("good", lines(500'000));
    bad.fails_at(150'000).step = 1000;
    sender_->send(bad);
    sender_->send(good);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_EQ(at_sender_.answers.at("bad").failure, errc::io);
    EXPECT_FALSE(sink_.finished().contains("bad"));
    EXPECT_TRUE(sink_.finished().at("good").content == lines(500'000));
}

TEST_F(transfers_test, a_sink_that_fails_within_compressed_content_ends_one_transfer_only) {
    connect({}, {}, compressing(compression::zstd));
    sink_.on_call = [writes = 0](const std::string& call, const std::string& name) mutable {
        if (call == "write" && name == "bad" && ++writes == 3) throw error(errc::exhausted, "the disk is full");
    };
    text_source bad("bad", lines(5'000'000)), good("good", lines(500'000));
    sender_->send(bad);
    sender_->send(good);
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    EXPECT_EQ(at_sender_.answers.at("bad").failure, errc::exhausted);
    EXPECT_TRUE(sink_.has_call("drop bad"));
    EXPECT_TRUE(sink_.finished().at("good").content == lines(500'000));
}

TEST_F(transfers_test, cancel_within_compressed_content_drops_it) {
    connect({}, {}, compressing(compression::zstd));
    at_receiver_.on_received = [&](std::uint64_t) { sender_->cancel(); };
    class endless final : public source {
    public:
        endless() { what_.name = "endless"; }
        const offer& what() const noexcept override { return what_; }
        std::size_t read(mutable_bytes into) override {
            std::fill(into.begin(), into.end(), std::byte{'x'});
            return into.size();
        }
        offer what_;
    } item;
    EXPECT_THROW(sender_->send(item), error);
    const auto failure = finish();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::cancelled);
    EXPECT_FALSE(receiver_failure());
    EXPECT_TRUE(sink_.finished().empty());
    EXPECT_TRUE(sink_.has_call("drop endless"));
}

// ---- Who hears the answers ----

TEST_F(transfers_test, another_thread_than_sends_hears_the_answers) {
    connect();
    text_source small("small", "x"), resumed("resumed", pattern(200'000));
    sender_->send(small);
    sender_->send(resumed.resumable());
    EXPECT_FALSE(finish());
    EXPECT_FALSE(receiver_failure());
    for (const auto* const name : {"small", "resumed"}) {
        EXPECT_TRUE(at_sender_.answers.at(name).ok());
        EXPECT_NE(at_sender_.answered_on.at(name), std::this_thread::get_id());
    }
}

TEST_F(transfers_test, answers_are_heard_while_many_items_are_sent) {
    connect();
    std::deque<text_source> items;
    for (int i = 0; i < 40; ++i) sender_->send(items.emplace_back("item" + std::to_string(i), "x"));
    text_source last("last", pattern(100'000));
    sender_->send(last);
    at_sender_.wait_for_answer("item0");
    EXPECT_NE(at_sender_.answered_on.at("item0"), std::this_thread::get_id());
    EXPECT_FALSE(finish());
}

TEST_F(transfers_test, answers_are_heard_while_a_large_item_is_sent) {
    connect();
    text_source small("small", "x");
    sender_->send(small);
    class gated final : public source {
    public:
        explicit gated(noting_observer& until) : until_(until) {
            what_.name = "large";
            what_.size = 12'000'000;
        }
        const offer& what() const noexcept override { return what_; }
        // The second half comes when the small one was answered.
        std::size_t read(mutable_bytes into) override {
            if (position_ >= *what_.size / 2) until_.wait_for_answer("small");
            const auto count = std::min<std::size_t>(into.size(), *what_.size - position_);
            std::fill_n(into.begin(), count, std::byte{'x'});
            position_ += count;
            return count;
        }

    private:
        noting_observer& until_;
        offer what_;
        std::size_t position_ = 0;
    } large(at_sender_);
    // What is unsent waits for no company.
    sender_->send(large);
    EXPECT_FALSE(finish());
    EXPECT_TRUE(at_sender_.answers.at("large").ok());
}

TEST_F(transfers_test, of_a_pipe_answers_are_heard_at_any_time) {
    connect();
    text_source piped("piped", "x");
    piped.waits = true;
    sender_->send(piped.says_size(std::nullopt));
    text_source last("last", pattern(100'000));
    sender_->send(last);
    at_sender_.wait_for_answer("piped");
    EXPECT_FALSE(finish());
}

TEST_F(transfers_test, an_answer_that_nobody_waits_for_is_heard_nevertheless) {
    connect();
    text_source small("small", "x"), large("large", pattern(100'000));
    sender_->send(small);
    sender_->send(large);
    at_sender_.wait_for_answer("small");
    EXPECT_NE(at_sender_.answered_on.at("small"), std::this_thread::get_id());
    EXPECT_FALSE(finish());
}

// The peer is told all the same when it comes to read, and whatever it says first.
TEST_F(transfers_test, cancel_before_the_peer_has_let_this_side_in) {
    for (const bool says_its_preface : {false, true}) {
        memory_link link;
        if (says_its_preface) {
            // As it will say itself.
            byte_writer preface;
            preface.bytes(as_bytes("\x89wherry\n")).integer(std::uint8_t{1}).sized<std::uint8_t>(as_bytes("plain"));
            link.backward->write(preface.view());
        }
        engine::sender sender(open_channel(role::initiator, std::move(link.initiator)), {}, at_sender_);
        text_source item("item", "content");
        const auto id = sender.announce(item.resumable());
        auto stopped = std::async(std::launch::async, [&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
            sender.cancel();
        });
        auto served = std::async(std::launch::async, [&] {
            at_sender_.wait_for_answer("item");
            if (says_its_preface) {
                // Its preface is out: only the rest of the opening follows.
                std::vector<std::byte> said(64);
                (void)link.responder->read_some(said);
                link.responder->write_all(as_bytes("n"));
                link.responder->shutdown_write();
                return;
            }
            engine::receiver serving(open_channel(role::responder, std::move(link.responder)), sink_, at_receiver_);
            serving.serve();
        });
        try {
            sender.send(id, item);
            ADD_FAILURE() << "it was sent";
        } catch (const error& e) {
            EXPECT_EQ(e.code(), errc::cancelled);
        }
        EXPECT_EQ(at_sender_.answers.at("item").failure, errc::cancelled);
        EXPECT_FALSE(at_sender_.answers.at("item").is_uncertain);
        try {
            sender.finish();
            ADD_FAILURE() << "it was not told";
        } catch (const error& e) {
            EXPECT_EQ(e.code(), errc::cancelled);
        }
        EXPECT_NO_THROW(served.get());
        if (!says_its_preface) {
            EXPECT_EQ(at_receiver_.deliveries.at("item").failure, errc::cancelled);
        }
        at_sender_.answers.clear();
    }
    EXPECT_TRUE(sink_.finished().empty());
}

// It has answered, and then offers without end what nobody takes.
TEST_F(transfers_test, a_peer_that_does_not_take_leave_is_cut) {
    memory_link link;
    auto serving = std::async(std::launch::async, [&] {
        auto over = open_channel(role::responder, std::move(link.responder));
        record_buffer record(65536, over->protection().overhead());
        record_reader records(over->link(), over->protection());
        bool has_ended = false;
        while (!has_ended) {
            const auto got = records.next();
            byte_reader frames(*got, "a record");
            while (frames.remaining() > 0) has_ended = take_frame(frames).type == frame_type::end;
        }
        record.append(frame_type::result, 0, 1, encode(result_frame{std::nullopt, "", {}}));
        try {
            for (;;) {
                record.append(frame_type::ping, 0, 0, {});
                over->link().write_all(record.seal(over->protection()));
                std::this_thread::sleep_for(std::chrono::milliseconds(5));
            }
        } catch (const error&) {
            // It was cut.
        }
    });
    engine::sender sender(open_channel(role::initiator, std::move(link.initiator)), {}, at_sender_);
    text_source item("item", "x");
    sender.send(item);
    EXPECT_NO_THROW(sender.finish());
    EXPECT_TRUE(at_sender_.answers.at("item").ok());
    serving.get();
}

// ---- A peer that does what it may not ----

class rogue_peer_test : public testing::Test {
protected:
    // Sends frames by hand to a receiver, and returns how that ended.
    template <class Speak>
    std::optional<error> serve_what(Speak&& speak) {
        memory_link link;
        auto done = std::async(std::launch::async, [&] {
            std::optional<error> failure;
            try {
                engine::receiver serving(open_channel(role::responder, std::move(link.responder)), sink_, observer_);
                serving.serve();
            } catch (const error& e) {
                failure = e;
            }
            return failure;
        });
        auto over = open_channel(role::initiator, std::move(link.initiator));
        over->complete();
        record_buffer record(65536, over->protection().overhead());
        speak(record);
        over->link().write_all(record.seal(over->protection()));
        over->link().shutdown_write();
        return done.get();
    }

    static std::vector<std::byte> offer_of(std::string name, std::optional<std::uint64_t> size = std::nullopt) {
        offer_frame content;
        content.what.name = std::move(name);
        content.what.size = size;
        return encode(content);
    }

    recording_sink sink_;
    noting_observer observer_;
};

TEST_F(rogue_peer_test, data_of_a_transfer_never_offered) {
    const auto failure = serve_what([&](record_buffer& r) { r.append(frame_type::data, 0, 1, as_bytes("x")); });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_THAT(failure->what(), HasSubstr("never offered"));
}

TEST_F(rogue_peer_test, an_offer_with_a_number_of_the_other_side) {
    const auto failure = serve_what([&](record_buffer& r) { r.append(frame_type::offer, 0, 2, offer_of("x")); });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
}

TEST_F(rogue_peer_test, leave_with_the_end_is_no_reason_not_to_finish) {
    const auto failure = serve_what([&](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, offer_of("x", 1));
        r.append(frame_type::data, 0, 1, as_bytes("y"));
        r.append(frame_type::end, 0, 1, encode(end_frame{1, std::nullopt}));
        r.append(frame_type::bye, 0, 0, {});
    });
    EXPECT_FALSE(failure);
    EXPECT_TRUE(sink_.finished().contains("x"));
    EXPECT_TRUE(observer_.deliveries.at("x").ok());
}

TEST_F(rogue_peer_test, a_number_used_twice) {
    const auto failure = serve_what([&](record_buffer& r) {
        r.append(frame_type::offer, 0, 3, offer_of("x"));
        r.append(frame_type::offer, 0, 3, offer_of("y"));
    });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_TRUE(sink_.has_call("drop x"));
}

TEST_F(rogue_peer_test, leave_in_the_middle_of_a_transfer) {
    const auto failure = serve_what([&](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, offer_of("x"));
        r.append(frame_type::bye, 0, 0, {});
    });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_TRUE(sink_.has_call("drop x"));
}

TEST_F(rogue_peer_test, an_end_that_lies_about_the_size) {
    serve_what([&](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, offer_of("x"));
        r.append(frame_type::data, 0, 1, as_bytes("abc"));
        r.append(frame_type::end, 0, 1, encode(end_frame{4, std::nullopt}));
        r.append(frame_type::bye, 0, 0, {});
    });
    EXPECT_TRUE(sink_.finished().empty());
    EXPECT_EQ(observer_.deliveries.at("x").failure, errc::integrity);
}

TEST_F(rogue_peer_test, a_digest_that_does_not_match) {
    serve_what([&](record_buffer& r) {
        offer_frame content;
        content.what.name = "x";
        content.digest = digest_kind::sha256;
        r.append(frame_type::offer, 0, 1, encode(content));
        r.append(frame_type::data, 0, 1, as_bytes("abc"));
        r.append(frame_type::end, 0, 1, encode(end_frame{3, sha256_digest{}}));
        r.append(frame_type::bye, 0, 0, {});
    });
    EXPECT_TRUE(sink_.finished().empty());
    EXPECT_EQ(observer_.deliveries.at("x").failure, errc::integrity);
}

TEST_F(rogue_peer_test, a_digest_that_was_promised_and_never_came) {
    serve_what([&](record_buffer& r) {
        offer_frame content;
        content.what.name = "x";
        content.digest = digest_kind::sha256;
        r.append(frame_type::offer, 0, 1, encode(content));
        r.append(frame_type::end, 0, 1, encode(end_frame{0, std::nullopt}));
        r.append(frame_type::bye, 0, 0, {});
    });
    EXPECT_TRUE(sink_.finished().empty());
}

TEST_F(rogue_peer_test, more_open_transfers_than_may_be) {
    serve_what([&](record_buffer& r) {
        for (std::uint32_t i = 0; i <= limits::max_open_transfers; ++i)
            r.append(frame_type::offer, 0, 2 * i + 1, offer_of(std::to_string(i)));
        r.append(frame_type::bye, 0, 0, {});
    });
    EXPECT_FALSE(sink_.has_call("begin " + std::to_string(limits::max_open_transfers)));
    EXPECT_EQ(observer_.deliveries.at(std::to_string(limits::max_open_transfers)).failure, errc::exhausted);
}

TEST_F(rogue_peer_test, an_answer_to_what_was_never_offered) {
    const auto failure =
        serve_what([&](record_buffer& r) { r.append(frame_type::result, 0, 2, encode(result_frame{})); });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
}

TEST_F(rogue_peer_test, an_unknown_frame_is_skipped_unless_it_is_critical) {
    EXPECT_FALSE(serve_what([&](record_buffer& r) {
        r.append(static_cast<frame_type>(99), 0, 0, as_bytes("of a later version"));
        r.append(frame_type::bye, 0, 0, {});
    }));
    const auto failure = serve_what([&](record_buffer& r) {
        r.append(static_cast<frame_type>(99), frame_flag::critical, 0, as_bytes("of a later version"));
    });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
}

TEST_F(rogue_peer_test, a_name_with_a_nul_is_refused) {
    serve_what([&](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, offer_of(std::string("a\0b", 3)));
        r.append(frame_type::bye, 0, 0, {});
    });
    EXPECT_TRUE(sink_.calls().empty());
}

TEST_F(rogue_peer_test, content_before_the_offset_was_agreed_on) {
    sink_.set_partial("x", "prefix");
    const auto failure = serve_what([&](record_buffer& r) {
        offer_frame content;
        content.what.name = "x";
        content.what.wants_resume = true;
        r.append(frame_type::offer, 0, 1, encode(content));
        r.append(frame_type::data, 0, 1, as_bytes("more"));
    });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    // What had been verified before is kept.
    EXPECT_EQ(sink_.partials().at("x"), "prefix");
}

// ---- A peer that compresses what it should not ----

class rogue_compressor_test : public rogue_peer_test {
protected:
    static std::vector<std::byte> compressed_offer(std::string name, std::optional<std::uint64_t> size = std::nullopt) {
        offer_frame content;
        content.what.name = std::move(name);
        content.what.size = size;
        content.compression = compression_kind::zstd;
        return encode(content);
    }

    // The first payload of content compressed: all of it, or its beginning.
    static std::vector<std::byte> compressed(std::string_view content,
                                             compressor::until how = compressor::until::ended) {
        compressor with;
        with.begin(1, std::nullopt);
        std::vector<std::byte> payload(60'000);
        const auto step = with.compress(as_bytes(content), payload, how);
        EXPECT_TRUE(step.is_done);
        payload.resize(step.made);
        return payload;
    }

    // What the transfer "x" of these frames, which END and BYE follow, comes to; the one behind it must go well.
    template <class Speak>
    std::optional<errc> failure_of(Speak&& speak, std::uint64_t size, std::optional<std::uint64_t> offered = {}) {
        const auto failure = serve_what([&](record_buffer& r) {
            r.append(frame_type::offer, 0, 1, compressed_offer("x", offered));
            speak(r);
            r.append(frame_type::end, 0, 1, encode(end_frame{size, std::nullopt}));
            r.append(frame_type::offer, 0, 3, compressed_offer("y", 4));
            r.append(frame_type::compressed_data, frame_flag::critical, 3, compressed("good"));
            r.append(frame_type::end, 0, 3, encode(end_frame{4, std::nullopt}));
            r.append(frame_type::bye, 0, 0, {});
        });
        EXPECT_FALSE(failure) << failure->what();
        EXPECT_EQ(sink_.finished().at("y").content, "good");
        EXPECT_EQ(sink_.finished().contains("x"), observer_.deliveries.at("x").ok());
        return observer_.deliveries.at("x").failure;
    }
};

TEST_F(rogue_compressor_test, plain_and_compressed_content_may_alternate) {
    const auto failure = failure_of(
        [&](record_buffer& r) {
            r.append(frame_type::data, 0, 1, as_bytes("a"));
            r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed("bb"));
            r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed("cc"));
            r.append(frame_type::data, 0, 1, as_bytes("d"));
            r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed(""));
            r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed("ee"));
        },
        8, 8);
    EXPECT_FALSE(failure);
    EXPECT_EQ(sink_.finished().at("x").content, "abbccdee");
}

TEST_F(rogue_compressor_test, compressed_content_that_was_not_offered_so) {
    const auto failure = serve_what([&](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, offer_of("x"));
        r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed("content"));
    });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_TRUE(sink_.finished().empty());
    EXPECT_FALSE(sink_.has_call("write x"));
}

TEST_F(rogue_compressor_test, compressed_content_of_a_transfer_never_offered) {
    const auto failure = serve_what([&](record_buffer& r) {
        r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed("content"));
    });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
}

TEST_F(rogue_compressor_test, content_that_expands_beyond_what_was_offered) {
    const auto failure = failure_of(
        [&](record_buffer& r) {
            r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed(std::string(1'000'000, 'x')));
        },
        1'000'000, 999'999);
    EXPECT_EQ(failure, errc::integrity);
    EXPECT_TRUE(sink_.has_call("drop x"));
    EXPECT_LE(observer_.deliveries.at("x").bytes, 999'999u);
}

TEST_F(rogue_compressor_test, content_that_expands_to_exactly_what_was_offered) {
    const auto failure = failure_of(
        [&](record_buffer& r) {
            r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed(std::string(1'000'000, 'x')));
        },
        1'000'000, 1'000'000);
    EXPECT_FALSE(failure);
}

TEST_F(rogue_compressor_test, content_of_unknown_size_is_the_sinks_to_refuse) {
    sink_.on_call = [writes = 0](const std::string& call, const std::string& name) mutable {
        if (call == "write" && name == "x" && ++writes == 4) throw error(errc::exhausted, "the disk is full");
    };
    const auto failure = failure_of(
        [&](record_buffer& r) {
            r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed(std::string(5'000'000, 'x')));
        },
        5'000'000);
    EXPECT_EQ(failure, errc::exhausted);
    EXPECT_LE(observer_.deliveries.at("x").bytes, 3u * 131'072);
}

TEST_F(rogue_compressor_test, a_record_that_expands_to_more_than_it_may) {
    const auto failure = serve_what([&](record_buffer& r) {
        const auto some = compressed(std::string(1 << 20, 'x'));
        for (std::uint32_t i = 0; i < 20; ++i) {
            r.append(frame_type::offer, 0, 2 * i + 1, compressed_offer(std::to_string(i)));
            r.append(frame_type::compressed_data, frame_flag::critical, 2 * i + 1, some);
        }
        r.append(frame_type::bye, 0, 0, {});
    });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_THAT(failure->what(), HasSubstr("8 MiB"));
    EXPECT_TRUE(sink_.finished().empty());
    EXPECT_TRUE(sink_.has_call("begin 8"));
    EXPECT_FALSE(sink_.has_call("begin 9"));
}

TEST_F(rogue_compressor_test, a_bomb_in_one_frame) {
    // 1 GiB: blocks that repeat one byte 128 KiB times, four bytes each.
    std::string bomb("\x28\xB5\x2F\xFD\x00\x50", 6);
    for (int block = 0; block < 8192; ++block) bomb += std::string("\x02\x00\x10x", 4);
    const auto failure = serve_what([&](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, compressed_offer("x", std::uint64_t{1} << 40));
        r.append(frame_type::compressed_data, frame_flag::critical, 1, as_bytes(bomb));
    });
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->code(), errc::protocol);
    EXPECT_THAT(failure->what(), HasSubstr("8 MiB"));
    EXPECT_EQ(observer_.deliveries.at("x").bytes, 8u << 20);
    EXPECT_TRUE(sink_.has_call("drop x"));
}

TEST_F(rogue_compressor_test, an_end_within_compressed_content) {
    const auto failure = failure_of(
        [&](record_buffer& r) {
            r.append(frame_type::compressed_data, frame_flag::critical, 1,
                     compressed("content", compressor::until::flushed));
        },
        7, 7);
    EXPECT_EQ(failure, errc::protocol);
    EXPECT_EQ(observer_.deliveries.at("x").bytes, 7u);
}

TEST_F(rogue_compressor_test, plain_content_within_compressed_content) {
    const auto failure = failure_of(
        [&](record_buffer& r) {
            r.append(frame_type::compressed_data, frame_flag::critical, 1,
                     compressed("content", compressor::until::flushed));
            r.append(frame_type::data, 0, 1, as_bytes("more"));
        },
        11, 11);
    EXPECT_EQ(failure, errc::protocol);
}

TEST_F(rogue_compressor_test, bytes_behind_the_end_of_compressed_content) {
    const auto failure = failure_of(
        [&](record_buffer& r) {
            auto payload = compressed("content");
            payload.push_back(std::byte{0});
            r.append(frame_type::compressed_data, frame_flag::critical, 1, payload);
        },
        7, 7);
    EXPECT_EQ(failure, errc::protocol);
}

TEST_F(rogue_compressor_test, what_is_not_compressed_at_all) {
    const auto failure = failure_of(
        [&](record_buffer& r) { r.append(frame_type::compressed_data, frame_flag::critical, 1, as_bytes("content")); },
        7, 7);
    EXPECT_EQ(failure, errc::protocol);
    EXPECT_FALSE(sink_.has_call("write x"));
}

TEST_F(rogue_compressor_test, more_transfers_within_compressed_content_than_may_be) {
    serve_what([&](record_buffer& r) {
        for (std::uint32_t i = 0; i <= limits::max_open_decompressors; ++i) {
            r.append(frame_type::offer, 0, 2 * i + 1, compressed_offer(std::to_string(i)));
            r.append(frame_type::compressed_data, frame_flag::critical, 2 * i + 1,
                     compressed("a", compressor::until::flushed));
        }
        r.append(frame_type::bye, 0, 0, {});
    });
    EXPECT_TRUE(sink_.has_call("write " + std::to_string(limits::max_open_decompressors - 1)));
    EXPECT_FALSE(sink_.has_call("write " + std::to_string(limits::max_open_decompressors)));
    EXPECT_EQ(observer_.deliveries.at(std::to_string(limits::max_open_decompressors)).failure, errc::exhausted);
}

}  // namespace
}  // namespace wherry
