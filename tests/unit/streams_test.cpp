// SPDX-License-Identifier: BSD-2-Clause
// One sender over several connections: the parts, and all of it over connections in memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "error_of.hpp"
#include "frame.hpp"
#include "join_registry.hpp"
#include "memory_listener.hpp"
#include "plain_cipher.hpp"
#include "record.hpp"
#include "record_spreader.hpp"
#include "recording_sink.hpp"
#include "reorder_buffer.hpp"
#include "wherry/engine/receiver.hpp"
#include "wherry/engine/sender.hpp"
#include "wherry/limits.hpp"
#include "wherry/server.hpp"

namespace wherry {
namespace {

using test::damage;
using test::memory_link;
using test::memory_listener;
using test::memory_stream;
using test::plain_cipher;
using test::recording_sink;
using testing::HasSubstr;

std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 131 + i / 251) & 0xFF);
    return text;
}

class text_source final : public source {
public:
    text_source(std::string name, std::string content, bool wants_resume = false) : content_(std::move(content)) {
        what_.name = std::move(name);
        what_.size = content_.size();
        what_.wants_resume = wants_resume;
    }
    const offer& what() const noexcept override { return what_; }
    std::size_t read(mutable_bytes into) override {
        if (before_read) before_read(position_);
        const auto count = std::min(into.size(), content_.size() - position_);
        std::copy_n(as_bytes(content_).begin() + static_cast<std::ptrdiff_t>(position_), count, into.begin());
        position_ += count;
        return count;
    }
    void seek(std::uint64_t position) override { position_ = position; }

    std::function<void(std::size_t position)> before_read;

private:
    offer what_;
    std::string content_;
    std::size_t position_ = 0;
};

// ---- Records to several writers ----

TEST(record_spreader, numbers_go_on_from_what_was_written_directly) {
    record_spreader spreader(limits::min_record_bytes, 1);
    plain_cipher::plain_session cipher(role::initiator);
    const auto number_of = [&](record_buffer& record) {
        const auto sealed = record.seal(cipher);
        return take_order(sealed.subspan(4).first(sealed.size() - 5))->number;
    };
    record_buffer record(limits::min_record_bytes, 1, record_buffer::numbering::ordered);
    for (std::uint64_t i = 0; i < 3; ++i) {
        record.append(frame_type::ping, 0, 0, {});
        EXPECT_FALSE(spreader.is_spreading());
        ASSERT_TRUE(spreader.number_directly(record));
        EXPECT_EQ(number_of(record), i);
    }
    std::mutex mutex;
    std::condition_variable changed;
    std::map<int, std::vector<std::uint64_t>> written;
    std::set<std::uint64_t> all;
    std::vector<std::unique_ptr<record_spreader::writer>> writers;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        auto& writer = *writers.emplace_back(std::make_unique<record_spreader::writer>());
        threads.emplace_back([&, i] {
            spreader.serve(writer, [&, i](record_buffer& one) {
                plain_cipher::plain_session own(role::initiator);
                const auto sealed = one.seal(own);
                const auto number = take_order(sealed.subspan(4).first(sealed.size() - 5))->number;
                const std::lock_guard lock(mutex);
                written[i].push_back(number);
                all.insert(number);
                changed.notify_all();
            });
        });
    }
    // The third is never let in, and is given nothing.
    spreader.let_in({writers[0].get(), writers[1].get()});
    EXPECT_TRUE(spreader.is_spreading());
    EXPECT_FALSE(spreader.number_directly(record));
    for (int i = 0; i < 100; ++i) {
        record.append(frame_type::ping, 0, 0, {});
        spreader.put(record);
        EXPECT_TRUE(record.empty());
    }
    {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return all.size() == 100; });
        EXPECT_EQ(*all.begin(), 3U);
        EXPECT_EQ(*all.rbegin(), 102U);
        for (const auto& [writer, numbers] : written) EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
        EXPECT_TRUE(written[2].empty());
    }
    spreader.fail(error(errc::disconnected, "it is over"));
    for (auto& thread : threads) thread.join();
    record.append(frame_type::ping, 0, 0, {});
    EXPECT_EQ(test::error_of([&] { spreader.put(record); }).code(), errc::disconnected);
}

