// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/server.hpp"
#include "wait_until.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <future>
#include <thread>

#include "error_of.hpp"
#include "memory_listener.hpp"
#include "plain_cipher.hpp"
#include "recording_sink.hpp"
#include "wherry/engine/sender.hpp"

namespace wherry {
namespace {

using test::memory_listener;
using test::plain_cipher;
using test::recording_sink;
using testing::HasSubstr;
using testing::StartsWith;

class text_source final : public source {
public:
    text_source(std::string name, std::string content) : content_(std::move(content)) {
        what_.name = std::move(name);
        what_.size = content_.size();
    }
    const offer& what() const noexcept override { return what_; }
    std::size_t read(mutable_bytes into) override {
        const auto count = std::min(into.size(), content_.size() - position_);
        std::copy_n(as_bytes(content_).begin() + static_cast<std::ptrdiff_t>(position_), count, into.begin());
        position_ += count;
        return count;
    }

private:
    offer what_;
    std::string content_;
    std::size_t position_ = 0;
};

struct noting_observer final : server_observer {
    void connected(connection_id, std::string_view, const identity&, std::string_view) override {
        change(connections, 1);
    }
    void delivered(connection_id, transfer_id, const offer& what, const delivery_result& result) override {
        const std::lock_guard lock(mutex);
        results.emplace_back(what.name, result);
        changed.notify_all();
    }
    void disconnected(connection_id, std::string_view, const std::optional<error>& failure) override {
        const std::lock_guard lock(mutex);
        ends.push_back(failure);
        changed.notify_all();
    }
    void change(int& count, int by) {
        const std::lock_guard lock(mutex);
        count += by;
        changed.notify_all();
    }
    template <class Condition>
    void wait_until(Condition&& condition) {
        std::unique_lock lock(mutex);
        changed.wait(lock, condition);
    }

    std::mutex mutex;
    std::condition_variable changed;
    int connections = 0;
    std::vector<std::pair<std::string, delivery_result>> results;
    std::vector<std::optional<error>> ends;
};

class server_test : public testing::Test {
protected:
    void start(server_options options = {}, bool is_raw = false, receive_all_options raw = {}) {
        server_protocol protocol;
        protocol.protection = is_raw ? nullptr : &cipher_;
        protocol.cipher_name = "plain";
        protocol.raw = raw;
        server_.emplace(listener_, sink_, protocol, options, observer_);
        running_ = std::async(std::launch::async, [this] { server_->run(); });
    }
    ~server_test() override {
        if (!server_) return;
        server_->stop(std::chrono::milliseconds(0));
        if (running_.valid()) running_.wait();
    }

    // Sends one item from a peer of its own, and returns the answer.
    delivery_result send(const std::string& name, const std::string& content) {
        struct : sending_observer {
            void answered(transfer_id, const offer&, const delivery_result& r) override { result = r; }
            delivery_result result;
        } answer;
        auto over = secure_channel::open(role::initiator, listener_.connect(), cipher_, "plain", nullptr, {});
        engine::sender sending(std::move(over), {}, answer);
        text_source item(name, content);
        sending.send(item);
        sending.finish();
        return answer.result;
    }

