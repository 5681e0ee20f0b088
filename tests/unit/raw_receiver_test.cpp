// SPDX-License-Identifier: BSD-2-Clause
#include "raw_receiver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "error_of.hpp"
#include "memory_stream.hpp"
#include "recording_sink.hpp"
#include "scripted_connection.hpp"

namespace wherry {
namespace {

using test::recording_sink;
using test::scripted_connection;
using testing::HasSubstr;
using namespace std::chrono_literals;

struct noting_observer final : server_observer {
    struct entry {
        transfer_id number;
        std::string name;
        delivery_result result;
    };
    void receiving(connection_id, transfer_id number, const offer&, std::uint64_t) override { begun.push_back(number); }
    void delivered(connection_id, transfer_id number, const offer& what, const delivery_result& result) override {
        told.push_back({number, what.name, result});
    }
    std::vector<transfer_id> begun;
    std::vector<entry> told;
};

class raw_receiver_test : public testing::Test {
protected:
    raw_receiver& receiver(connection& link) {
        return receiver_.emplace(link, sink_, protocol_, observer_, 7, [this] {
            ++questions_;
            return must_leave_;
        });
    }
    void serve(connection& link) { receiver(link).serve(); }

    const delivery_result& result(std::size_t index) { return observer_.told.at(index).result; }
    // The delivery's content in the sink; nothing if it is not finished.
    std::optional<std::string> stored(std::size_t index) {
        const auto all = sink_.finished();
        const auto found = all.find(observer_.told.at(index).name);
        return found == all.end() ? std::nullopt : std::optional(found->second.content);
    }
    void fail_at(const std::string& which) {
        sink_.on_call = [which](const std::string& call, const std::string&) {
            if (call == which) throw error(errc::exhausted, "the disk is full");
        };
    }

    scripted_connection link_;
    recording_sink sink_;
    noting_observer observer_;
    server_protocol protocol_;
    bool must_leave_ = false;
    int questions_ = 0;
    std::optional<raw_receiver> receiver_;
};

// ---- The end of a delivery ----

TEST_F(raw_receiver_test, each_silence_ends_one_delivery_and_the_connection_goes_on) {
    link_.says(as_bytes("first"), {2}).is_silent().says(as_bytes("second")).is_silent().says(as_bytes("third"));
    serve(link_);
    ASSERT_EQ(observer_.told.size(), 3U);
    EXPECT_EQ(stored(0), "first");
    EXPECT_EQ(stored(1), "second");
    EXPECT_EQ(stored(2), "third");
    EXPECT_EQ(result(0).ended_by, receive_end::idle);
    EXPECT_EQ(result(1).ended_by, receive_end::idle);
    EXPECT_EQ(result(2).ended_by, receive_end::closed);
    for (const auto& entry : observer_.told) EXPECT_TRUE(entry.result.ok()) << entry.result.text;
    EXPECT_EQ(result(1).bytes, 6U) << "of this delivery, not of the connection";
}

TEST_F(raw_receiver_test, each_delivery_has_a_number_and_a_name_of_its_own) {
    link_.says(as_bytes("a")).is_silent().says(as_bytes("b")).is_silent().says(as_bytes("c"));
    serve(link_);
    std::vector<transfer_id> numbers;
    std::set<std::string> names;
    for (const auto& entry : observer_.told) {
        numbers.push_back(entry.number);
        names.insert(entry.name);
        EXPECT_THAT(entry.name, testing::StartsWith("raw-"));
        EXPECT_THAT(entry.name, testing::EndsWith("-7-" + std::to_string(entry.number)));
    }
    EXPECT_EQ(numbers, (std::vector<transfer_id>{1, 2, 3}));
    EXPECT_EQ(observer_.begun, numbers);
    EXPECT_EQ(names.size(), 3U);
}

TEST_F(raw_receiver_test, further_silence_delivers_nothing) {
    link_.says(as_bytes("first")).is_silent();
    for (int i = 0; i < 100; ++i) link_.is_silent();
    link_.says(as_bytes("second")).is_silent().is_silent();
    serve(link_);
    ASSERT_EQ(observer_.told.size(), 2U);
    EXPECT_EQ(stored(1), "second");
    EXPECT_EQ(result(1).ended_by, receive_end::idle);
}

TEST_F(raw_receiver_test, data_beyond_the_limit_are_reported_and_end_the_connection) {
    protocol_.raw.max_bytes = 4;
    link_.says(as_bytes("1234567890"));
    serve(link_);
    ASSERT_EQ(observer_.told.size(), 1U);
    EXPECT_EQ(stored(0), "1234");
    EXPECT_EQ(result(0).failure, errc::exhausted);
    EXPECT_EQ(result(0).ended_by, receive_end::limit);
    EXPECT_THAT(result(0).text, HasSubstr("not complete"));
    EXPECT_THAT(result(0).text, HasSubstr("limit of 4 bytes; the rest is not stored"));
    EXPECT_GT(link_.unread(), 0U) << "unread bytes make TCP reset the connection";
}

TEST_F(raw_receiver_test, the_limit_is_that_of_each_delivery) {
    protocol_.raw.max_bytes = 4;
    link_.says(as_bytes("1234")).is_silent().says(as_bytes("5678")).is_silent();
    serve(link_);
    ASSERT_EQ(observer_.told.size(), 2U);
    EXPECT_TRUE(result(0).ok());
    EXPECT_TRUE(result(1).ok());
    EXPECT_EQ(stored(1), "5678");
}

TEST_F(raw_receiver_test, data_before_a_lost_link_are_stored_and_reported_as_cut) {
    link_.says(as_bytes("first")).is_silent().says(as_bytes("sec")).fails(error(errc::disconnected, "cable pulled"));
    serve(link_);
    ASSERT_EQ(observer_.told.size(), 2U);
    EXPECT_TRUE(result(0).ok());
    EXPECT_EQ(stored(1), "sec");
    EXPECT_EQ(result(1).failure, errc::disconnected);
    EXPECT_EQ(result(1).ended_by, receive_end::cut);
    EXPECT_THAT(result(1).text, HasSubstr("not complete: cable pulled"));
}

TEST_F(raw_receiver_test, a_link_that_is_lost_between_deliveries_fails_the_connection_alone) {
    link_.says(as_bytes("first")).is_silent().fails(error(errc::disconnected, "cable pulled"));
    const auto thrown = test::error_of([&] { serve(link_); });
    EXPECT_STREQ(thrown.what(), "cable pulled");
    ASSERT_EQ(observer_.told.size(), 1U);
    EXPECT_TRUE(result(0).ok());
}

// ---- How long it waits ----

TEST_F(raw_receiver_test, waits_out_the_idle_timeout_within_a_delivery_only) {
    protocol_.raw.idle_timeout = 1h;
    std::vector<std::chrono::milliseconds> timeouts;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "write") timeouts.push_back(*link_.read_timeout());
    };
    link_.says(as_bytes("ab"), {1}).is_silent().is_silent();
    serve(link_);
    EXPECT_EQ(timeouts, (std::vector<std::chrono::milliseconds>{1h, 1h}));
    EXPECT_LE(*link_.read_timeout(), 1s) << "a stop must not have to wait for the idle timeout";
}