TEST(record_spreader, a_failure_reaches_who_waits_for_room) {
    record_spreader spreader(limits::min_record_bytes, 1);
    record_spreader::writer first, second;  // nobody writes for them
    spreader.let_in({&first, &second});
    record_buffer record(limits::min_record_bytes, 1, record_buffer::numbering::ordered);
    auto filling = std::async(std::launch::async, [&] {
        for (;;) {
            record.append(frame_type::ping, 0, 0, {});
            spreader.put(record);
        }
    });
    spreader.fail(error(errc::timed_out, "it was lost"));
    EXPECT_STREQ(test::error_of([&] { filling.get(); }).what(), "it was lost");
}

// ---- Records from several connections ----

class reorder_buffer_test : public testing::Test {
protected:
    // A connection over which these records come; then it stays open.
    struct scripted {
        memory_link link;
        std::unique_ptr<record_reader> records;
        std::shared_ptr<reorder_buffer::lane> own;
        std::future<std::optional<error>> reading;
    };

    ~reorder_buffer_test() override {
        merge_->close();
        for (auto& one : lanes_) one->link.responder->abort();
    }

    static const_bytes text_of(const_bytes record) { return record.subspan(frame_header_bytes); }

    void say(scripted& on, std::optional<std::uint64_t> number, std::string_view text,
             frame_type type = frame_type::data) {
        plain_cipher::plain_session cipher(role::initiator);
        using numbering = record_buffer::numbering;
        record_buffer record(limits::min_record_bytes, cipher.overhead(),
                             number ? numbering::ordered : numbering::none);
        record.append(type, 0, 1, as_bytes(text));
        if (number) record.set_number(*number);
        on.link.initiator->write_all(record.seal(cipher));
    }

    scripted& connect(bool is_first = false) {
        auto& one = *lanes_.emplace_back(std::make_unique<scripted>());
        one.records = std::make_unique<record_reader>(*one.link.responder, cipher_);
        if (!is_first) one.own = merge_->add(nullptr);
        auto& lane = is_first ? merge_->first() : *one.own;
        one.reading = std::async(std::launch::async, [this, &one, &lane]() -> std::optional<error> {
            try {
                merge_->read(lane, *one.records);
                return std::nullopt;
            } catch (const error& e) {
                return e;
            }
        });
        return one;
    }

    std::string next() {
        const auto record = merge_->next();
        return record ? std::string(as_text(text_of(*record))) : "(end)";
    }

    plain_cipher::plain_session cipher_{role::responder};
    std::shared_ptr<reorder_buffer> merge_ = std::make_shared<reorder_buffer>(nullptr);
    std::vector<std::unique_ptr<scripted>> lanes_;
};

TEST_F(reorder_buffer_test, gives_records_in_the_order_of_their_numbers) {
    auto& first = connect(true);
    auto& second = connect();
    auto& third = connect();
    say(third, 1, "b");
    say(third, 5, "f");
    say(second, 2, "c");
    say(second, std::nullopt, "", frame_type::ping);
    say(second, 3, "d");
    say(first, 0, "a");
    say(first, 4, "e");
    for (const auto* const expected : {"a", "b", "c", "d", "e", "f"}) EXPECT_EQ(next(), expected);
    first.link.initiator->shutdown_write();
    EXPECT_EQ(next(), "(end)");
}

TEST_F(reorder_buffer_test, a_number_that_comes_twice_ends_it) {
    auto& first = connect(true);
    auto& second = connect();
    say(first, 0, "a");
    say(second, 1, "b");
    EXPECT_EQ(next(), "a");
    EXPECT_EQ(next(), "b");
    say(first, 1, "b again");
    const auto failure = test::error_of([&] { next(); });
    EXPECT_EQ(failure.code(), errc::protocol);
    EXPECT_THAT(failure.what(), HasSubstr("has been"));
}

