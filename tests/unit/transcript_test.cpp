// SPDX-License-Identifier: BSD-2-Clause
// Golden transcripts: what both sides say in each scenario, compared with a file of
// tests/data/transcripts that has the test's name. A change of the wire fails here; a change behind it does not.
//
// Both sides run blocking loops, so each has its thread. The scenarios are nevertheless the same each time: a side acts
// on what the other has done (an observer's call, a sink's call, a gate), never on time; no scenario leaves to a race
// which frames a side says; and test::transcript leaves out the order between transfers and directions. Times are an
// hour, so no PING moves anything. Delivery ids are made from a seed. What measured times compress is told joined.
//
// WHERRY_WRITE_TRANSCRIPTS=1 writes the files instead, and skips the tests so that none passes by writing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "compression.hpp"
#include "delivery_registry.hpp"
#include "error_of.hpp"
#include "frame.hpp"
#include "memory_listener.hpp"
#include "memory_stream.hpp"
#include "plain_cipher.hpp"
#include "record.hpp"
#include "recording_sink.hpp"
#include "seeded_rng.hpp"
#include "transcript.hpp"
#include "wait_until.hpp"
#include "wherry/engine/receiver.hpp"
#include "wherry/engine/sender.hpp"
#include "wherry/limits.hpp"
#include "wherry/server.hpp"

namespace wherry {
namespace {

using test::damage;
using test::memory_link;
using test::memory_listener;
using test::memory_pipe;
using test::plain_cipher;
using test::recording_sink;
using test::transcript;

// ---- How the two sides are made: the one place to change when that does ----

std::unique_ptr<engine::sender> make_sender(std::unique_ptr<secure_channel> channel, const sender_options& options,
                                            sending_observer& observer) {
    return std::make_unique<engine::sender>(std::move(channel), options, observer);
}

std::unique_ptr<engine::receiver> make_receiver(std::unique_ptr<secure_channel> channel, sink& into,
                                                receiving_observer& observer, delivery_registry* registry,
                                                peer_verifier verify = nullptr) {
    return std::make_unique<engine::receiver>(
        std::move(channel), into, observer,
        engine::receiver_options{.verify = std::move(verify), .deliveries = registry});
}

// ---- What the scenarios are made of ----

channel_options patient() {
    channel_options timing;
    timing.handshake_timeout = timing.io_timeout = timing.ping_interval = std::chrono::hours(1);
    return timing;
}

sender_options options_with(sender_options::compression how = sender_options::compression::none,
                            sender_options::digest digest = sender_options::digest::none) {
    sender_options options;
    options.content_compression = how;
    options.content_digest = digest;
    return options;
}

constexpr auto zstd = sender_options::compression::zstd, automatic = sender_options::compression::automatic,
               uncompressed = sender_options::compression::none;
constexpr auto sha256 = sender_options::digest::sha256;

// Opens once, for any number of threads that wait.
class gate {
public:
    void open() {
        const std::lock_guard lock(mutex_);
        is_open_ = true;
        changed_.notify_all();
    }
    void wait() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return is_open_; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_open_ = false;
};

class text_source final : public source {
public:
    text_source(std::string name, std::string content, item_kind kind = item_kind::file)
        : content_(std::move(content)) {
        item.kind = kind;
        item.name = std::move(name);
        item.size = content_.size();
    }
    text_source& resumable() {
        item.wants_resume = true;
        return *this;
    }
    text_source& of_unknown_size() {
        item.size = std::nullopt;
        return *this;
    }
    // Gives so much at a time, each in a record of its own.
    text_source& piped(std::size_t bytes) {
        step = bytes;
        waits = true;
        return *this;
    }

    const offer& what() const noexcept override { return item; }
    std::size_t read(mutable_bytes into) override {
        if (before_read) before_read(position_);
        const auto count = std::min({into.size(), content_.size() - position_, step});
        std::copy_n(as_bytes(content_).begin() + static_cast<std::ptrdiff_t>(position_), count, into.begin());
        position_ += count;
        return count;
    }
    void seek(std::uint64_t position) override { position_ = position; }
    bool may_wait() const noexcept override { return waits; }

    offer item;
    std::function<void(std::size_t position)> before_read;
    std::size_t step = std::string::npos;
    bool waits = false;

private:
    std::string content_;
    std::size_t position_ = 0;
};

struct noting_observer final : sending_observer, receiving_observer {
    void answered(transfer_id, const offer& what, const delivery_result& result) override {
        note([&] { answers[what.name] = result; });
    }
    void received_so_far(transfer_id, std::uint64_t bytes) override {
        note([&] { received = bytes; });
    }
    void delivered(transfer_id, const offer& what, const delivery_result& result) override {
        note([&] { deliveries[what.name] = result; });
    }
    void streams(std::size_t joined, std::size_t, const std::string&) override {
        note([&] { joined_streams = joined; });
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
    void wait_for_answer(const std::string& name) {
        wait_until([&] { return answers.contains(name); });
    }
    void wait_for_delivery(const std::string& name) {
        wait_until([&] { return deliveries.contains(name); });
    }
    void wait_for_streams() {
        wait_until([&] { return joined_streams.has_value(); });
    }

    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, delivery_result> answers, deliveries;
    std::uint64_t received = 0;
    std::optional<std::size_t> joined_streams;
};

// Opens a session of either side with the plain cipher.
std::unique_ptr<secure_channel> open_channel(role side, std::shared_ptr<connection> link) {
    static plain_cipher cipher;
    return secure_channel::open(side, std::move(link), cipher, "plain", nullptr, patient());
}

// A side that says what a test tells it to.
class hand_made {
public:
    hand_made(role side, std::shared_ptr<connection> link) : session_(open_channel(side, std::move(link))) {
        session_->complete();
        records_.emplace(session_->link(), session_->protection());
    }

    // Puts one frame into a record.
    void say(frame_type type, std::uint32_t transfer, const_bytes payload, std::uint8_t flags = 0,
             std::optional<std::uint64_t> number = std::nullopt) {
        using numbering = record_buffer::numbering;
        record_buffer record(65536, session_->protection().overhead(), number ? numbering::ordered : numbering::none);
        record.append(type, flags, transfer, payload);
        if (number) record.set_number(*number);
        session_->link().write_all(record.seal(session_->protection()));
    }
    // Puts several frames into one record.
    template <class Fill>
    void say_record(Fill&& fill) {
        record_buffer record(65536, session_->protection().overhead());
        fill(record);
        session_->link().write_all(record.seal(session_->protection()));
    }
    // Reads up to the next frame of that type, and returns its payload; nothing if the other side closes before.
    std::optional<std::vector<std::byte>> hear(frame_type type) {
        while (const auto record = records_->next()) {
            byte_reader frames(*record, "a record");
            std::optional<std::vector<std::byte>> heard;
            while (frames.remaining() > 0) {
                const auto got = take_frame(frames);
                if (got.type == type && !heard) heard.emplace(got.payload.begin(), got.payload.end());
            }
            if (heard) return heard;
        }
        return std::nullopt;
    }
    // Says no more, and reads until the other side closes.
    void close() {
        session_->link().shutdown_write();
        try {
            while (records_->next()) continue;
        } catch (const error&) {
            // The other side cut the link.
        }
    }

    // With STREAMS, the token that is granted.
    join_token ask(std::uint16_t count) {
        say(frame_type::streams, 0, encode(streams_frame{count, std::nullopt}));
        return decode_streams(hear(frame_type::streams).value()).token.value_or(join_token{});
    }
    std::optional<errc> join(const join_token& token) {
        say(frame_type::join, 0, encode(join_frame{token}), frame_flag::critical);
        return decode_result(hear(frame_type::join).value()).failure;
    }

private:
    std::unique_ptr<secure_channel> session_;
    std::optional<record_reader> records_;
};

std::vector<std::byte> offer_of(std::string name, std::optional<std::uint64_t> size = std::nullopt) {
    offer_frame content;
    content.what.name = std::move(name);
    content.what.size = size;
    return encode(content);
}

std::vector<std::byte> end_of(std::uint64_t size) { return encode(end_frame{size, std::nullopt}); }

// Content that is the same each time: bytes of a pattern, text that shrinks, and noise that does not.
std::string pattern(std::size_t size) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 131 + i / 251) & 0xFF);
    return text;
}

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

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::filesystem::path transcripts() { return std::filesystem::path(WHERRY_TEST_DATA_DIRECTORY) / "transcripts"; }