TEST_F(raw_receiver_test, no_idle_timeout_is_one_delivery_until_the_close) {
    protocol_.raw.idle_timeout = 0ms;
    std::optional<std::chrono::milliseconds> timeout;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "write") timeout = link_.read_timeout();
    };
    for (int i = 0; i < 100; ++i) link_.is_silent();
    link_.says(as_bytes("all"));
    serve(link_);
    EXPECT_EQ(timeout, 0ms);
    EXPECT_EQ(stored(0), "all");
    EXPECT_EQ(result(0).ended_by, receive_end::closed);
}

TEST_F(raw_receiver_test, a_peer_that_sends_nothing_is_disconnected_after_the_idle_timeout) {
    test::memory_link link;
    protocol_.raw.idle_timeout = 20ms;
    const auto thrown = test::error_of([&] { serve(*link.responder); });
    EXPECT_EQ(thrown.code(), errc::timed_out);
    EXPECT_THAT(thrown.what(), HasSubstr("said nothing"));
    EXPECT_TRUE(observer_.told.empty());
    EXPECT_EQ(questions_, 0);
}

TEST_F(raw_receiver_test, a_silent_peer_is_disconnected_only_if_it_must_leave) {
    link_.says(as_bytes("first")).is_silent().is_silent().is_silent().says(as_bytes("second"));
    serve(link_);
    EXPECT_EQ(questions_, 2);
    EXPECT_EQ(observer_.told.size(), 2U);

    scripted_connection other;
    other.says(as_bytes("first")).is_silent().is_silent().says(as_bytes("second"));
    must_leave_ = true;
    const auto thrown = test::error_of([&] { serve(other); });
    EXPECT_EQ(thrown.code(), errc::timed_out);
    EXPECT_THAT(thrown.what(), HasSubstr("--max-connections"));
    EXPECT_EQ(observer_.told.size(), 3U);
    EXPECT_EQ(other.unread(), 6U);
}

// ---- One delivery a connection ----

TEST_F(raw_receiver_test, once_ends_with_the_first_silence) {
    protocol_.raw_once = true;
    link_.says(as_bytes("first")).is_silent().is_silent();
    serve(link_);
    ASSERT_EQ(observer_.told.size(), 1U);
    EXPECT_TRUE(result(0).ok());
    EXPECT_EQ(result(0).ended_by, receive_end::idle);
}