TEST_F(reorder_buffer_test, the_same_number_at_the_same_time_ends_it) {
    auto& first = connect(true);
    auto& second = connect();
    auto& third = connect();
    say(second, 7, "x");
    say(third, 7, "y");
    say(first, 0, "a");
    EXPECT_EQ(test::error_of([&] {
                  for (;;) next();
              }).code(),
              errc::protocol);
}

TEST_F(reorder_buffer_test, a_number_that_is_left_out_ends_it) {
    auto& first = connect(true);
    auto& second = connect();
    say(first, 0, "a");
    say(first, 2, "c");
    say(second, 3, "d");
    EXPECT_EQ(next(), "a");
    const auto failure = test::error_of([&] { next(); });
    EXPECT_EQ(failure.code(), errc::protocol);
    EXPECT_THAT(failure.what(), HasSubstr("left out"));
}

TEST_F(reorder_buffer_test, what_has_no_number_may_only_be_a_ping) {
    connect(true);
    auto& second = connect();
    say(second, std::nullopt, "", frame_type::bye);
    EXPECT_EQ(test::error_of([&] { next(); }).code(), errc::protocol);
    EXPECT_TRUE(second.reading.get());
}

TEST_F(reorder_buffer_test, what_came_before_a_connection_was_lost_is_still_given) {
    auto& first = connect(true);
    auto& second = connect();
    say(first, 0, "a");
    say(second, 1, "b");
    EXPECT_EQ(next(), "a");
    EXPECT_EQ(next(), "b");
    say(first, 3, "d");
    second.link.initiator->shutdown_write();
    const auto failure = test::error_of([&] { next(); });
    EXPECT_EQ(failure.code(), errc::disconnected);
    EXPECT_TRUE(second.reading.get());
}

TEST_F(reorder_buffer_test, once_the_end_is_expected_connections_may_go) {
    auto& first = connect(true);
    auto& second = connect();
    say(first, 0, "bye");
    EXPECT_EQ(next(), "bye");
    merge_->expect_end();
    second.link.initiator->shutdown_write();
    EXPECT_FALSE(second.reading.get());
    EXPECT_EQ(test::error_of([&] { merge_->add(nullptr); }).code(), errc::refused);
    // Nobody asks for another record after that one.
    first.link.initiator->shutdown_write();
    EXPECT_TRUE(merge_->wait_for_first(std::chrono::minutes(1)));
}

// ---- Who may join ----

identity somebody(const std::string& name) {
    identity one;
    one.public_key = "ssh-ed25519 " + name;
    one.fingerprint = "SHA256:" + name;
    return one;
}

TEST(join_registry, lets_as_many_join_as_it_said_and_no_more) {
    join_registry registry(4);
    const auto merge = std::make_shared<reorder_buffer>(nullptr);
    const auto token = registry.grant(merge, somebody("a"), 2, 17);
    for (int i = 0; i < 2; ++i) {
        const auto place = registry.redeem(token, somebody("a"));
        EXPECT_EQ(place.buffer, merge);
        EXPECT_EQ(place.number, 17U);
    }
    EXPECT_EQ(test::error_of([&] { registry.redeem(token, somebody("a")); }).code(), errc::auth_failed);
}

TEST(join_registry, a_wrong_token_and_a_wrong_peer_are_refused_alike) {
    join_registry registry(4);
    const auto merge = std::make_shared<reorder_buffer>(nullptr);
    const auto token = registry.grant(merge, somebody("a"), 1, 1);
    auto wrong = token;
    wrong.back() ^= std::byte{1};
    const auto of_token = test::error_of([&] { registry.redeem(wrong, somebody("a")); });
    const auto of_peer = test::error_of([&] { registry.redeem(token, somebody("b")); });
    EXPECT_EQ(of_token.code(), errc::auth_failed);
    EXPECT_EQ(of_peer.code(), errc::auth_failed);
    EXPECT_STREQ(of_token.what(), of_peer.what());
    EXPECT_EQ(registry.redeem(token, somebody("a")).buffer, merge) << "that used nothing up";
}