// ---- The scenarios' frame ----

// Keeps what goes over every link, and compares it in the end.
class transcript_test : public testing::Test {
protected:
    // The ends of a link whose bytes are kept, as one of the present sending.
    memory_link& new_link(damage from_initiator = {}, damage from_responder = {}) {
        auto& link = links_.emplace_back(from_initiator, from_responder, true);
        const std::lock_guard lock(kept_mutex_);
        kept_.back().push_back({link.forward, link.backward, from_initiator.cut_at, from_responder.cut_at});
        return link;
    }
    void begin_sending() {
        const std::lock_guard lock(kept_mutex_);
        kept_.emplace_back();
    }

    void TearDown() override {
        if (HasFailure()) return;
        const auto& scenario = *testing::UnitTest::GetInstance()->current_test_info();
        const auto name = scenario.test_suite_name() + std::string(".") + scenario.name();
        const auto text = told();
        const auto path = transcripts() / (name + ".txt");
        if (const char* const writes = std::getenv("WHERRY_WRITE_TRANSCRIPTS"); writes && *writes) {
            std::ofstream(path, std::ios::binary) << text;
            GTEST_SKIP() << "wrote " << path;
        }
        ASSERT_TRUE(std::filesystem::exists(path)) << path << " is missing; WHERRY_WRITE_TRANSCRIPTS=1 writes it";
        EXPECT_EQ(text, read_file(path)) << "what was said differs from " << path;
    }

    // What was said so far.
    std::string told() {
        const std::lock_guard lock(kept_mutex_);
        std::string text;
        for (std::size_t i = 0; i < kept_.size(); ++i) {
            if (kept_.size() > 1) text += "==== exchange " + std::to_string(i + 1) + "\n";
            std::vector<test::written_on_link> links;
            for (const auto& link : kept_[i])
                links.push_back({up_to(*link.forward, link.forward_cut), up_to(*link.backward, link.backward_cut)});
            text += transcript::of(links, content_lines_);
        }
        return text;
    }
    void await_bye_of_initiator() {
        wait_until([&] {
            const auto text = told();
            return text.find("\n  BYE\n") < text.find("== from the responder");
        });
    }

    transcript::content content_lines_ = transcript::content::by_frame;

private:
    struct kept_link {
        std::shared_ptr<memory_pipe> forward, backward;
        std::uint64_t forward_cut, backward_cut;
    };
    // What is lost on the way is left out: how much a side says into a link that is cut depends on when it notices.
    static std::vector<std::byte> up_to(const memory_pipe& pipe, std::uint64_t cut) {
        auto bytes = pipe.record();
        if (bytes.size() > cut) bytes.resize(cut);
        return bytes;
    }

    std::mutex kept_mutex_;
    std::vector<std::vector<kept_link>> kept_;
    std::deque<memory_link> links_;
};

// One connection: the sender on the test's thread, the receiver on another.
class one_link : public transcript_test {
protected:
    void connect(const sender_options& options = options_with(), damage to_receiver = {}, damage to_sender = {},
                 role of_sender = role::initiator) {
        begin_sending();
        const bool initiates = of_sender == role::initiator;
        auto& link = initiates ? new_link(to_receiver, to_sender)
                               : new_link(/* the initiator receives */ to_sender, to_receiver);
        auto& sending_end = initiates ? link.initiator : link.responder;
        auto& receiving_end = initiates ? link.responder : link.initiator;
        received_ = std::async(
            std::launch::async,
            [this, of_receiver = initiates ? role::responder : role::initiator,
             end = std::shared_ptr<connection>(std::move(receiving_end))]() mutable -> std::optional<error> {
                try {
                    auto channel = open_channel(of_receiver, std::move(end));
                    const auto receiver = make_receiver(std::move(channel), *into_, at_receiver_, registry_, verify_);
                    set_receiver(receiver.get());
                    try {
                        receiver->serve();
                    } catch (const error&) {
                        set_receiver(nullptr);
                        throw;
                    }
                    set_receiver(nullptr);
                    return std::nullopt;
                } catch (const error& e) {
                    return e;
                }
            });
        sender_ = make_sender(open_channel(of_sender, std::move(sending_end)), options, at_sender_);
    }

    template <class Do>
    void with_receiver(Do&& task) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return receiver_ != nullptr; });
        task(*receiver_);
    }

    void send(text_source&& item) { sender_->send(item); }

    // Sends an item once the receiver has answered its offer with a result.
    void send_after_answer(text_source&& item, const delivery_attempt& attempt = {}) {
        const auto id = sender_->announce(item, attempt);
        sender_->flush();
        at_sender_.wait_for_answer(item.item.name);
        sender_->send(id, item);
    }

    // How the sender and the receiver ended.
    struct both {
        std::optional<error> sender, receiver;
    };
    both finish() {
        both failures;
        try {
            sender_->finish();
        } catch (const error& e) {
            failures.sender = e;
        }
        sender_.reset();
        failures.receiver = received_.get();
        return failures;
    }
    void expect_end_in_order() {
        const auto failures = finish();
        EXPECT_FALSE(failures.sender) << failures.sender->what();
        EXPECT_FALSE(failures.receiver) << failures.receiver->what();
    }

    void fail_at(const std::string& failing_call, const std::string& failing_name, errc code, const std::string& text) {
        sink_.on_call = [=](const std::string& call, const std::string& name) {
            if (call == failing_call && name == failing_name) throw error(code, text);
        };
    }
    void await_call(const std::string& call) {
        wait_until([&] { return sink_.has_call(call); });
    }

    recording_sink sink_;
    sink* into_ = &sink_;
    delivery_registry* registry_ = nullptr;
    peer_verifier verify_;
    noting_observer at_sender_, at_receiver_;
    std::unique_ptr<engine::sender> sender_;

private:
    void set_receiver(engine::receiver* receiver) {
        const std::lock_guard lock(mutex_);
        receiver_ = receiver;
        changed_.notify_all();
    }

    std::future<std::optional<error>> received_;
    std::mutex mutex_;
    std::condition_variable changed_;
    engine::receiver* receiver_ = nullptr;
};

// ---- Items of every kind ----

using items = one_link;

TEST_F(items, message) {
    connect();
    send({"", "two of them, please", item_kind::message});
    expect_end_in_order();
}