    plain_cipher cipher_;
    memory_listener listener_;
    recording_sink sink_;
    noting_observer observer_;
    std::optional<server> server_;
    std::future<void> running_;
};

TEST_F(server_test, serves_many_senders_at_once) {
    start();
    std::vector<std::future<delivery_result>> senders;
    for (int i = 0; i < 50; ++i)
        senders.push_back(
            std::async(std::launch::async, [&, i] { return send(std::to_string(i), std::string(10'000, 'x')); }));
    for (auto& sender : senders) EXPECT_TRUE(sender.get().ok());
    EXPECT_EQ(sink_.finished().size(), 50u);
    server_->stop(std::chrono::seconds(10));
    running_.get();
    EXPECT_EQ(observer_.ends.size(), 50u);
    for (const auto& end : observer_.ends) EXPECT_FALSE(end) << end->what();
}

TEST_F(server_test, more_peers_than_places_wait) {
    server_options options;
    options.max_connections = 2;
    start(options);
    sending_observer nobody;
    std::vector<std::unique_ptr<engine::sender>> served;
    for (int i = 0; i < 2; ++i) {
        served.push_back(std::make_unique<engine::sender>(
            secure_channel::open(role::initiator, listener_.connect(), cipher_, "plain", nullptr, {}), sender_options{},
            nobody));
        // An answer shows that it has its place; that it is connected does not.
        text_source item(std::to_string(i), "1");
        served.back()->send(item);
        served.back()->settle();
    }
    auto third = std::async(std::launch::async, [&] { return send("x", "1"); });
    observer_.wait_until([&] { return observer_.connections == 3; });
    EXPECT_EQ(third.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
    EXPECT_EQ(sink_.finished().size(), 2u);
    served.clear();
    EXPECT_TRUE(third.get().ok());
}

TEST_F(server_test, silent_peers_do_not_keep_others_out) {
    server_options options;
    options.max_unproved = 3;
    start(options);
    std::vector<std::unique_ptr<connection>> silent;
    for (int i = 0; i < 3; ++i) silent.push_back(listener_.connect());
    EXPECT_TRUE(send("x", "1").ok());
    std::optional<error> failure;
    // Taken where it is waited for: other connections end as well, before it or after.
    observer_.wait_until([&] {
        for (const auto& end : observer_.ends)
            if (end) failure = end;
        return failure.has_value();
    });
    EXPECT_THAT(failure->what(), HasSubstr("others were waiting"));
}

TEST_F(server_test, evicts_a_silent_peer_before_one_that_has_sent_something) {
    server_options options;
    options.max_unproved = 2;
    start(options);
    const auto speaker = listener_.connect();
    speaker->write_all(as_bytes("\x89"));
    const auto silent = listener_.connect();
    EXPECT_TRUE(send("x", "1").ok());
    // One peer has been evicted: the silent one.
    std::byte none{};
    EXPECT_EQ(silent->read_some({&none, 1}), 0u);
    observer_.wait_until([&] { return observer_.ends.size() == 2; });
    EXPECT_EQ(std::count_if(observer_.ends.begin(), observer_.ends.end(), [](const auto& end) { return !!end; }), 1);
}

TEST_F(server_test, evicts_no_peer_before_another_one_comes) {
    server_options options;
    options.max_unproved = 1;
    start(options);
    const auto silent = listener_.connect();
    silent->set_read_timeout(std::chrono::milliseconds(500));
    std::byte none{};
    EXPECT_EQ(test::error_of([&] { silent->read_some({&none, 1}); }).code(), errc::timed_out);
    EXPECT_TRUE(send("x", "1").ok());
    EXPECT_EQ(silent->read_some({&none, 1}), 0u);
}

// The sink has two descriptors.
TEST_F(server_test, a_delivery_waits_for_descriptors_of_its_own_senders_deliveries) {
    std::atomic<int> open = 0, refused = 0;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "begin" && ++open > 2) {
            --open;
            ++refused;
            throw error(errc::exhausted, "too many files are open", EMFILE);
        }
        if (call == "answered") --open;
    };
    start();
    struct : sending_observer {
        void answered(transfer_id, const offer&, const delivery_result& r) override { delivered += r.ok() ? 1 : 0; }
        int delivered = 0;
    } answers;
    auto over = secure_channel::open(role::initiator, listener_.connect(), cipher_, "plain", nullptr, {});
    engine::sender sending(std::move(over), {}, answers);
    for (int i = 0; i < 100; ++i) {
        text_source item(std::to_string(i), "content");
        sending.send(item);
    }
    sending.finish();
    EXPECT_EQ(answers.delivered, 100);
    EXPECT_EQ(sink_.finished().size(), 100u);
    EXPECT_GT(refused, 0);
}

TEST_F(server_test, a_raw_delivery_waits_for_descriptors) {
    std::atomic<int> left = 3;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "begin" && left-- > 0) throw error(errc::exhausted, "too many files are open", EMFILE);
    };
    start({}, true);
    auto raw = listener_.connect();
    raw->write_all(as_bytes("word"));
    raw->shutdown_write();
    observer_.wait_until([&] { return !observer_.results.empty(); });
    EXPECT_TRUE(observer_.results[0].second.ok());
    EXPECT_EQ(left, -1);
}

TEST_F(server_test, a_process_with_enough_descriptors_lacks_nothing) {
    server_options options;
    options.max_connections = 1;
    start(options);
    EXPECT_EQ(server_->shortage(), "");
    options.max_connections = 100'000'000;
    const server wishful(listener_, sink_, {}, options, observer_);
    EXPECT_THAT(wishful.shortage(), HasSubstr("instead of 100000000; raise the limit to 1600000000"));
}

TEST_F(server_test, a_crowd_of_silent_peers_holds_up_nobody) {
    start();
    std::vector<std::unique_ptr<connection>> silent;
    for (int i = 0; i < 200; ++i) silent.push_back(listener_.connect());
    EXPECT_TRUE(send("x", "1").ok());
}

TEST_F(server_test, stops_in_the_middle_of_a_rush) {
    start();
    std::vector<std::unique_ptr<connection>> silent;
    for (int i = 0; i < 2000; ++i) silent.push_back(listener_.connect());
    server_->stop(std::chrono::milliseconds(0));
    running_.get();
}

TEST_F(server_test, peers_that_wait_for_a_place_hear_of_a_stop) {
    server_options options;
    options.max_connections = 1;
    start(options);
    auto served = secure_channel::open(role::initiator, listener_.connect(), cipher_, "plain", nullptr, {});
    observer_.wait_until([&] { return observer_.connections == 1; });
    auto waiting = std::async(std::launch::async, [&] { return send("x", "1"); });
    observer_.wait_until([&] { return observer_.connections == 2; });
    served.reset();
    server_->stop(std::chrono::seconds(30));
    running_.get();
    try {
        const auto answer = waiting.get();
        EXPECT_EQ(answer.ok(), sink_.finished().contains("x"));
    } catch (const error& e) {
        EXPECT_EQ(e.code(), errc::disconnected);
        EXPECT_FALSE(sink_.finished().contains("x"));
    }
}

TEST_F(server_test, a_broken_peer_harms_nobody_else) {
    start();
    auto broken = listener_.connect();
    broken->write_all(as_bytes("GET / HTTP/1.0\r\n\r\n"));
    EXPECT_TRUE(send("x", "1").ok());
    observer_.wait_until([&] { return observer_.ends.size() == 2 || observer_.connections > 1; });
    broken.reset();
    EXPECT_TRUE(send("y", "1").ok());
}

TEST_F(server_test, goes_on_after_running_out_of_descriptors) {
    listener_.fail_next(error(errc::exhausted, "too many open files"));
    start();
    EXPECT_TRUE(send("x", "1").ok());
}

TEST_F(server_test, a_listener_that_fails_ends_it) {
    start();
    listener_.fail_next(error(errc::io, "the adapter is gone"));
    EXPECT_THROW(running_.get(), error);
}

TEST_F(server_test, stop_lets_what_is_in_flight_end) {
    std::promise<void> begun, stopped;
    auto may_go_on = stopped.get_future().share();
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call != "begin") return;
        begun.set_value();
        may_go_on.wait();
    };
    start();
    auto sender = std::async(std::launch::async, [&] { return send("x", std::string(500'000, 'x')); });
    begun.get_future().wait();
    server_->stop(std::chrono::seconds(30));
    stopped.set_value();
    EXPECT_TRUE(sender.get().ok());
    running_.get();
    EXPECT_TRUE(sink_.finished().contains("x"));
}

TEST_F(server_test, stop_cuts_what_does_not_end_in_time) {
    start();
    auto over = secure_channel::open(role::initiator, listener_.connect(), cipher_, "plain", nullptr, {});
    sending_observer nobody;
    engine::sender sending(std::move(over), {}, nobody);
    text_source item("x", "abc");
    sending.announce(item);
    sending.flush();
    wait_until([&] { return sink_.has_call("begin x"); });
    server_->stop(std::chrono::milliseconds(50));
    running_.get();
    EXPECT_TRUE(sink_.has_call("drop x"));
    EXPECT_TRUE(sink_.finished().empty());
    EXPECT_THROW(sending.finish(), error);
}

TEST_F(server_test, stop_ends_idle_connections_and_handshakes_at_once) {
    start();
    auto silent = listener_.connect();
    auto idle = secure_channel::open(role::initiator, listener_.connect(), cipher_, "plain", nullptr, {});
    idle->complete();
    observer_.wait_until([&] { return observer_.connections == 1; });
    wait_until([&] { return listener_.waiting() == 0; });
    // The idle peer hangs up when it hears BYE, as wherry's own sender does.
    auto hang_up = std::async(std::launch::async, [&] {
        std::byte some[64];
        idle->link().read_some(some);
        idle.reset();
    });
    server_->stop(std::chrono::hours(1));
    running_.get();
    hang_up.get();
}

TEST_F(server_test, raw_stores_what_comes_until_the_peer_closes) {
    start({}, true);
    auto peer = listener_.connect();
    peer->write_all(as_bytes("no protocol "));
    peer->write_all(as_bytes("at all"));
    peer->shutdown_write();
    observer_.wait_until([&] { return !observer_.results.empty(); });
    ASSERT_TRUE(observer_.results[0].second.ok());
    EXPECT_THAT(observer_.results[0].first, StartsWith("raw-"));
    EXPECT_EQ(sink_.finished().begin()->second.content, "no protocol at all");
    EXPECT_EQ(sink_.finished().begin()->second.what.kind, item_kind::data);
}

TEST_F(server_test, raw_stores_what_came_before_the_peer_went_quiet) {
    receive_all_options raw;
    raw.idle_timeout = std::chrono::milliseconds(50);
    start({}, true, raw);
    auto peer = listener_.connect();
    peer->write_all(as_bytes("an instrument"));
    observer_.wait_until([&] { return !observer_.results.empty(); });
    EXPECT_TRUE(observer_.results[0].second.ok());
    EXPECT_EQ(sink_.finished().begin()->second.content, "an instrument");
}

TEST_F(server_test, raw_stores_what_came_up_to_the_limit_and_says_that_it_is_not_complete) {
    receive_all_options raw;
    raw.max_bytes = 10;
    start({}, true, raw);
    auto peer = listener_.connect();
    peer->write_all(as_bytes("more than ten bytes"));
    observer_.wait_until([&] { return !observer_.results.empty(); });
    EXPECT_EQ(observer_.results[0].second.failure, errc::exhausted);
    EXPECT_THAT(observer_.results[0].second.text, HasSubstr("not complete"));
    EXPECT_EQ(sink_.finished().begin()->second.content, "more than ");
}

TEST_F(server_test, raw_stores_what_came_before_it_was_stopped) {
    receive_all_options raw;
    raw.idle_timeout = std::chrono::milliseconds(0);
    start({}, true, raw);
    auto peer = listener_.connect();
    peer->write_all(as_bytes("a dump that nobody sends again"));
    wait_until([&] { return sink_.has_call("write " + (sink_.calls().empty() ? "" : sink_.calls()[0].substr(6))); });
    server_->stop(std::chrono::milliseconds(0));
    running_.get();
    ASSERT_EQ(observer_.results.size(), 1u);
    EXPECT_EQ(observer_.results[0].second.failure, errc::cancelled);
    EXPECT_EQ(observer_.results[0].second.ended_by, receive_end::cut);
    EXPECT_EQ(sink_.finished().begin()->second.content, "a dump that nobody sends again");
}

TEST_F(server_test, raw_takes_one_delivery_after_the_other_from_a_connection) {
    receive_all_options raw;
    raw.idle_timeout = std::chrono::milliseconds(20);
    start({}, true, raw);
    auto peer = listener_.connect();
    for (std::size_t i = 1; i <= 3; ++i) {
        peer->write_all(as_bytes("dump " + std::to_string(i)));
        observer_.wait_until([&] { return observer_.results.size() == i; });
        EXPECT_EQ(sink_.finished().at(observer_.results[i - 1].first).content, "dump " + std::to_string(i));
    }
    peer.reset();
    observer_.wait_until([&] { return !observer_.ends.empty(); });
    EXPECT_FALSE(observer_.ends[0]);
    EXPECT_EQ(observer_.connections, 1);
    EXPECT_EQ(observer_.results.size(), 3u);
}

TEST_F(server_test, raw_evicts_one_silent_peer_for_each_that_waits) {
    receive_all_options raw;
    raw.idle_timeout = std::chrono::milliseconds(20);
    server_options options;
    options.max_connections = 2;
    start(options, true, raw);
    std::vector<std::unique_ptr<connection>> instruments;
    for (std::size_t i = 1; i <= 2; ++i) {
        instruments.push_back(listener_.connect());
        instruments.back()->write_all(as_bytes("x"));
        observer_.wait_until([&] { return observer_.results.size() == i; });
    }
    EXPECT_TRUE(observer_.ends.empty());
    auto third = listener_.connect();
    third->write_all(as_bytes("the third"));
    observer_.wait_until([&] { return observer_.results.size() == 3 && observer_.ends.size() == 1; });
    ASSERT_TRUE(observer_.ends[0]);
    EXPECT_THAT(observer_.ends[0]->what(), HasSubstr("another peer waited for its place"));
    server_->stop(std::chrono::hours(1));
    running_.get();
    ASSERT_EQ(observer_.ends.size(), 3u);
    EXPECT_FALSE(observer_.ends[1]) << "only one had to go";
    EXPECT_FALSE(observer_.ends[2]);
}

TEST_F(server_test, raw_peer_that_waits_for_a_place_at_a_stop_is_told_of) {
    receive_all_options raw;
    raw.idle_timeout = std::chrono::milliseconds(0);
    server_options options;
    options.max_connections = 1;
    start(options, true, raw);
    auto served = listener_.connect();
    served->write_all(as_bytes("x"));
    observer_.wait_until([&] { return observer_.connections == 1; });
    auto waiting = listener_.connect();
    waiting->write_all(as_bytes("never stored"));
    wait_until([&] { return listener_.waiting() == 0; });
    server_->stop(std::chrono::hours(1));
    observer_.wait_until([&] { return !observer_.ends.empty(); });
    ASSERT_TRUE(observer_.ends[0]);
    EXPECT_EQ(observer_.ends[0]->code(), errc::cancelled);
    EXPECT_THAT(observer_.ends[0]->what(), HasSubstr("not stored"));
    served.reset();
    running_.get();
}

TEST_F(server_test, raw_stop_does_not_wait_for_silent_peers) {
    receive_all_options raw;
    raw.idle_timeout = std::chrono::minutes(10);
    start({}, true, raw);
    auto silent = listener_.connect();
    observer_.wait_until([&] { return observer_.connections == 1; });
    server_->stop(std::chrono::hours(1));
    running_.get();
    ASSERT_EQ(observer_.ends.size(), 1u);
    EXPECT_FALSE(observer_.ends[0]);
}

TEST_F(server_test, raw_makes_no_delivery_of_nothing) {
    start({}, true);
    listener_.connect();
    observer_.wait_until([&] { return !observer_.ends.empty(); });
    EXPECT_TRUE(observer_.results.empty());
    EXPECT_TRUE(sink_.calls().empty());
}

TEST_F(server_test, raw_reports_a_sink_that_refuses) {
    sink_.on_call = [](const std::string& call, const std::string&) {
        if (call == "finish") throw error(errc::exhausted, "the disk is full");
    };
    start({}, true);
    auto peer = listener_.connect();
    peer->write_all(as_bytes("x"));
    peer.reset();
    observer_.wait_until([&] { return !observer_.results.empty(); });
    EXPECT_EQ(observer_.results[0].second.failure, errc::exhausted);
}

}  // namespace
}  // namespace wherry