TEST(join_registry, what_was_withdrawn_lets_nobody_join) {
    join_registry registry(4);
    const auto merge = std::make_shared<reorder_buffer>(nullptr);
    const auto token = registry.grant(merge, somebody("a"), 1, 1);
    EXPECT_NE(token, registry.grant(merge, somebody("a"), 1, 2)) << "tokens are random";
    registry.withdraw(*merge);
    EXPECT_EQ(test::error_of([&] { registry.redeem(token, somebody("a")); }).code(), errc::auth_failed);
}

// ---- All of it ----

struct noting_observer final : server_observer {
    void connected(connection_id, std::string_view, const identity&, std::string_view) override {
        note([&] { ++connections; });
    }
    void joined(connection_id id, connection_id other) override {
        note([&] { joins[id] = other; });
    }
    void delivered(connection_id, transfer_id, const offer& what, const delivery_result& result) override {
        note([&] { results[what.name] = result; });
    }
    void disconnected(connection_id id, std::string_view, const std::optional<error>& failure) override {
        note([&] { ends.emplace(id, failure); });
    }
    template <class Change>
    void note(Change&& change) {
        const std::lock_guard lock(mutex);
        change();
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
    std::map<connection_id, connection_id> joins;
    std::map<std::string, delivery_result> results;
    std::map<connection_id, std::optional<error>> ends;
};

struct sender_observer final : sending_observer {
    void answered(transfer_id, const offer& what, const delivery_result& result) override {
        const std::lock_guard lock(mutex);
        answers[what.name] = result;
    }
    void streams(std::size_t joined, std::size_t, const std::string& why) override {
        const std::lock_guard lock(mutex);
        EXPECT_FALSE(count) << "it is told once";
        count = joined;
        why_fewer = why;
        changed.notify_all();
    }
    void wait_for_streams() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return count.has_value(); });
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, delivery_result> answers;
    std::optional<std::size_t> count;
    std::string why_fewer;
};

// Connects to the server in memory, and keeps the links in sight.
class memory_opener final : public stream_opener {
public:
    explicit memory_opener(memory_listener& to) : to_(to) {}

    std::shared_ptr<connection> dial() override {
        if (refuses) throw error(errc::disconnected, "there is one channel only");
        memory_link fresh(harm);
        to_.connect(std::move(fresh.responder));
        const std::lock_guard lock(mutex_);
        return links_.emplace_back(std::move(fresh.initiator));
    }
    std::unique_ptr<secure_channel> open(std::shared_ptr<connection> link) override {
        return secure_channel::open(role::initiator, std::move(link), cipher_, "plain", nullptr, {});
    }
    void cut_one() {
        const std::lock_guard lock(mutex_);
        links_.front()->abort();
    }

    std::atomic<bool> refuses = false;
    damage harm;  // of what is sent over each

private:
    memory_listener& to_;
    plain_cipher cipher_;
    std::mutex mutex_;
    std::vector<std::shared_ptr<connection>> links_;
};

class streams_test : public testing::Test {
protected:
    void start(server_options options = {}) {
        server_protocol protocol;
        protocol.protection = &cipher_;
        protocol.cipher_name = "plain";
        server_.emplace(listener_, sink_, protocol, options, observer_);
        running_ = std::async(std::launch::async, [this] { server_->run(); });
    }
    ~streams_test() override {
        sender_.reset();
        if (!server_) return;
        server_->stop(std::chrono::milliseconds(0));
        if (running_.valid()) running_.wait();
    }

    void connect(std::size_t streams) {
        sender_options options;
        options.streams = streams;
        options.opener = &opener_;
        sender_.emplace(secure_channel::open(role::initiator, listener_.connect(), cipher_, "plain", nullptr, {}),
                        options, at_sender_);
    }

