#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <vector>

#include "alarm_clock.hpp"
#include "checking_cipher.hpp"
#include "error_of.hpp"
#include "read_ahead.hpp"
#include "scripted_connection.hpp"
#include "wherry/limits.hpp"
#include "write_behind.hpp"

namespace wherry {
namespace {

using namespace std::chrono_literals;
using bytes = std::vector<std::byte>;
using test::checking_session;
using test::error_of;
using test::scripted_connection;

constexpr std::size_t overhead = 8;

record_buffer filled_record(std::uint32_t transfer, std::size_t payload_bytes) {
    record_buffer record(std::clamp(payload_bytes + 64, limits::min_record_bytes, limits::max_record_bytes), overhead);
    record.append(frame_type::data, 0, transfer, bytes(payload_bytes, static_cast<std::byte>(transfer)));
    return record;
}

// Records of growing size, the transfer's number in each byte.
bytes records_on_the_wire(std::uint32_t count) {
    checking_session cipher(overhead);
    bytes wire;
    for (std::uint32_t i = 1; i <= count; ++i) {
        auto record = filled_record(i, 100 + 5000 * i);
        const auto sealed = record.seal(cipher);
        wire.insert(wire.end(), sealed.begin(), sealed.end());
    }
    return wire;
}

frame only_frame(const_bytes record) {
    byte_reader frames(record, "a record");
    const auto one = take_frame(frames);
    EXPECT_EQ(frames.remaining(), 0U);
    return one;
}

void expect_record(const std::optional<const_bytes>& got, std::uint32_t number) {
    ASSERT_TRUE(got) << number;
    const auto content = only_frame(*got);
    EXPECT_EQ(content.transfer, number);
    EXPECT_EQ(content.payload.size(), 100 + 5000 * number);
    EXPECT_TRUE(std::ranges::all_of(content.payload, [&](std::byte b) { return b == static_cast<std::byte>(number); }));
}

// ---- record_reader::hand_over ----

TEST(record_reader_memory, a_record_stays_valid_as_long_as_what_it_lies_in) {
    const auto wire = records_on_the_wire(20);
    scripted_connection link;
    link.says(wire, {1000, 3, 70'000});
    checking_session cipher(overhead);
    record_reader reader(link, cipher);
    std::vector<record_memory> kept;
    std::vector<const_bytes> records;
    while (const auto record = reader.next()) {
        kept.emplace_back();
        reader.hand_over(kept.back());
        records.push_back(*record);
    }
    ASSERT_EQ(records.size(), 20U);
    for (std::uint32_t i = 0; i < records.size(); ++i) expect_record(records[i], i + 1);
}

// ---- read_ahead ----

TEST(read_ahead, gives_every_record_in_order_and_then_the_end) {
    const auto wire = records_on_the_wire(50);
    scripted_connection link;
    link.says(wire, {1000, 3, 70'000});
    checking_session cipher(overhead);
    record_reader reader(link, cipher);
    expect_record(reader.next(), 1);
    read_ahead ahead(reader);
    for (std::uint32_t i = 2; i <= 50; ++i) expect_record(ahead.next(), i);
    EXPECT_FALSE(ahead.next());
    EXPECT_FALSE(ahead.next()) << "the end stays the end";
    EXPECT_TRUE(ahead.wait_for_end(10s));
}

TEST(read_ahead, throws_what_went_wrong_behind_what_came_before_it) {
    auto wire = records_on_the_wire(10);
    wire.resize(wire.size() - 1);
    scripted_connection link;
    link.says(wire, {1000, 3, 70'000});
    checking_session cipher(overhead);
    record_reader reader(link, cipher);
    read_ahead ahead(reader);
    for (std::uint32_t i = 1; i <= 9; ++i) expect_record(ahead.next(), i);
    EXPECT_EQ(error_of([&] { ahead.next(); }).code(), errc::disconnected);
    EXPECT_EQ(error_of([&] { ahead.next(); }).code(), errc::disconnected);
}

TEST(read_ahead, ends_while_records_that_nobody_wants_are_left) {
    const auto wire = records_on_the_wire(30);
    scripted_connection link;
    link.says(wire, {1000, 3, 70'000});
    checking_session cipher(overhead);
    record_reader reader(link, cipher);
    read_ahead ahead(reader);
    expect_record(ahead.next(), 1);
}

// ---- write_behind ----

std::vector<record_buffer> two_buffers() {
    std::vector<record_buffer> made;
    for (int i = 0; i < 2; ++i) made.emplace_back(limits::min_record_bytes, overhead);
    return made;
}

TEST(write_behind, writes_all_in_order) {
    std::vector<bytes> written;
    checking_session sealing(overhead), opening(overhead);
    write_behind writer(two_buffers(), [&](record_buffer& record) {
        const auto sealed = record.seal(sealing);
        written.emplace_back(sealed.begin(), sealed.end());
    });
    for (std::uint32_t i = 1; i <= 100; ++i) {
        auto record = filled_record(i, i);
        writer.put(record);
        EXPECT_TRUE(record.empty());
    }
    writer.drain();
    ASSERT_EQ(written.size(), 100U);
    for (std::uint32_t i = 1; i <= 100; ++i) {
        const auto opened = opening.open(mutable_bytes(written[i - 1]).subspan(4));
        EXPECT_EQ(only_frame(opened).transfer, i);
    }
}

TEST(write_behind, who_puts_waits_while_all_buffers_are_taken) {
    std::promise<void> go;
    auto may_go = go.get_future().share();
    std::atomic<int> written = 0;
    write_behind writer(two_buffers(), [&](record_buffer&) {
        may_go.wait();
        ++written;
    });
    for (std::uint32_t i = 1; i <= 2; ++i) {
        auto record = filled_record(i, 10);
        writer.put(record);
    }
    auto third = std::async(std::launch::async, [&] {
        auto record = filled_record(3, 10);
        writer.put(record);
    });
    EXPECT_EQ(third.wait_for(20ms), std::future_status::timeout);
    EXPECT_EQ(written, 0);
    go.set_value();
    third.get();
    writer.drain();
    EXPECT_EQ(written, 3);
}

TEST(write_behind, a_failure_is_thrown_to_whoever_comes_then) {
    int calls = 0;
    write_behind writer(two_buffers(), [&](record_buffer&) {
        ++calls;
        throw error(errc::disconnected, "the link is gone");
    });
    auto record = filled_record(1, 10);
    writer.put(record);
    EXPECT_EQ(error_of([&] { writer.drain(); }).code(), errc::disconnected);
    auto next = filled_record(2, 10);
    EXPECT_EQ(error_of([&] { writer.put(next); }).code(), errc::disconnected);
    EXPECT_EQ(calls, 1);
}

// ---- alarm_clock ----

TEST(alarm_clock, rings_once_each_in_the_order_of_their_times) {
    auto& clock = alarm_clock::shared();
    std::mutex mutex;
    std::vector<int> rung;
    std::promise<void> last;
    const auto ring = [&](int which) {
        return [&, which] {
            const std::lock_guard lock(mutex);
            rung.push_back(which);
            if (which == 3) last.set_value();
        };
    };
    clock.set(30ms, ring(3));
    clock.set(1ms, ring(1));
    clock.set(10ms, ring(2));
    last.get_future().wait();
    const std::lock_guard lock(mutex);
    EXPECT_EQ(rung, (std::vector{1, 2, 3}));
}

TEST(alarm_clock, what_is_cancelled_does_not_ring) {
    auto& clock = alarm_clock::shared();
    std::atomic<bool> has_rung = false;
    std::promise<void> later;
    const auto which = clock.set(5ms, [&] { has_rung = true; });
    clock.cancel(which);
    clock.cancel(which);
    clock.set(20ms, [&] { later.set_value(); });
    later.get_future().wait();
    EXPECT_FALSE(has_rung);
}

TEST(alarm_clock, who_cancels_waits_for_what_rings) {
    auto& clock = alarm_clock::shared();
    std::promise<void> begun;
    std::atomic<bool> has_ended = false;
    const auto which = clock.set(0ms, [&] {
        begun.set_value();
        std::this_thread::sleep_for(20ms);
        has_ended = true;
    });
    begun.get_future().wait();
    clock.cancel(which);
    EXPECT_TRUE(has_ended);
}

}  // namespace
}  // namespace wherry