TEST_F(raw_receiver_test, once_says_if_more_has_come_meanwhile) {
    protocol_.raw_once = true;
    link_.says(as_bytes("first")).is_silent().says(as_bytes("second"));
    const auto thrown = test::error_of([&] { serve(link_); });
    EXPECT_EQ(thrown.code(), errc::refused);
    EXPECT_THAT(thrown.what(), HasSubstr("not stored"));
    ASSERT_EQ(observer_.told.size(), 1U);
    EXPECT_TRUE(result(0).ok());
    EXPECT_EQ(link_.unread(), 5U);
}

// ---- A sink that fails ----

TEST_F(raw_receiver_test, a_sink_that_fails_ends_the_connection_so_that_the_peer_can_notice) {
    for (const auto* const call : {"begin", "write", "finish"}) {
        observer_.told.clear();
        fail_at(call);
        scripted_connection link;
        link.says(as_bytes("first")).is_silent().says(as_bytes("second"));
        serve(link);
        ASSERT_EQ(observer_.told.size(), 1U) << call;
        EXPECT_EQ(result(0).failure, errc::exhausted);
        EXPECT_THAT(result(0).text, HasSubstr("the disk is full; this delivery is not stored, and its connection"));
        EXPECT_EQ(stored(0), std::nullopt);
        EXPECT_EQ(link.unread(), 6U) << call;
        const bool is_whole = std::string_view(call) == "finish";
        EXPECT_EQ(result(0).ended_by, is_whole ? std::optional(receive_end::idle) : std::nullopt) << call;
    }
}

TEST_F(raw_receiver_test, a_delivery_that_broke_off_is_dropped_and_one_that_did_not_finish_is_not) {
    fail_at("write");
    link_.says(as_bytes("x"));
    serve(link_);
    EXPECT_TRUE(sink_.has_call("drop " + observer_.told.at(0).name));
    fail_at("finish");
    scripted_connection other;
    other.says(as_bytes("x"));
    serve(other);
    EXPECT_FALSE(sink_.has_call("drop " + observer_.told.at(1).name)) << "finish() has ended it";
}

TEST_F(raw_receiver_test, a_sinks_answer_is_reported_even_if_it_fails) {
    sink_.outcome = "exit 3";
    fail_at("answered");
    link_.says(as_bytes("x"));
    serve(link_);
    EXPECT_EQ(result(0).failure, errc::exhausted);
    EXPECT_EQ(result(0).outcome, "exit 3");
    EXPECT_EQ(as_text(result(0).response), "thanks");
}

TEST_F(raw_receiver_test, a_sink_that_times_out_is_no_silent_peer) {
    sink_.on_call = [](const std::string& call, const std::string&) {
        if (call == "write") throw error(errc::timed_out, "the disk does not answer");
    };
    link_.says(as_bytes("x"));
    serve(link_);
    ASSERT_EQ(observer_.told.size(), 1U);
    EXPECT_EQ(result(0).failure, errc::timed_out);
    EXPECT_EQ(stored(0), std::nullopt);
}

// ---- A stop ----

TEST_F(raw_receiver_test, a_drain_still_takes_what_has_arrived_and_ends_at_a_silence) {
    link_.says(as_bytes("first")).is_silent().says(as_bytes("second")).is_silent().is_silent().says(as_bytes("x"));
    auto& taking = receiver(link_);
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "finish") taking.drain();
    };
    taking.serve();
    ASSERT_EQ(observer_.told.size(), 2U);
    EXPECT_EQ(stored(0), "first");
    EXPECT_EQ(stored(1), "second") << "it may have come while the first was being finished";
    EXPECT_EQ(link_.unread(), 1U);
}

TEST_F(raw_receiver_test, a_drain_ends_a_connection_that_said_nothing) {
    link_.is_silent().says(as_bytes("x"));
    auto& taking = receiver(link_);
    taking.drain();
    taking.serve();
    EXPECT_TRUE(observer_.told.empty());
}

TEST_F(raw_receiver_test, a_cut_stores_what_came_and_says_that_the_receiver_was_stopped) {
    test::memory_link link;
    link.initiator->write_all(as_bytes("half"));
    auto& taking = receiver(*link.responder);
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "write") taking.abort();
    };
    taking.serve();
    ASSERT_EQ(observer_.told.size(), 1U);
    EXPECT_EQ(stored(0), "half");
    EXPECT_EQ(result(0).failure, errc::cancelled);
    EXPECT_EQ(result(0).ended_by, receive_end::cut);
    EXPECT_THAT(result(0).text, HasSubstr("the receiver was stopped"));
}

}  // namespace
}  // namespace wherry