    // Items that are there before the extra connections are, and then more.
    void send_all(std::map<std::string, std::string>& content) {
        const auto send = [&](std::size_t size) {
            const auto name = "f" + std::to_string(content.size());
            text_source item(name, content[name] = pattern(size));
            sender_->send(item);
        };
        for (int i = 0; i < 20; ++i) send(static_cast<std::size_t>(i) * 997);
        sender_->flush();
        at_sender_.wait_for_streams();
        for (const std::size_t size : {std::size_t{1'500'000}, std::size_t{0}, std::size_t{65'536}, std::size_t{70}})
            send(size);
        for (int i = 0; i < 200; ++i) send(static_cast<std::size_t>(i) * 7);
    }

    void expect_delivered(const std::map<std::string, std::string>& content) {
        const auto stored = sink_.finished();
        ASSERT_EQ(stored.size(), content.size());
        for (const auto& [name, expected] : content) {
            EXPECT_TRUE(stored.at(name).content == expected) << name;
            EXPECT_TRUE(at_sender_.answers.at(name).ok()) << name;
        }
    }

    plain_cipher cipher_;
    memory_listener listener_;
    memory_opener opener_{listener_};
    recording_sink sink_;
    noting_observer observer_;
    sender_observer at_sender_;
    std::optional<server> server_;
    std::optional<engine::sender> sender_;
    std::future<void> running_;
};

TEST_F(streams_test, carry_items_large_and_small_in_their_order) {
    start();
    connect(4);
    std::map<std::string, std::string> content;
    send_all(content);
    sender_->finish();
    EXPECT_EQ(at_sender_.count, 4U);
    EXPECT_EQ(at_sender_.why_fewer, "");
    sender_.reset();
    expect_delivered(content);
    server_->stop(std::chrono::seconds(10));
    running_.get();
    EXPECT_EQ(observer_.ends.size(), 4U);
    for (const auto& [id, failure] : observer_.ends) EXPECT_FALSE(failure) << id << ": " << failure->what();
    EXPECT_EQ(observer_.joins, (std::map<connection_id, connection_id>{{2, 1}, {3, 1}, {4, 1}}));
}

TEST_F(streams_test, need_no_place_of_their_own) {
    server_options options;
    options.max_connections = 1;
    start(options);
    connect(3);
    std::map<std::string, std::string> content;
    send_all(content);
    sender_->finish();
    EXPECT_EQ(at_sender_.count, 3U);
    expect_delivered(content);
}

TEST_F(streams_test, are_as_many_as_the_receiver_grants) {
    server_options options;
    options.max_streams = 2;
    start(options);
    connect(5);
    std::map<std::string, std::string> content;
    send_all(content);
    sender_->finish();
    EXPECT_EQ(at_sender_.count, 2U);
    EXPECT_THAT(at_sender_.why_fewer, HasSubstr("no more than 2"));
    expect_delivered(content);
}

TEST_F(streams_test, are_one_where_the_receiver_wants_no_more) {
    server_options options;
    options.max_streams = 1;
    start(options);
    connect(5);
    std::map<std::string, std::string> content;
    send_all(content);
    sender_->finish();
    EXPECT_EQ(at_sender_.count, 1U);
    expect_delivered(content);
}

TEST_F(streams_test, go_on_as_one_where_no_further_connection_can_be_made) {
    start();
    opener_.refuses = true;
    connect(3);
    std::map<std::string, std::string> content;
    send_all(content);
    sender_->finish();
    EXPECT_EQ(at_sender_.count, 1U);
    EXPECT_EQ(at_sender_.why_fewer, "there is one channel only");
    expect_delivered(content);
}

TEST_F(streams_test, one_that_is_lost_ends_the_exchange_as_a_lost_link_does) {
    start();
    connect(3);
    text_source small("small", "x");
    sender_->send(small);
    sender_->flush();
    at_sender_.wait_for_streams();
    const auto failure = test::error_of([&] {
        // More than any of them holds, so that it is found out while it is sent.
        text_source large("large", pattern(3'000'000), true);
        large.before_read = [&](std::size_t position) {
            if (position > 1'000'000 && position < 1'100'000) opener_.cut_one();
        };
        sender_->send(large);
        sender_->finish();
    });
    EXPECT_EQ(failure.code(), errc::disconnected);
    EXPECT_FALSE(at_sender_.answers.at("large").ok());
    sender_.reset();
    observer_.wait_until([&] { return observer_.ends.size() == 3; });
    EXPECT_FALSE(sink_.has_call("finish large"));
    EXPECT_TRUE(observer_.ends.at(1)) << "it has failed at the receiver, too";
    const auto kept = sink_.partials();
    if (kept.contains("large")) {
        EXPECT_TRUE(pattern(3'000'000).starts_with(kept.at("large"))) << "what is kept has no hole";
    }
}

TEST_F(streams_test, damage_on_one_of_them_is_answered_over_the_first) {
    opener_.harm.flip_at = 300'000;
    start();
    connect(2);
    text_source small("small", "x");
    sender_->send(small);
    sender_->flush();
    at_sender_.wait_for_streams();
    // It ends with an orderly finish() where the answer overtakes the end of the connection.
    try {
        text_source large("large", pattern(3'000'000), true);
        sender_->send(large);
        sender_->finish();
    } catch (const error& e) {
        EXPECT_EQ(e.code(), errc::integrity) << e.what();
    }
    EXPECT_EQ(at_sender_.answers.at("large").failure, errc::integrity);
    EXPECT_TRUE(at_sender_.answers.at("large").is_remote);
    EXPECT_TRUE(at_sender_.answers.at("small").ok());
    sender_.reset();
    observer_.wait_until([&] { return observer_.ends.size() == 2; });
    EXPECT_FALSE(sink_.has_call("finish large"));
}

TEST_F(streams_test, can_be_cancelled) {
    start();
    connect(3);
    text_source large("large", pattern(2'000'000));
    large.before_read = [&](std::size_t position) {
        if (position > 0) at_sender_.wait_for_streams();
        if (position > 1'000'000) sender_->cancel();
    };
    EXPECT_EQ(test::error_of([&] { sender_->send(large); }).code(), errc::cancelled);
    EXPECT_EQ(test::error_of([&] { sender_->finish(); }).code(), errc::cancelled);
    EXPECT_EQ(at_sender_.answers.at("large").failure, errc::cancelled);
    sender_.reset();
    observer_.wait_until([&] { return observer_.results.contains("large"); });
    EXPECT_EQ(observer_.results.at("large").failure, errc::cancelled);
    EXPECT_TRUE(observer_.results.at("large").is_remote) << "the receiver has been told, in order";
}

TEST_F(streams_test, end_when_the_receiver_stops) {
    start();
    connect(4);
    text_source small("small", "x");
    sender_->send(small);
    sender_->flush();
    at_sender_.wait_for_streams();
    server_->stop(std::chrono::seconds(30));
    // All that was begun has ended, so it does not need that long; the sender hears of it.
    test::error_of([&] {
        for (;;) {
            text_source more("more", "y");
            sender_->send(more);
            sender_->settle();
        }
    });
    sender_.reset();
    running_.get();
    EXPECT_EQ(observer_.ends.size(), 4U);
}

TEST_F(streams_test, end_when_the_receiver_is_cut) {
    start();
    connect(4);
    text_source small("small", "x");
    sender_->send(small);
    sender_->flush();
    at_sender_.wait_for_streams();
    server_->stop(std::chrono::milliseconds(0));
    running_.get();
    EXPECT_EQ(observer_.ends.size(), 4U);
}

// An initiator that says what it is told to.
class hand_made {
public:
    hand_made(memory_listener& to, cipher& with)
        : over_(secure_channel::open(role::initiator, to.connect(), with, "plain", nullptr, {})) {
        over_->complete();
        records_.emplace(over_->link(), over_->protection());
    }

    void say(frame_type type, const_bytes payload, std::optional<std::uint64_t> number = std::nullopt,
             std::uint32_t transfer = 0) {
        using numbering = record_buffer::numbering;
        record_buffer record(limits::min_record_bytes, over_->protection().overhead(),
                             number ? numbering::ordered : numbering::none);
        record.append(type, 0, transfer, payload);
        if (number) record.set_number(*number);
        over_->link().write_all(record.seal(over_->protection()));
    }

    // The payload of the next frame of that type; nothing once the receiver has closed.
    std::optional<std::vector<std::byte>> hear(frame_type type) {
        while (const auto record = records_->next()) {
            byte_reader frames(*record, "a record");
            while (frames.remaining() > 0) {
                const auto got = take_frame(frames);
                if (got.type == type) return std::vector<std::byte>(got.payload.begin(), got.payload.end());
            }
        }
        return std::nullopt;
    }

    join_token ask(std::uint16_t count) {
        say(frame_type::streams, encode(streams_frame{count, std::nullopt}));
        return decode_streams(hear(frame_type::streams).value()).token.value();
    }
    std::optional<errc> join(const join_token& token) {
        say(frame_type::join, encode(join_frame{token}));
        return decode_result(hear(frame_type::join).value()).failure;
    }
    void offer_and_end(std::uint64_t number, std::uint32_t transfer, const std::string& name) {
        offer_frame what;
        what.what.name = name;
        say(frame_type::offer, encode(what), number, transfer);
        say(frame_type::end, encode(end_frame{0, std::nullopt}), number + 1, transfer);
    }

private:
    std::unique_ptr<secure_channel> over_;
    std::optional<record_reader> records_;
};

TEST_F(streams_test, a_wrong_token_ends_that_connection_only) {
    start();
    hand_made first(listener_, cipher_);
    auto token = first.ask(2);
    auto wrong = token;
    wrong.front() ^= std::byte{0x80};
    hand_made stranger(listener_, cipher_);
    EXPECT_EQ(stranger.join(wrong), errc::auth_failed);
    EXPECT_FALSE(stranger.hear(frame_type::result)) << "it is closed";
    hand_made second(listener_, cipher_);
    EXPECT_EQ(second.join(token), std::nullopt);
    second.offer_and_end(0, 1, "x");
    EXPECT_TRUE(first.hear(frame_type::result)) << "answers come over the first";
}

TEST_F(streams_test, a_token_lets_no_more_join_than_were_granted) {
    start();
    hand_made first(listener_, cipher_);
    const auto token = first.ask(1);
    hand_made second(listener_, cipher_), third(listener_, cipher_);
    EXPECT_EQ(second.join(token), std::nullopt);
    EXPECT_EQ(third.join(token), errc::auth_failed);
}

TEST_F(streams_test, a_token_is_of_no_use_once_the_exchange_has_ended) {
    start();
    hand_made first(listener_, cipher_);
    const auto token = first.ask(1);
    first.say(frame_type::bye, {}, 0);
    EXPECT_TRUE(first.hear(frame_type::bye));
    observer_.wait_until([&] {
        // The receiver waits for this side to close, a while.
        return observer_.ends.contains(1);
    });
    hand_made late(listener_, cipher_);
    EXPECT_EQ(late.join(token), errc::auth_failed);
}

TEST_F(streams_test, a_gap_in_the_numbers_of_one_connection_ends_the_exchange) {
    server_options options;
    options.max_streams = 1;
    start(options);
    hand_made first(listener_, cipher_);
    first.say(frame_type::streams, encode(streams_frame{3, std::nullopt}));
    EXPECT_EQ(decode_streams(first.hear(frame_type::streams).value()).count, 0);
    first.offer_and_end(0, 1, "x");
    first.say(frame_type::bye, {}, 3);
    observer_.wait_until([&] { return observer_.ends.contains(1); });
    EXPECT_EQ(observer_.ends.at(1)->code(), errc::protocol);
}

TEST_F(streams_test, numbers_without_a_wish_for_streams_end_the_exchange) {
    start();
    hand_made first(listener_, cipher_);
    first.say(frame_type::ping, {}, 0);
    observer_.wait_until([&] { return observer_.ends.contains(1); });
    EXPECT_EQ(observer_.ends.at(1)->code(), errc::protocol);
}

TEST_F(streams_test, to_ask_twice_ends_the_exchange) {
    start();
    hand_made first(listener_, cipher_);
    first.ask(1);
    first.say(frame_type::streams, encode(streams_frame{1, std::nullopt}), 0);
    observer_.wait_until([&] { return observer_.ends.contains(1); });
    EXPECT_EQ(observer_.ends.at(1)->code(), errc::protocol);
}

TEST_F(streams_test, a_join_in_the_middle_ends_the_exchange) {
    start();
    hand_made first(listener_, cipher_);
    const auto token = first.ask(1);
    first.say(frame_type::join, encode(join_frame{token}), 0);
    observer_.wait_until([&] { return observer_.ends.contains(1); });
    EXPECT_EQ(observer_.ends.at(1)->code(), errc::protocol);
}

// Two receivers that share what may be joined, as in a server, with peers of different names.
TEST(streams_of_others, a_token_is_of_no_use_to_another_identity) {
    join_registry registry(4);
    recording_sink sink;
    receiving_observer nobody;
    plain_cipher first_cipher("SHA256:first"), other_cipher("SHA256:other");
    memory_listener to_first, to_other;
    const auto serve = [&](memory_listener& at, cipher& with, std::uint64_t number) -> std::optional<error> {
        try {
            engine::receiver serving(secure_channel::open(role::responder, at.accept(), with, "plain", nullptr, {}),
                                     sink, nobody, {.joinable = engine::joinable{registry, number}});
            serving.find_what_it_joins();
            serving.serve();
            return std::nullopt;
        } catch (const error& e) {
            return e;
        }
    };
    auto serving_first = std::async(std::launch::async, [&] { return serve(to_first, first_cipher, 1); });
    auto serving_other = std::async(std::launch::async, [&] { return serve(to_other, other_cipher, 2); });
    {
        hand_made first(to_first, first_cipher);
        const auto token = first.ask(1);
        {
            hand_made other(to_other, other_cipher);
            EXPECT_EQ(other.join(token), errc::auth_failed);
        }
        const auto refused = serving_other.get();
        ASSERT_TRUE(refused);
        EXPECT_THAT(refused->what(), HasSubstr("not let join"));
        first.offer_and_end(0, 1, "x");
        EXPECT_TRUE(first.hear(frame_type::result)) << "nothing happened to the first";
        first.say(frame_type::bye, {}, 2);
        EXPECT_TRUE(first.hear(frame_type::bye));
    }
    EXPECT_FALSE(serving_first.get());
}

// A receiver that does not know of STREAMS skips what it does not know, and answers.
TEST(streams_of_others, an_older_receiver_is_told_apart_by_its_answers) {
    memory_listener listener;
    memory_opener opener(listener);
    plain_cipher cipher;
    sender_observer observer;
    auto older = std::async(std::launch::async, [&] {
        const auto over = secure_channel::open(role::responder, listener.accept(), cipher, "plain", nullptr, {});
        over->complete();
        record_reader records(over->link(), over->protection());
        std::vector<frame_type> known;
        while (const auto record = records.next()) {
            byte_reader frames(*record, "a record");
            while (frames.remaining() > 0) {
                const auto got = take_frame(frames);
                EXPECT_TRUE(got.type <= frame_type::compressed_data || got.flags == 0) << "it may be skipped";
                if (got.type > frame_type::compressed_data) continue;
                known.push_back(got.type);
                record_buffer answer(limits::min_record_bytes, over->protection().overhead());
                if (got.type == frame_type::end)
                    answer.append(frame_type::result, 0, got.transfer, encode(result_frame{std::nullopt, "", {}}));
                if (got.type == frame_type::bye) answer.append(frame_type::bye, 0, 0, {});
                if (!answer.empty()) over->link().write_all(answer.seal(over->protection()));
                if (got.type == frame_type::bye) return known;
            }
        }
        return known;
    });
    sender_options options;
    options.streams = 4;
    options.opener = &opener;
    {
        engine::sender sending(secure_channel::open(role::initiator, listener.connect(), cipher, "plain", nullptr, {}),
                               options, observer);
        text_source item("x", "abc");
        sending.send(item);
        sending.finish();
    }
    EXPECT_TRUE(observer.answers.at("x").ok());
    EXPECT_EQ(observer.count, 1U);
    EXPECT_THAT(observer.why_fewer, HasSubstr("knows of one connection only"));
    EXPECT_THAT(older.get(),
                testing::ElementsAre(frame_type::offer, frame_type::data, frame_type::end, frame_type::bye));
}

}  // namespace
}  // namespace wherry