TEST_F(items, file_with_mode_and_time) {
    connect();
    text_source file("notes/today.txt", "the content");
    file.item.mode = 0640;
    file.item.mtime = file_time{1'700'000'000, 123'456'789};
    sender_->send(file);
    expect_end_in_order();
}

TEST_F(items, pipe_of_unknown_size) {
    connect();
    send(std::move(text_source("pipe", pattern(25'000), item_kind::data).of_unknown_size().piped(10'000)));
    expect_end_in_order();
}

TEST_F(items, pipe_of_known_size) {
    connect();
    send(std::move(text_source("pipe", pattern(25'000), item_kind::data).piped(10'000)));
    expect_end_in_order();
}

TEST_F(items, folder_after_its_files) {
    connect();
    send({"folder/a", "1"});
    send({"folder/b", "2"});
    text_source folder("folder", "", item_kind::folder);
    folder.item.size = std::nullopt;
    folder.item.mode = 0750;
    folder.item.mtime = file_time{-5, 999'999'999};
    sender_->send(folder);
    expect_end_in_order();
}

TEST_F(items, empty_ones_of_every_kind) {
    connect();
    send({"", "", item_kind::message});
    send({"file", ""});
    send(std::move(text_source("pipe", "", item_kind::data).of_unknown_size()));
    send({"folder", "", item_kind::folder});
    expect_end_in_order();
}

TEST_F(items, names_of_odd_bytes) {
    connect();
    send({"caf\xE9/\x1b[2J\"\\", "1"});
    send({std::string(limits::max_item_name_bytes, 'n'), "2"});
    text_source longer(std::string(limits::max_item_name_bytes + 1, 'n'), "3");
    EXPECT_EQ(test::error_of([&] { sender_->send(longer); }).code(), errc::bad_input);
    expect_end_in_order();
}

TEST_F(items, nothing_at_all) {
    connect();
    sender_->await_entry();
    expect_end_in_order();
}

TEST_F(items, many_small_ones_together) {
    connect();
    for (int i = 0; i < 40; ++i) send({"item" + std::to_string(i), std::string(static_cast<std::size_t>(i % 3), 'x')});
    expect_end_in_order();
}

TEST_F(items, settled_one_by_one) {
    connect();
    for (const std::string name : {"first", "second", "third"}) {
        send({name, "1"});
        sender_->settle();
    }
    expect_end_in_order();
}

TEST_F(items, from_the_side_that_was_connected_to) {
    connect(options_with(), {}, {}, role::responder);
    send({"first", "1"});
    send(std::move(text_source("second", pattern(70'000)).resumable()));
    expect_end_in_order();
}

// ---- Sizes around the bounds of records and of pieces ----

using sizes = one_link;

TEST_F(sizes, around_one_record) {
    connect();
    constexpr std::size_t record = 65536;
    for (const std::size_t size : {std::size_t{1}, std::size_t{1023}, record - 40, record - 16, record - 15,
                                   record - 14, record, record + 1, 2 * record, 5 * record + 17})
        send({"f" + std::to_string(size), pattern(size)});
    expect_end_in_order();
}

TEST_F(sizes, from_a_source_of_small_pieces) {
    connect();
    for (const std::size_t size : {1'000, 65'535, 150'000}) {
        text_source item("f" + std::to_string(size), pattern(size));
        item.step = 10'007;
        sender_->send(item);
    }
    expect_end_in_order();
}

TEST_F(sizes, with_a_record_flushed_between_items) {
    connect();
    for (const std::size_t size : {65'000, 600, 100}) {
        send({"f" + std::to_string(size), pattern(size)});
        sender_->flush();
    }
    expect_end_in_order();
}

TEST_F(sizes, shorter_than_offered) {
    connect();
    text_source item("shorter", "abc");
    item.item.size = 4;
    sender_->send(item);
    expect_end_in_order();
    EXPECT_EQ(at_sender_.answers.at("shorter").failure, errc::integrity);
}

TEST_F(sizes, longer_than_offered) {
    connect();
    text_source item("longer", pattern(100'000));
    item.item.size = 99'999;
    sender_->send(item);
    send({"next", "fits"});
    expect_end_in_order();
    EXPECT_EQ(at_sender_.answers.at("longer").failure, errc::io);
}

// ---- Digests ----

using digests = one_link;

TEST_F(digests, of_content_and_of_none) {
    connect(options_with(uncompressed, sha256));
    send({"large", pattern(200'000)});
    send({"empty", ""});
    expect_end_in_order();
}

// ---- Answers ----

using answers = one_link;

TEST_F(answers, empty_response) {
    sink_.response_text = "";
    connect();
    send({"x", "1"});
    expect_end_in_order();
}

TEST_F(answers, word_of_the_sink) {
    sink_.outcome = "caf\u00e9 served";
    connect();
    send({"x", "1"});
    expect_end_in_order();
}

TEST_F(answers, word_that_is_none) {
    sink_.outcome = "two\nlines";
    connect();
    send({"x", "1"});
    expect_end_in_order();
}

TEST_F(answers, response_of_one_piece) {
    sink_.response_text = pattern(4096);
    connect();
    send({"x", "1"});
    expect_end_in_order();
}

TEST_F(answers, response_of_several_pieces) {
    sink_.response_text = pattern(3 * 4096 + 1);
    sink_.outcome = "long";
    connect();
    send({"x", "1"});
    send({"y", "2"});
    expect_end_in_order();
}

TEST_F(answers, response_that_is_too_long) {
    sink_.response_text = std::string(limits::max_response_bytes + 1, 'r');
    connect();
    send({"x", "1"});
    expect_end_in_order();
}

TEST_F(answers, sink_that_finishes_at_once) {
    struct quick_sink final : sink {
        struct quick_delivery final : delivery {
            void write(const_bytes) override {}
            void finish(response& answer) override { answer.append("at once"); }
            bool finishes_at_once() const noexcept override { return true; }
            void abort(partial) noexcept override {}
        };
        std::unique_ptr<delivery> begin(const offer&, const offering_peer&) override {
            return std::make_unique<quick_delivery>();
        }
    } quick;
    into_ = &quick;
    connect();
    send({"first", "1"});
    send({"second", pattern(100'000)});
    expect_end_in_order();
}

// ---- Sinks that fail ----

using failing_sinks = one_link;

TEST_F(failing_sinks, refuse_one_of_three) {
    fail_at("begin", "bad", errc::refused, "we want none of that");
    connect();
    send({"good", "1"});
    send({"bad", "0"});
    send({"better", "2"});
    expect_end_in_order();
}

TEST_F(failing_sinks, refuse_before_content_is_sent) {
    fail_at("begin", "bad", errc::refused, "we want none of that");
    connect();
    send_after_answer({"bad", pattern(500'000)});
    send({"next", "1"});
    expect_end_in_order();
}

TEST_F(failing_sinks, refuse_while_content_is_sent) {
    gate some_was_sent;
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call != "begin" || name != "bad") return;
        some_was_sent.wait();
        throw error(errc::refused, "we want none of that");
    };
    connect();
    text_source item("bad", pattern(50'000));
    item.piped(10'000).before_read = [&](std::size_t position) {
        if (position < 20'000) return;
        some_was_sent.open();
        at_sender_.wait_for_answer("bad");
    };
    sender_->send(item);
    send({"next", "1"});
    expect_end_in_order();
}

TEST_F(failing_sinks, fail_to_write) {
    sink_.on_call = [writes = 0](const std::string& call, const std::string& name) mutable {
        if (call == "write" && name == "big" && ++writes == 3) throw error(errc::exhausted, "the disk is full");
    };
    connect();
    text_source item("big", pattern(60'000));
    item.piped(10'000).before_read = [&](std::size_t position) {
        if (position >= 30'000) at_sender_.wait_for_answer("big");
    };
    sender_->send(item);
    send({"next", "fits"});
    expect_end_in_order();
}

TEST_F(failing_sinks, fail_to_finish) {
    fail_at("finish", "x", errc::io, "it could not be stored");
    connect();
    send({"x", "content"});
    send({"y", "content"});
    expect_end_in_order();
}

TEST_F(failing_sinks, fail_with_a_response) {
    sink_.outcome = "exit 3";
    sink_.response_text = std::string(10'000, 'r');
    fail_at("answered", "x", errc::refused, "the model has a hole");
    connect();
    send({"x", "content"});
    expect_end_in_order();
}

TEST_F(failing_sinks, throw_anything) {
    sink_.on_call = [](const std::string& call, const std::string& name) {
        if (call == "begin" && name == "1") throw std::bad_alloc();
        if (call == "finish" && name == "2") throw std::runtime_error("no wherry error at all");
        if (call == "finish" && name == "3") throw 5;
    };
    connect();
    for (const auto* const name : {"1", "2", "3", "4"}) send({name, "x"});
    expect_end_in_order();
}

// Which deliveries are one group is left to chance; what is answered is not.
TEST_F(failing_sinks, fail_to_commit_some_of_a_group) {
    struct grouping_sink final : sink, group_commit {
        struct item final : delivery {
            item(grouping_sink& sink, std::string named) : owner(sink), name(std::move(named)) {}
            void write(const_bytes) override {}
            void finish(response& answer) override {
                owner.all_have_begun.wait();
                answer.append("this was " + name);
                if (name.starts_with("bad")) throw error(errc::io, "no " + name);
            }
            group_commit* commits_with() noexcept override { return &owner; }
            void abort(partial) noexcept override {}
            grouping_sink& owner;
            const std::string name;
        };
        std::unique_ptr<delivery> begin(const offer& what, const offering_peer&) override {
            if (what.name == "last") all_have_begun.open();
            return std::make_unique<item>(*this, what.name);
        }
        void finish_group(std::span<ending> all) noexcept override {
            for (auto& one : all) try {
                    one.of->finish(*one.answer);
                } catch (const error& e) {
                    one.failure = e;
                }
        }
        gate all_have_begun;
    } grouping;
    into_ = &grouping;
    connect();
    for (int i = 0; i < 30; ++i) send({(i % 5 == 3 ? "bad" : "good") + std::to_string(i), "x"});
    send({"last", "x"});
    expect_end_in_order();
}

// ---- Resume ----

using resumes = one_link;

TEST_F(resumes, from_nothing) {
    connect(options_with(uncompressed, sha256));
    send(std::move(text_source("x", pattern(100'000)).resumable()));
    expect_end_in_order();
}

TEST_F(resumes, from_an_offset) {
    sink_.set_partial("x", pattern(100'000).substr(0, 33'333));
    connect();
    send(std::move(text_source("x", pattern(100'000)).resumable()));
    expect_end_in_order();
    EXPECT_EQ(sink_.finished().at("x").content, pattern(100'000));
}

TEST_F(resumes, from_an_offset_with_a_digest) {
    sink_.set_partial("x", pattern(100'000).substr(0, 33'333));
    connect(options_with(uncompressed, sha256));
    send(std::move(text_source("x", pattern(100'000)).resumable()));
    expect_end_in_order();
    EXPECT_EQ(sink_.finished().at("x").content, pattern(100'000));
}

TEST_F(resumes, from_its_end) {
    sink_.set_partial("x", pattern(1'000));
    connect(options_with(uncompressed, sha256));
    send(std::move(text_source("x", pattern(1'000)).resumable()));
    expect_end_in_order();
}

TEST_F(resumes, not_if_the_source_has_changed) {
    sink_.set_partial("x", "what was there before");
    connect(options_with(uncompressed, sha256));
    send(std::move(text_source("x", pattern(100'000)).resumable()));
    expect_end_in_order();
    EXPECT_EQ(sink_.finished().at("x").content, pattern(100'000));
}

TEST_F(resumes, not_from_more_than_is_offered) {
    sink_.set_partial("x", "longer than what is offered");
    connect();
    send(std::move(text_source("x", "short").resumable()));
    expect_end_in_order();
}

TEST_F(resumes, not_if_it_is_refused) {
    fail_at("begin", "x", errc::refused, "we want none of that");
    connect();
    send(std::move(text_source("x", pattern(1'000)).resumable()));
    expect_end_in_order();
}

TEST_F(resumes, announced_ahead) {
    sink_.set_partial("3", pattern(2'000));
    sink_.set_partial("5", "of another content");
    connect();
    std::deque<text_source> sources;
    std::vector<transfer_id> ids;
    for (int i = 0; i < 8; ++i)
        ids.push_back(sender_->announce(sources.emplace_back(std::to_string(i), pattern(5'000)).resumable()));
    for (std::size_t i = 0; i < ids.size(); ++i) sender_->send(ids[i], sources[i]);
    expect_end_in_order();
}

TEST_F(resumes, what_was_compressed) {
    sink_.set_partial("x", lines(300'000).substr(0, 111'111));
    connect(options_with(zstd, sha256));
    send(std::move(text_source("x", lines(300'000)).resumable()));
    expect_end_in_order();
    EXPECT_EQ(sink_.finished().at("x").content, lines(300'000));
}

// ---- Retry ----

class retries : public one_link {
protected:
    retries() { registry_ = &known_; }
    delivery_id next_id() {
        delivery_id id;
        random_.randomize(reinterpret_cast<std::uint8_t*>(id.data()), id.size());
        return id;
    }
    // The responder's answers are lost from the first record on.
    static damage without_answers() { return {.cut_at = 16}; }

    void send_as(const delivery_attempt& attempt, text_source&& item) {
        const auto id = sender_->announce(item, attempt);
        sender_->send(id, item);
    }
    // Sends until the link is cut.
    void send_into_a_cut(const delivery_attempt& attempt, text_source&& item) {
        try {
            send_as(attempt, std::move(item));
        } catch (const error&) {
            // It is found out now or in the end.
        }
        const auto failures = finish();
        EXPECT_TRUE(failures.sender);
        EXPECT_TRUE(failures.receiver);
        at_sender_.answers.clear();
    }

private:
    delivery_registry known_;
    test::seeded_rng random_{"golden transcripts"};
};

TEST_F(retries, of_what_was_cut_go_on) {
    const delivery_attempt attempt{next_id()};
    connect(options_with(uncompressed, sha256), damage{.cut_at = 100'000});
    send_into_a_cut(attempt, std::move(text_source("x", pattern(200'000)).resumable()));
    connect(options_with(uncompressed, sha256));
    send_as(attempt, std::move(text_source("x", pattern(200'000)).resumable()));
    expect_end_in_order();
    EXPECT_EQ(sink_.finished().at("x").content, pattern(200'000));
}

TEST_F(retries, of_what_wants_no_resume_begin_again) {
    const delivery_attempt attempt{next_id()};
    connect(options_with(), damage{.cut_at = 100'000});
    send_into_a_cut(attempt, {"x", pattern(200'000)});
    connect();
    send_as(attempt, {"x", pattern(200'000)});
    expect_end_in_order();
}

// RESULT comes before END, and before any content.
TEST_F(retries, are_told_what_was_delivered) {
    const delivery_attempt attempt{next_id()}, again{attempt.id, true};
    sink_.response_text = pattern(5'000);
    sink_.outcome = "indexed";
    connect(options_with(), {}, without_answers());
    send_into_a_cut(attempt, {"x", "content"});
    connect();
    send_after_answer({"x", "content"}, again);
    send_as({next_id()}, {"y", "another"});
    expect_end_in_order();
    EXPECT_TRUE(at_sender_.answers.at("x").ok());
}

TEST_F(retries, are_told_what_was_delivered_although_they_would_resume) {
    const delivery_attempt attempt{next_id()}, again{attempt.id, true};
    connect();
    gate is_cut;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "finish") is_cut.wait();
    };
    text_source item("x", "content");
    item.resumable();
    send_as(attempt, std::move(item));
    sender_->flush();
    await_call("finish x");
    sender_->abort();
    is_cut.open();
    EXPECT_TRUE(finish().sender);
    at_sender_.answers.clear();
    connect();
    send_as(again, std::move(text_source("x", "content").resumable()));
    expect_end_in_order();
    EXPECT_TRUE(at_sender_.answers.at("x").ok());
}

TEST_F(retries, are_told_what_was_refused) {
    const delivery_attempt attempt{next_id()}, again{attempt.id, true};
    fail_at("answered", "x", errc::refused, "the model has a hole");
    connect(options_with(), {}, without_answers());
    send_into_a_cut(attempt, {"x", "content"});
    connect();
    send_after_answer({"x", "content"}, again);
    expect_end_in_order();
}

TEST_F(retries, deliver_again_what_found_no_room) {
    const delivery_attempt attempt{next_id()}, again{attempt.id, true};
    fail_at("finish", "x", errc::exhausted, "the disk is full");
    connect(options_with(), {}, without_answers());
    send_into_a_cut(attempt, {"x", "content"});
    sink_.on_call = nullptr;
    connect();
    send_as(again, {"x", "content"});
    expect_end_in_order();
    EXPECT_TRUE(at_sender_.answers.at("x").ok());
}

TEST_F(retries, after_a_stop_keep_what_came) {
    connect();
    text_source item("x", pattern(50'000));
    item.resumable().piped(10'000).before_read = [&](std::size_t position) {
        if (position == 30'000) sender_->cancel();
    };
    EXPECT_EQ(test::error_of([&] { sender_->send(item); }).code(), errc::cancelled);
    EXPECT_FALSE(finish().receiver);
    connect();
    send(std::move(text_source("x", pattern(50'000)).resumable()));
    expect_end_in_order();
}

// ---- Senders that cancel ----

class cancels : public one_link {
protected:
    void expect_cancelled() {
        const auto failures = finish();
        ASSERT_TRUE(failures.sender);
        EXPECT_EQ(failures.sender->code(), errc::cancelled);
        EXPECT_FALSE(failures.receiver);
    }
};

TEST_F(cancels, before_content) {
    connect();
    text_source first("first", pattern(1'000)), second("second", "x");
    const auto id = sender_->announce(first);
    sender_->announce(second);
    sender_->flush();
    await_call("begin second");
    sender_->cancel();
    EXPECT_EQ(test::error_of([&] { sender_->send(id, first); }).code(), errc::cancelled);
    expect_cancelled();
}

TEST_F(cancels, before_the_offset_is_agreed_on) {
    gate is_cancelled;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "begin") is_cancelled.wait();
    };
    connect();
    text_source item("x", pattern(1'000));
    const auto id = sender_->announce(item.resumable());
    sender_->flush();
    await_call("begin x");
    sender_->cancel();
    EXPECT_EQ(test::error_of([&] { sender_->send(id, item); }).code(), errc::cancelled);
    is_cancelled.open();
    expect_cancelled();
}

TEST_F(cancels, within_content) {
    connect();
    text_source item("endless", pattern(100'000), item_kind::data);
    item.of_unknown_size().piped(10'000).before_read = [&](std::size_t position) {
        if (position == 40'000) sender_->cancel();
    };
    EXPECT_EQ(test::error_of([&] { sender_->send(item); }).code(), errc::cancelled);
    expect_cancelled();
}

TEST_F(cancels, within_compressed_content) {
    connect(options_with(zstd));
    text_source item("endless", lines(500'000), item_kind::data);
    item.of_unknown_size().step = 10'000;
    item.before_read = [&](std::size_t position) {
        if (position >= 400'000) sender_->cancel();
    };
    EXPECT_EQ(test::error_of([&] { sender_->send(item); }).code(), errc::cancelled);
    expect_cancelled();
}

// The receiver answers although it was cancelled: by then it was on its way into the sink.
TEST_F(cancels, after_the_end) {
    gate is_told;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "finish") is_told.wait();
    };
    connect();
    send({"slow", "x"});
    sender_->flush();
    await_call("finish slow");
    sender_->cancel();
    auto ending = std::async(std::launch::async, [&] { return finish(); });
    at_sender_.wait_for_answer("slow");
    is_told.open();
    EXPECT_EQ(ending.get().sender->code(), errc::cancelled);
}

TEST_F(cancels, of_a_source_that_fails) {
    connect();
    text_source broken("broken", pattern(300'000));
    broken.step = 10'000;
    broken.before_read = [](std::size_t position) {
        if (position >= 200'000) throw error(errc::io, "the source broke");
    };
    sender_->send(broken);
    send({"fine", "1"});
    expect_end_in_order();
}

TEST_F(cancels, of_a_source_that_fails_while_it_is_compressed) {
    connect(options_with(zstd));
    text_source broken("broken", lines(400'000));
    broken.step = 10'000;
    broken.before_read = [](std::size_t position) {
        if (position >= 150'000) throw std::runtime_error("no wherry error at all");
    };
    sender_->send(broken);
    send({"fine", lines(10'000)});
    expect_end_in_order();
}

// ---- Receivers that stop ----

using stops = one_link;

TEST_F(stops, drain_while_nothing_is_sent) {
    connect();
    send({"first", "1"});
    sender_->settle();
    with_receiver([](engine::receiver& receiver) { receiver.drain(); });
    wait_until([&] { return sender_->why_over(); });
    text_source late("late", "2");
    EXPECT_EQ(test::error_of([&] { sender_->send(late); }).code(), errc::disconnected);
    expect_end_in_order();
}

TEST_F(stops, drain_while_content_comes) {
    gate is_draining;
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call == "write" && name == "first") is_draining.wait();
    };
    connect();
    send({"first", pattern(10'000)});
    send({"second", "2"});
    sender_->flush();
    await_call("write first");
    with_receiver([](engine::receiver& receiver) { receiver.drain(); });
    is_draining.open();
    expect_end_in_order();
}

TEST_F(stops, drain_while_a_finish_is_slow) {
    gate may_end;
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call == "finish" && name == "slow") may_end.wait();
    };
    connect();
    send({"slow", "1"});
    sender_->flush();
    await_call("finish slow");
    with_receiver([](engine::receiver& receiver) { receiver.drain(); });
    send({"late", "2"});
    sender_->flush();
    at_sender_.wait_for_answer("late");
    may_end.open();
    expect_end_in_order();
}

TEST_F(stops, cut_within_content) {
    connect();
    text_source item("x", pattern(50'000));
    item.resumable().piped(10'000).before_read = [&](std::size_t position) {
        if (position != 30'000) return;
        at_receiver_.wait_until([&] { return at_receiver_.received == 30'000; });
        with_receiver([](engine::receiver& receiver) { receiver.abort(); });
        wait_until([&] { return sender_->why_over(); });
    };
    EXPECT_EQ(test::error_of([&] { sender_->send(item); }).code(), errc::disconnected);
    const auto failures = finish();
    EXPECT_TRUE(failures.sender);
    EXPECT_TRUE(failures.receiver);
}

TEST_F(stops, cut_while_a_finish_is_slow) {
    gate may_end;
    sink_.on_call = [&](const std::string& call, const std::string&) {
        if (call == "finish") may_end.wait();
    };
    connect();
    send({"slow", "1"});
    sender_->flush();
    await_call("finish slow");
    with_receiver([](engine::receiver& receiver) { receiver.abort(); });
    at_sender_.wait_for_answer("slow");
    may_end.open();
    const auto failures = finish();
    EXPECT_TRUE(failures.sender);
    EXPECT_TRUE(failures.receiver);
}

TEST_F(stops, take_nothing_from_a_key_that_was_removed) {
    verify_ = [](const identity&) -> std::string { throw error(errc::auth_failed, "the key was taken back"); };
    connect();
    send({"one", "1"});
    send({"two", "2"});
    expect_end_in_order();
}

TEST_F(stops, finish_nothing_of_a_key_that_was_removed_meanwhile) {
    std::atomic<bool> is_removed = false;
    sink_.on_call = [&](const std::string& call, const std::string& name) {
        if (call == "write" && name == "x") is_removed = true;
    };
    verify_ = [&](const identity&) -> std::string {
        if (is_removed) throw error(errc::auth_failed, "the key was taken back");
        return "label";
    };
    connect();
    send({"x", pattern(10'000)});
    sender_->flush();
    at_sender_.wait_for_answer("x");
    send({"later", "1"});
    expect_end_in_order();
}

// ---- Compression ----

using compressed = one_link;

TEST_F(compressed, content_of_many_sizes) {
    connect(options_with(zstd, sha256));
    for (const std::size_t size : {0, 1, 255, 256, 65'535, 65'536, 131'071, 131'072, 131'073, 300'001}) {
        send({"text" + std::to_string(size), lines(size)});
        send({"noise" + std::to_string(size), noise(size)});
    }
    expect_end_in_order();
}

TEST_F(compressed, content_of_unknown_size) {
    connect(options_with(zstd));
    send(std::move(text_source("pipe", lines(100'000), item_kind::data).of_unknown_size()));
    expect_end_in_order();
}

TEST_F(compressed, pipe_piece_by_piece) {
    connect(options_with(zstd));
    text_source item("talk", lines(1'000), item_kind::data);
    // Each piece has to be there before the next is given.
    item.of_unknown_size().piped(20).before_read = [&](std::size_t position) {
        at_receiver_.wait_until([&] { return at_receiver_.received == position; });
    };
    sender_->send(item);
    expect_end_in_order();
}

TEST_F(compressed, content_that_shrinks_automatically) {
    connect(options_with(automatic));
    // The first content of a link is judged by what it shrinks to alone.
    send({"lines", lines(100'000)});
    expect_end_in_order();
}

TEST_F(compressed, content_too_small_to_begin_with) {
    connect(options_with(automatic));
    send({"255", lines(255)});
    send({"message", "hello", item_kind::message});
    expect_end_in_order();
}

TEST_F(compressed, content_that_does_not_shrink) {
    content_lines_ = transcript::content::joined;
    connect(options_with(automatic));
    send({"noise", noise(700'000)});
    expect_end_in_order();
    EXPECT_EQ(at_sender_.answers.at("noise").bytes_on_link, 700'000u);
}

TEST_F(compressed, content_that_changes_its_kind) {
    content_lines_ = transcript::content::joined;
    connect(options_with(automatic, sha256));
    send({"mixed", lines(1'500'000) + noise(1'500'000) + lines(500'000)});
    expect_end_in_order();
}

// ---- A sender that is written by hand ----

// Says what it is told to, closes, and hears the receiver out.
class hand_made_sender : public one_link {
protected:
    template <class Speak>
    std::optional<error> receive(Speak&& speak) {
        begin_sending();
        auto& link = new_link();
        auto received = std::async(std::launch::async, [&]() -> std::optional<error> {
            try {
                const auto receiver = make_receiver(open_channel(role::responder, std::move(link.responder)), sink_,
                                                    at_receiver_, nullptr);
                receiver->serve();
                return std::nullopt;
            } catch (const error& e) {
                return e;
            }
        });
        hand_made sender(role::initiator, std::move(link.initiator));
        speak(sender);
        sender.close();
        return received.get();
    }
    // All in one record.
    template <class Fill>
    std::optional<error> receive_record(Fill&& fill) {
        return receive([&](hand_made& sender) { sender.say_record(fill); });
    }

    static std::vector<std::byte> compressed(std::string_view content,
                                             compressor::until how = compressor::until::ended) {
        compressor compressing;
        compressing.begin(1, std::nullopt);
        std::vector<std::byte> payload(60'000);
        const auto step = compressing.compress(as_bytes(content), payload, how);
        EXPECT_TRUE(step.is_done);
        payload.resize(step.made);
        return payload;
    }
    static std::vector<std::byte> compressed_offer(std::string name) {
        offer_frame content;
        content.what.name = std::move(name);
        content.compression = compression_kind::zstd;
        return encode(content);
    }
};

TEST_F(hand_made_sender, takes_leave_behind_its_item) {
    EXPECT_FALSE(receive_record([](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, offer_of("x", 1));
        r.append(frame_type::data, 0, 1, as_bytes("y"));
        r.append(frame_type::end, 0, 1, end_of(1));
        r.append(frame_type::bye, 0, 0, {});
    }));
}

TEST_F(hand_made_sender, closes_without_bye) {
    EXPECT_EQ(receive_record([](record_buffer& r) {
                  r.append(frame_type::offer, 0, 1, offer_of("x", 1));
                  r.append(frame_type::data, 0, 1, as_bytes("y"));
                  r.append(frame_type::end, 0, 1, end_of(1));
              })->code(),
              errc::disconnected);
}

TEST_F(hand_made_sender, takes_leave_within_a_transfer) {
    EXPECT_EQ(receive_record([](record_buffer& r) {
                  r.append(frame_type::offer, 0, 1, offer_of("x"));
                  r.append(frame_type::bye, 0, 0, {});
              })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, says_an_unknown_frame) {
    EXPECT_FALSE(receive_record([](record_buffer& r) {
        r.append(static_cast<frame_type>(99), 0, 0, as_bytes("of a later version"));
        r.append(frame_type::request, 0, 0, as_bytes("reserved"));
        r.append(frame_type::offer, 0, 1, offer_of("x"));
        r.append(static_cast<frame_type>(98), 0x80, 1, as_bytes("of a later version"));
        r.append(frame_type::end, 0, 1, end_of(0));
        r.append(frame_type::bye, 0, 0, as_bytes("ignored"));
    }));
}

TEST_F(hand_made_sender, says_an_unknown_critical_frame) {
    EXPECT_EQ(receive_record([](record_buffer& r) {
                  r.append(static_cast<frame_type>(99), frame_flag::critical, 0, as_bytes("of a later version"));
              })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, offers_with_unknown_fields) {
    const auto with_field = [](std::uint16_t tag) {
        byte_writer payload;
        payload.bytes(offer_of("x")).integer(tag).sized<std::uint32_t>(as_bytes("new"));
        return payload.take();
    };
    EXPECT_FALSE(receive_record([&](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, with_field(77));
        r.append(frame_type::end, 0, 1, end_of(0));
        r.append(frame_type::offer, 0, 3, with_field(0x8000 | 77));
        r.append(frame_type::data, 0, 3, as_bytes("dropped"));
        r.append(frame_type::end, 0, 3, end_of(7));
        r.append(frame_type::bye, 0, 0, {});
    }));
}

TEST_F(hand_made_sender, goes_on_with_what_it_never_offered) {
    EXPECT_EQ(receive_record([](record_buffer& r) { r.append(frame_type::data, 0, 1, as_bytes("x")); })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, offers_with_a_number_of_the_other_side) {
    EXPECT_EQ(receive_record([](record_buffer& r) { r.append(frame_type::offer, 0, 2, offer_of("x")); })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, uses_a_number_twice) {
    EXPECT_EQ(receive_record([](record_buffer& r) {
                  r.append(frame_type::offer, 0, 3, offer_of("x"));
                  r.append(frame_type::offer, 0, 3, offer_of("y"));
              })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, lies_about_size_and_digest) {
    EXPECT_FALSE(receive_record([](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, offer_of("size"));
        r.append(frame_type::data, 0, 1, as_bytes("abc"));
        r.append(frame_type::end, 0, 1, end_of(4));
        offer_frame digested;
        digested.what.name = "digest";
        digested.digest = digest_kind::sha256;
        r.append(frame_type::offer, 0, 3, encode(digested));
        r.append(frame_type::data, 0, 3, as_bytes("abc"));
        r.append(frame_type::end, 0, 3, encode(end_frame{3, sha256_digest{}}));
        r.append(frame_type::offer, 0, 5, encode(digested));
        r.append(frame_type::end, 0, 5, end_of(0));
        r.append(frame_type::offer, 0, 7, offer_of("more", 2));
        r.append(frame_type::data, 0, 7, as_bytes("abc"));
        r.append(frame_type::offer, 0, 9, offer_of("unannounced"));
        r.append(frame_type::end, 0, 9, encode(end_frame{0, sha256_digest{}}));
        r.append(frame_type::bye, 0, 0, {});
    }));
}

TEST_F(hand_made_sender, opens_more_than_may_be) {
    EXPECT_EQ(receive_record([](record_buffer& r) {
                  for (std::uint32_t i = 0; i <= limits::max_open_transfers; ++i)
                      r.append(frame_type::offer, 0, 2 * i + 1, offer_of(std::to_string(i)));
                  r.append(frame_type::bye, 0, 0, {});
              })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, cancels_its_own) {
    EXPECT_FALSE(receive_record([](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, offer_of("x"));
        r.append(frame_type::cancel, 0, 1, encode(result_frame{errc::io, "the source broke", {}}));
        r.append(frame_type::data, 0, 1, as_bytes("dropped"));
        r.append(frame_type::bye, 0, 0, {});
    }));
}

TEST_F(hand_made_sender, sends_content_before_the_offset_is_agreed_on) {
    sink_.set_partial("x", "prefix");
    EXPECT_EQ(receive([](hand_made& sender) {
                  offer_frame content;
                  content.what.name = "x";
                  content.what.size = 10;
                  content.what.wants_resume = true;
                  sender.say(frame_type::offer, 1, encode(content));
                  EXPECT_TRUE(sender.hear(frame_type::accept));
                  sender.say(frame_type::data, 1, as_bytes("more"));
              })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, goes_on_from_an_offset_that_was_not_proposed) {
    sink_.set_partial("x", "prefix");
    EXPECT_EQ(receive([](hand_made& sender) {
                  offer_frame content;
                  content.what.name = "x";
                  content.what.size = 10;
                  content.what.wants_resume = true;
                  sender.say(frame_type::offer, 1, encode(content));
                  EXPECT_TRUE(sender.hear(frame_type::accept));
                  sender.say(frame_type::accept, 1, encode(accept_frame{3, std::nullopt}));
              })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, mixes_plain_and_compressed_content) {
    EXPECT_FALSE(receive_record([](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, compressed_offer("x"));
        r.append(frame_type::data, 0, 1, as_bytes("a"));
        r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed("bb"));
        r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed("cc"));
        r.append(frame_type::data, 0, 1, as_bytes("d"));
        r.append(frame_type::end, 0, 1, end_of(6));
        r.append(frame_type::bye, 0, 0, {});
    }));
    EXPECT_EQ(sink_.finished().at("x").content, "abbccd");
}

TEST_F(hand_made_sender, ends_within_compressed_content) {
    EXPECT_FALSE(receive_record([](record_buffer& r) {
        r.append(frame_type::offer, 0, 1, compressed_offer("x"));
        r.append(frame_type::compressed_data, frame_flag::critical, 1,
                 compressed("content", compressor::until::flushed));
        r.append(frame_type::end, 0, 1, end_of(7));
        r.append(frame_type::bye, 0, 0, {});
    }));
}

TEST_F(hand_made_sender, compresses_what_it_did_not_offer_so) {
    EXPECT_EQ(receive_record([](record_buffer& r) {
                  r.append(frame_type::offer, 0, 1, offer_of("x"));
                  r.append(frame_type::compressed_data, frame_flag::critical, 1, compressed("content"));
              })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, answers_what_was_never_offered) {
    EXPECT_EQ(receive_record([](record_buffer& r) {
                  r.append(frame_type::result, 0, 2, encode(result_frame{std::nullopt, "", {}, ""}));
              })->code(),
              errc::protocol);
}

TEST_F(hand_made_sender, asks_for_streams_of_which_there_are_none) {
    EXPECT_FALSE(receive([](hand_made& sender) {
        EXPECT_EQ(sender.ask(3), join_token{});
        sender.say(frame_type::offer, 1, offer_of("x"), 0, 0);
        sender.say(frame_type::end, 1, end_of(0), 0, 1);
        sender.say(frame_type::bye, 0, {}, 0, 2);
    }));
}

// ---- A receiver that is written by hand ----

class hand_made_receiver : public one_link {
protected:
    // The receiver is on another thread.
    template <class Speak>
    void connect_to(Speak&& speak, const sender_options& options = options_with()) {
        begin_sending();
        auto& link = new_link();
        speaking_ =
            std::async(std::launch::async, [speak, end = std::shared_ptr<connection>(std::move(link.responder))] {
                hand_made receiver(role::responder, end);
                speak(receiver);
                receiver.close();
            });
        sender_ = make_sender(open_channel(role::initiator, std::move(link.initiator)), options, at_sender_);
    }
    std::optional<error> finish_sender() {
        std::optional<error> failure;
        try {
            sender_->finish();
        } catch (const error& e) {
            failure = e;
        }
        sender_.reset();
        speaking_.get();
        return failure;
    }
    static std::vector<std::byte> ok() { return encode(result_frame{std::nullopt, "", {}, ""}); }
    static std::vector<std::byte> ok_with(std::string_view response) {
        const auto bytes = as_bytes(response);
        return encode(result_frame{std::nullopt, "", {bytes.begin(), bytes.end()}, ""});
    }

private:
    std::future<void> speaking_;
};

TEST_F(hand_made_receiver, says_an_unknown_frame) {
    connect_to([](hand_made& receiver) {
        receiver.hear(frame_type::end);
        receiver.say(static_cast<frame_type>(99), 0, as_bytes("of a later version"));
        receiver.say(frame_type::result, 1, ok_with("first "), frame_flag::more);
        receiver.say(frame_type::result, 1, ok_with("and last"));
        receiver.hear(frame_type::bye);
        receiver.say(frame_type::bye, 0, {});
    });
    send({"x", "1"});
    EXPECT_FALSE(finish_sender());
    EXPECT_EQ(as_text(at_sender_.answers.at("x").response), "first and last");
}

TEST_F(hand_made_receiver, says_an_unknown_critical_frame) {
    connect_to([](hand_made& receiver) {
        receiver.hear(frame_type::end);
        receiver.say(static_cast<frame_type>(99), 0, as_bytes("of a later version"), frame_flag::critical);
    });
    send({"x", "1"});
    EXPECT_EQ(finish_sender()->code(), errc::protocol);
}

TEST_F(hand_made_receiver, offers_something_itself) {
    connect_to([](hand_made& receiver) {
        receiver.hear(frame_type::end);
        receiver.say(frame_type::offer, 2, offer_of("of the receiver"));
        receiver.hear(frame_type::result);
        receiver.say(frame_type::result, 1, ok());
        receiver.hear(frame_type::bye);
        receiver.say(frame_type::bye, 0, {});
    });
    send({"x", "1"});
    EXPECT_FALSE(finish_sender());
}

TEST_F(hand_made_receiver, confirms_before_the_end) {
    connect_to([](hand_made& receiver) {
        receiver.hear(frame_type::offer);
        receiver.say(frame_type::result, 1, ok());
    });
    text_source item("x", "1");
    sender_->announce(item);
    sender_->flush();
    wait_until([&] { return sender_->why_over(); });
    EXPECT_EQ(finish_sender()->code(), errc::protocol);
}

TEST_F(hand_made_receiver, accepts_what_wants_no_resume) {
    connect_to([](hand_made& receiver) {
        receiver.hear(frame_type::end);
        receiver.say(frame_type::accept, 1, encode(accept_frame{}));
    });
    send({"x", "1"});
    EXPECT_EQ(finish_sender()->code(), errc::protocol);
}

TEST_F(hand_made_receiver, has_more_than_the_source) {
    connect_to([](hand_made& receiver) {
        receiver.hear(frame_type::offer);
        receiver.say(frame_type::accept, 1, encode(accept_frame{100, sha256_digest{}}));
        receiver.hear(frame_type::end);
        receiver.say(frame_type::result, 1, ok());
        receiver.hear(frame_type::bye);
        receiver.say(frame_type::bye, 0, {});
    });
    send(std::move(text_source("x", "short").resumable()));
    EXPECT_FALSE(finish_sender());
}

TEST_F(hand_made_receiver, takes_leave_with_an_item_unanswered) {
    connect_to([](hand_made& receiver) {
        receiver.hear(frame_type::end);
        receiver.say(frame_type::bye, 0, {});
    });
    send({"x", "1"});
    EXPECT_EQ(finish_sender()->code(), errc::disconnected);
}

TEST_F(hand_made_receiver, closes_without_bye) {
    connect_to([](hand_made& receiver) {
        receiver.hear(frame_type::end);
        receiver.say(frame_type::result, 1, ok());
        receiver.hear(frame_type::bye);
    });
    send({"x", "1"});
    EXPECT_FALSE(finish_sender());
}

TEST_F(hand_made_receiver, knows_of_no_streams) {
    struct no_opener final : stream_opener {
        std::shared_ptr<connection> dial() override { throw error(errc::internal, "none is asked for"); }
        std::unique_ptr<secure_channel> open(std::shared_ptr<connection>) override {
            throw error(errc::internal, "none is asked for");
        }
    } opener;
    auto options = options_with();
    options.streams = 4;
    options.opener = &opener;
    connect_to(
        [](hand_made& receiver) {
            receiver.hear(frame_type::end);
            receiver.say(frame_type::result, 1, ok());
            receiver.hear(frame_type::bye);
            receiver.say(frame_type::bye, 0, {});
        },
        options);
    send({"x", "1"});
    sender_->flush();
    at_sender_.wait_for_streams();
    EXPECT_FALSE(finish_sender());
}

// ---- Several connections ----

class streams : public transcript_test {
protected:
    struct noting_server final : server_observer {
        void disconnected(connection_id id, std::string_view, const std::optional<error>& failure) override {
            const std::lock_guard lock(mutex);
            ends.emplace(id, failure);
            changed.notify_all();
        }
        void wait_for_end_of(connection_id id) {
            std::unique_lock lock(mutex);
            changed.wait(lock, [&] { return ends.contains(id); });
        }
        std::mutex mutex;
        std::condition_variable changed;
        std::map<connection_id, std::optional<error>> ends;
    };

    class opener final : public stream_opener {
    public:
        explicit opener(streams& test) : test_(test) {}
        std::shared_ptr<connection> dial() override {
            if (refuses) throw error(errc::disconnected, "there is one channel only");
            return test_.dial();
        }
        std::unique_ptr<secure_channel> open(std::shared_ptr<connection> link) override {
            return open_channel(role::initiator, std::move(link));
        }
        std::atomic<bool> refuses = false;

    private:
        streams& test_;
    };

    ~streams() override {
        sender_.reset();
        stop();
    }

    // The receiver's side, which takes part with so many connections.
    void start(std::size_t most = limits::usual_streams) {
        begin_sending();
        server_options options;
        options.max_streams = most;
        server_protocol protocol;
        protocol.protection = &cipher_;
        protocol.cipher_name = "plain";
        server_.emplace(listener_, sink_, protocol, options, at_server_);
        running_ = std::async(std::launch::async, [this] { server_->run(); });
    }
    void stop(std::chrono::milliseconds grace = std::chrono::milliseconds(0)) {
        if (!server_) return;
        server_->stop(grace);
        if (running_.valid()) running_.get();
    }

    std::shared_ptr<connection> dial() {
        // Two at the same time.
        const std::lock_guard lock(dial_mutex_);
        auto& link = new_link();
        listener_.connect(std::move(link.responder));
        return std::move(link.initiator);
    }
    void connect(std::size_t count, sender_options options = options_with()) {
        options.streams = count;
        options.opener = &opener_;
        sender_ = make_sender(open_channel(role::initiator, dial()), options, at_sender_);
    }
    void send(text_source&& item) { sender_->send(item); }
    // Items before the other connections are there, and after.
    void send_all() {
        for (std::size_t i = 0; i < 3; ++i) send({"before" + std::to_string(i), pattern(i * 997)});
        sender_->flush();
        at_sender_.wait_for_streams();
        for (const std::size_t size : {std::size_t{400'000}, std::size_t{0}, std::size_t{65'536}, std::size_t{70}})
            send({"after" + std::to_string(size), pattern(size)});
        for (std::size_t i = 0; i < 10; ++i) send({"small" + std::to_string(i), pattern(i * 7)});
    }
    void expect_end_in_order(std::size_t joined) {
        sender_->finish();
        EXPECT_EQ(at_sender_.joined_streams, joined);
        sender_.reset();
        stop(std::chrono::hours(1));
        for (const auto& [id, failure] : at_server_.ends) EXPECT_FALSE(failure) << id << ": " << failure->what();
    }

    plain_cipher cipher_;
    memory_listener listener_;
    recording_sink sink_;
    noting_server at_server_;
    noting_observer at_sender_;
    opener opener_{*this};
    std::unique_ptr<engine::sender> sender_;

private:
    std::mutex dial_mutex_;
    std::optional<server> server_;
    std::future<void> running_;
};

TEST_F(streams, three) {
    start();
    connect(3);
    send_all();
    expect_end_in_order(3);
}

TEST_F(streams, fewer_than_wanted) {
    start(2);
    connect(5);
    send_all();
    expect_end_in_order(2);
}

TEST_F(streams, one_where_the_receiver_wants_no_more) {
    start(1);
    connect(5);
    send_all();
    expect_end_in_order(1);
}

TEST_F(streams, one_where_no_other_can_be_made) {
    start();
    opener_.refuses = true;
    connect(3);
    send_all();
    expect_end_in_order(1);
}

TEST_F(streams, of_what_is_compressed_and_resumed) {
    sink_.set_partial("x", lines(300'000).substr(0, 100'001));
    start();
    connect(3, options_with(zstd, sha256));
    send({"small", "1"});
    sender_->flush();
    at_sender_.wait_for_streams();
    send(std::move(text_source("x", lines(300'000)).resumable()));
    expect_end_in_order(3);
    EXPECT_EQ(sink_.finished().at("x").content, lines(300'000));
}

TEST_F(streams, cancelled) {
    start();
    connect(3);
    text_source item("large", pattern(500'000));
    item.step = 10'000;
    item.before_read = [&](std::size_t position) {
        if (position > 0) at_sender_.wait_for_streams();
        if (position >= 300'000) sender_->cancel();
    };
    EXPECT_EQ(test::error_of([&] { sender_->send(item); }).code(), errc::cancelled);
    EXPECT_EQ(test::error_of([&] { sender_->finish(); }).code(), errc::cancelled);
    sender_.reset();
    stop(std::chrono::hours(1));
}

TEST_F(streams, end_when_the_receiver_drains) {
    start();
    connect(3);
    send({"small", "1"});
    sender_->flush();
    at_sender_.wait_for_streams();
    sender_->settle();
    auto stopping = std::async(std::launch::async, [&] { stop(std::chrono::hours(1)); });
    // Over several connections it is on its way for a moment, which the sender's end would not wait for here.
    await_bye_of_initiator();
    sender_->finish();
    sender_.reset();
    stopping.get();
}

TEST_F(streams, not_with_a_wrong_token) {
    start();
    {
        hand_made first(role::initiator, dial());
        const auto token = first.ask(1);
        auto wrong = token;
        wrong.front() ^= std::byte{0x80};
        {
            hand_made stranger(role::initiator, dial());
            EXPECT_EQ(stranger.join(wrong), errc::auth_failed);
            EXPECT_FALSE(stranger.hear(frame_type::result)) << "it is closed";
        }
        hand_made second(role::initiator, dial()), third(role::initiator, dial());
        EXPECT_EQ(second.join(token), std::nullopt);
        EXPECT_EQ(third.join(token), errc::auth_failed) << "no more than were granted";
        second.say(frame_type::offer, 1, offer_of("x"), 0, 0);
        first.say(frame_type::end, 1, end_of(0), 0, 1);
        EXPECT_TRUE(first.hear(frame_type::result));
        first.say(frame_type::bye, 0, {}, 0, 2);
        EXPECT_TRUE(first.hear(frame_type::bye));
    }
    stop(std::chrono::hours(1));
}

TEST_F(streams, not_asked_for_twice) {
    start();
    hand_made first(role::initiator, dial());
    first.ask(1);
    first.say(frame_type::streams, 0, encode(streams_frame{1, std::nullopt}), 0, 0);
    at_server_.wait_for_end_of(1);
    EXPECT_EQ(at_server_.ends.at(1)->code(), errc::protocol);
}

TEST_F(streams, not_with_a_gap_in_the_numbers) {
    start(1);
    hand_made first(role::initiator, dial());
    first.ask(3);
    first.say(frame_type::offer, 1, offer_of("x"), 0, 0);
    first.say(frame_type::end, 1, end_of(0), 0, 1);
    EXPECT_TRUE(first.hear(frame_type::result));
    first.say(frame_type::bye, 0, {}, 0, 3);
    at_server_.wait_for_end_of(1);
    EXPECT_EQ(at_server_.ends.at(1)->code(), errc::protocol);
}

TEST_F(streams, not_joined_with_what_is_in_use) {
    start();
    hand_made first(role::initiator, dial());
    const auto token = first.ask(1);
    first.say(frame_type::join, 0, encode(join_frame{token}), frame_flag::critical, 0);
    at_server_.wait_for_end_of(1);
    EXPECT_EQ(at_server_.ends.at(1)->code(), errc::protocol);
}

TEST_F(streams, not_numbered_without_being_asked_for) {
    start();
    hand_made first(role::initiator, dial());
    first.say(frame_type::bye, 0, {}, 0, 0);
    at_server_.wait_for_end_of(1);
    EXPECT_EQ(at_server_.ends.at(1)->code(), errc::protocol);
}

// ---- The files ----

TEST(transcript_files, are_each_of_a_scenario) {
    std::set<std::string> scenarios;
    const auto& program = *testing::UnitTest::GetInstance();
    for (int i = 0; i < program.total_test_suite_count(); ++i) {
        const auto& suite = *program.GetTestSuite(i);
        if (suite.name() == std::string("transcript_files")) continue;
        for (int j = 0; j < suite.total_test_count(); ++j)
            EXPECT_TRUE(
                scenarios.insert(suite.name() + std::string(".") + suite.GetTestInfo(j)->name() + ".txt").second);
    }
    std::set<std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(transcripts()))
        files.insert(entry.path().filename().string());
    EXPECT_EQ(files, scenarios) << "a scenario has no file, or a file no scenario";
}

}  // namespace
}  // namespace wherry
