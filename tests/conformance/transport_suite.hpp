#pragma once

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "error_of.hpp"
#include "loaded_plugin.hpp"
#include "open_descriptors.hpp"
#include "test_bytes.hpp"
#include "wherry/limits.hpp"
#include "wherry/transport.hpp"

// What every transport must do (core/include/wherry/transport.hpp), whatever its link is.
namespace wherry::conformance {

struct transport_subject {
    std::string name;
    // A configured instance.
    std::function<std::unique_ptr<transport>()> make;
    // Where several listeners can be at once, and where connect() reaches them by the address they tell.
    std::string listen_address;
    // Addresses of the wrong form, for connecting as for listening.
    std::vector<std::string> bad_addresses;
    // Connections that the link bears at once.
    int connections = 50;
    // Why this machine cannot run it (it has no such device, say); "" if it can. Null: it always can.
    std::function<std::string()> missing = nullptr;
    // Whether one direction can end before the other (an RFCOMM connection ends as a whole).
    bool closes_by_half = true;
};

inline void PrintTo(const transport_subject& subject, std::ostream* out) { *out << subject.name; }

using namespace std::chrono_literals;

// Far longer than anything here takes: it only ends a test that hangs.
constexpr auto patience = 20s;

class transport_conformance : public testing::TestWithParam<transport_subject> {
protected:
    void SetUp() override {
        const auto missing = GetParam().missing ? GetParam().missing() : "";
        if (!missing.empty()) GTEST_SKIP() << missing;
        link_ = GetParam().make();
        door_ = link_->listen(GetParam().listen_address);
    }

    struct ends {
        std::unique_ptr<connection> here, there;
    };

    ends connect() {
        auto there = std::async(std::launch::async, [&] { return door_->accept(); });
        auto here = link_->connect(std::string(door_->address()));
        ends both{std::move(here), there.get()};
        for (auto* const end : {both.here.get(), both.there.get()}) {
            end->set_read_timeout(patience);
            end->set_write_timeout(patience);
        }
        return both;
    }

    static std::vector<std::byte> read_to_end(connection& from, std::size_t step = 65'521) {
        std::vector<std::byte> all, buffer(step);
        while (const auto got = from.read_some(buffer)) {
            EXPECT_LE(got, buffer.size());
            all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
        }
        return all;
    }

    static std::vector<std::byte> read_exactly(connection& from, std::size_t size) {
        std::vector<std::byte> all(size);
        for (std::size_t at = 0; at < size;) {
            const auto got = from.read_some(mutable_bytes(all).subspan(at));
            if (got == 0) throw error(errc::protocol, "the stream ended too early");
            at += got;
        }
        return all;
    }

    // What the call ends with, in at most `patience`; an error of code `internal` if it goes on.
    template <class Call>
    static error failure_in_time(Call&& call) {
        auto running = std::async(std::launch::async, [&] { return test::error_of(call); });
        if (running.wait_for(patience) == std::future_status::ready) return running.get();
        ADD_FAILURE() << "still blocked";
        std::abort();  // the future could not be left without its end
    }

    void an_end_of_writing_is_an_end_of_reading() {
        const auto both = connect();
        const auto bytes = noise(300'007);
        auto got = std::async(std::launch::async, [&] { return read_to_end(*both.there); });
        both.here->write_all(bytes);
        both.here->shutdown_write();
        EXPECT_TRUE(got.get() == bytes);
        std::byte byte{};
        for (auto* const end : {both.here.get(), both.there.get()})
            EXPECT_EQ(end->read_some({&byte, 1}), 0u) << "the end does not stay";
    }

    std::unique_ptr<transport> link_;
    std::unique_ptr<listener> door_;
};

// ---- Addresses ----

TEST_P(transport_conformance, a_listener_tells_where_it_can_be_reached) {
    const std::string address(door_->address());
    EXPECT_FALSE(address.empty());
    const auto both = connect();
    EXPECT_EQ(door_->address(), address);
}

TEST_P(transport_conformance, connections_tell_their_peer_and_a_record_size_that_the_protocol_has) {
    const auto both = connect();
    for (const auto* const end : {both.here.get(), both.there.get()}) {
        EXPECT_FALSE(end->peer_address().empty());
        EXPECT_EQ(end->peer_address(), end->peer_address());
        EXPECT_GE(end->record_bytes(), limits::min_record_bytes);
        EXPECT_LE(end->record_bytes(), limits::max_record_bytes);
    }
}

TEST_P(transport_conformance, addresses_of_the_wrong_form_are_bad_input) {
    for (const auto& address : GetParam().bad_addresses) {
        const auto connecting = test::error_of([&] { link_->connect(address); });
        EXPECT_EQ(connecting.code(), errc::bad_input) << address;
        expect_presentable(connecting);
        expect_presentable(test::error_of([&] { link_->listen(address); }));
    }
}

TEST_P(transport_conformance, a_peer_that_does_not_listen_is_not_reached) {
    const auto address = std::string(door_->address());
    door_.reset();
    const auto failure = failure_in_time([&] { link_->connect(address); });
    EXPECT_TRUE(failure.code() == errc::disconnected || failure.code() == errc::timed_out) << failure.what();
    expect_presentable(failure);
}

TEST_P(transport_conformance, a_taken_address_is_refused) {
    expect_presentable(test::error_of([&] { link_->listen(std::string(door_->address())); }));
}

TEST_P(transport_conformance, looking_for_peers_works_or_is_unsupported) {
    try {
        link_->discover(50ms, [](const discovered_peer& peer) {
            // Without an address there is nobody it could be about.
            EXPECT_TRUE(!peer.address.empty() || (peer.name.empty() && !peer.signal_dbm));
            return false;
        });
    } catch (const error& e) {
        expect_presentable(e);
    }
}

// ---- Bytes ----

TEST_P(transport_conformance, bytes_arrive_whole_and_in_order) {
    const auto both = connect();
    const auto record = both.here->record_bytes();
    const std::size_t sizes[] = {1, 2, record - 1, record, record + 1, 2 * record, 1'000'003};
    for (const auto size : sizes) {
        const auto bytes = noise(size, size);
        for (const std::size_t step : {std::size_t{997}, record - 1, record + 1, size}) {
            auto got = std::async(std::launch::async, [&] { return read_exactly(*both.there, size); });
            in_steps(bytes, step, [&](const_bytes piece) { both.here->write_all(piece); });
            ASSERT_EQ(got.get(), bytes) << size << " bytes in steps of " << step;
        }
    }
}

TEST_P(transport_conformance, single_bytes_arrive_in_order) {
    const auto both = connect();
    const auto bytes = noise(1000);
    auto got = std::async(std::launch::async, [&] {
        std::vector<std::byte> all;
        for (int i = 0; i < 1000; ++i) all.push_back(read_exactly(*both.there, 1)[0]);
        return all;
    });
    in_steps(bytes, 1, [&](const_bytes piece) { both.here->write_all(piece); });
    EXPECT_EQ(got.get(), bytes);
}

TEST_P(transport_conformance, a_read_gives_what_has_come_and_does_not_wait_for_more) {
    const auto both = connect();
    both.here->write_all(as_bytes("abc"));
    std::vector<std::byte> large(100'000);
    std::string all;
    while (all.size() < 3) all += as_text(const_bytes(large).first(both.there->read_some(large)));
    EXPECT_EQ(all, "abc");
}

TEST_P(transport_conformance, gathered_pieces_arrive_as_one_stream) {
    const auto both = connect();
    const auto bytes = noise(250'000);
    std::vector<const_bytes> pieces;
    for (std::size_t at = 0, n = 0; at < bytes.size(); ++n) {
        const auto size = std::min(n % 151, bytes.size() - at);  // each 151st is empty
        pieces.push_back(const_bytes(bytes).subspan(at, size));
        at += size;
    }
    auto got = std::async(std::launch::async, [&] { return read_exactly(*both.there, bytes.size()); });
    both.here->write_all(pieces);
    EXPECT_EQ(got.get(), bytes);
}

TEST_P(transport_conformance, pieces_without_bytes_send_nothing) {
    const auto both = connect();
    both.here->write_all(std::span<const const_bytes>());
    both.here->write_all(const_bytes());
    const std::vector<const_bytes> empty(20);
    both.here->write_all(empty);
    both.there->set_read_timeout(50ms);
    std::byte byte{};
    EXPECT_EQ(test::error_of([&] { both.there->read_some({&byte, 1}); }).code(), errc::timed_out);
}

TEST_P(transport_conformance, both_sides_write_and_read_at_once) {
    const auto both = connect();
    const auto forth = noise(2'000'003, 1), back = noise(1'999'999, 2);
    auto here_got = std::async(std::launch::async, [&] { return read_exactly(*both.here, back.size()); });
    auto there_got = std::async(std::launch::async, [&] { return read_exactly(*both.there, forth.size()); });
    auto writing = std::async(
        std::launch::async, [&] { in_steps(back, 50'021, [&](const_bytes piece) { both.there->write_all(piece); }); });
    in_steps(forth, 60'013, [&](const_bytes piece) { both.here->write_all(piece); });
    writing.get();
    EXPECT_TRUE(here_got.get() == back);
    EXPECT_TRUE(there_got.get() == forth);
}

// ---- Ends ----

TEST_P(transport_conformance, an_end_of_writing_is_an_end_of_reading_and_the_other_way_stays_open) {
    if (!GetParam().closes_by_half) return an_end_of_writing_is_an_end_of_reading();
    const auto both = connect();
    const auto question = noise(300'007, 1), answer = noise(200'003, 2);
    auto there = std::async(std::launch::async, [&] {
        const auto got = read_to_end(*both.there);
        both.there->write_all(answer);
        both.there->shutdown_write();
        return got;
    });
    both.here->write_all(question);
    both.here->shutdown_write();
    EXPECT_TRUE(read_to_end(*both.here) == answer);
    EXPECT_TRUE(there.get() == question);
    std::byte byte{};
    EXPECT_EQ(both.here->read_some({&byte, 1}), 0u) << "the end does not stay";
}

TEST_P(transport_conformance, what_was_written_arrives_though_the_writer_is_gone) {
    auto both = connect();
    const auto bytes = noise(20'011);
    both.here->write_all(bytes);
    both.here->shutdown_write();
    both.here.reset();
    EXPECT_TRUE(read_to_end(*both.there) == bytes);
}

TEST_P(transport_conformance, nothing_is_written_after_the_end) {
    const auto both = connect();
    both.here->shutdown_write();
    expect_presentable(test::error_of([&] { both.here->write_all(as_bytes("x")); }));
}

TEST_P(transport_conformance, a_read_ends_when_the_peer_goes) {
    auto both = connect();
    auto reading = std::async(std::launch::async, [&] {
        std::byte byte{};
        try {
            return both.here->read_some({&byte, 1}) == 0;
        } catch (const error& e) {
            return e.code() == errc::disconnected;
        }
    });
    std::this_thread::sleep_for(20ms);
    both.there.reset();
    ASSERT_EQ(reading.wait_for(patience), std::future_status::ready);
    EXPECT_TRUE(reading.get());
}

TEST_P(transport_conformance, writing_to_a_peer_that_went_is_disconnected) {
    auto both = connect();
    both.there.reset();
    const auto bytes = noise(100'003);
    const auto failure = failure_in_time([&] {
        for (int i = 0; i < 10'000; ++i) both.here->write_all(bytes);
    });
    EXPECT_EQ(failure.code(), errc::disconnected) << failure.what();
    expect_presentable(failure);
}

// ---- Timeouts ----

TEST_P(transport_conformance, a_read_that_timed_out_can_be_repeated) {
    const auto both = connect();
    both.here->set_read_timeout(100ms);
    std::byte buffer[5];
    for (int i = 0; i < 2; ++i) {
        const auto begun = std::chrono::steady_clock::now();
        const auto failure = test::error_of([&] { both.here->read_some(buffer); });
        const auto took = std::chrono::steady_clock::now() - begun;
        EXPECT_EQ(failure.code(), errc::timed_out);
        EXPECT_GE(took, 99ms);
        EXPECT_LT(took, patience);
        expect_presentable(failure);
    }
    both.here->set_read_timeout(patience);
    both.there->write_all(as_bytes("later"));
    EXPECT_EQ(as_text(read_exactly(*both.here, 5)), "later");
    both.here->write_all(as_bytes("still"));
    EXPECT_EQ(as_text(read_exactly(*both.there, 5)), "still");
}

TEST_P(transport_conformance, a_timeout_of_zero_waits) {
    const auto both = connect();
    both.here->set_read_timeout(10ms);
    both.here->set_read_timeout(0ms);
    auto reading = std::async(std::launch::async, [&] { return read_exactly(*both.here, 1); });
    EXPECT_EQ(reading.wait_for(200ms), std::future_status::timeout);
    both.there->write_all(as_bytes("x"));
    EXPECT_EQ(as_text(reading.get()), "x");
}

TEST_P(transport_conformance, a_write_that_nobody_reads_times_out_and_reading_goes_on) {
    const auto both = connect();
    both.here->set_write_timeout(100ms);
    const auto bytes = noise(1 << 20);
    const auto failure = failure_in_time([&] {
        for (int i = 0; i < 1000; ++i) both.here->write_all(bytes);
    });
    EXPECT_EQ(failure.code(), errc::timed_out) << failure.what();
    both.there->write_all(as_bytes("answer"));
    EXPECT_EQ(as_text(read_exactly(*both.here, 6)), "answer");
}

// ---- Aborting ----

TEST_P(transport_conformance, abort_ends_a_read_of_another_thread) {
    const auto both = connect();
    both.here->set_read_timeout(0ms);
    auto reading = std::async(std::launch::async, [&] {
        std::byte byte{};
        return failure_in_time([&] { both.here->read_some({&byte, 1}); });
    });
    std::this_thread::sleep_for(50ms);
    both.here->abort();
    EXPECT_EQ(reading.get().code(), errc::disconnected);
}

TEST_P(transport_conformance, abort_ends_a_write_of_another_thread) {
    const auto both = connect();
    both.here->set_write_timeout(0ms);
    const auto bytes = noise(1 << 20);
    auto writing = std::async(std::launch::async, [&] {
        return failure_in_time([&] {
            for (;;) both.here->write_all(bytes);
        });
    });
    std::this_thread::sleep_for(100ms);
    both.here->abort();
    EXPECT_EQ(writing.get().code(), errc::disconnected);
}

TEST_P(transport_conformance, abort_ends_reading_and_writing_at_once) {
    const auto both = connect();
    const auto bytes = noise(1 << 20);
    auto reading = std::async(std::launch::async, [&] {
        std::byte byte{};
        return failure_in_time([&] { both.here->read_some({&byte, 1}); });
    });
    auto writing = std::async(std::launch::async, [&] {
        return failure_in_time([&] {
            for (;;) both.here->write_all(bytes);
        });
    });
    std::this_thread::sleep_for(50ms);
    std::thread second([&] { both.here->abort(); });
    both.here->abort();
    second.join();
    EXPECT_EQ(reading.get().code(), errc::disconnected);
    EXPECT_EQ(writing.get().code(), errc::disconnected);
}

TEST_P(transport_conformance, after_abort_every_call_fails) {
    const auto both = connect();
    both.there->write_all(as_bytes("waiting to be read"));
    both.here->abort();
    both.here->abort();
    std::byte byte{};
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(test::error_of([&] { both.here->read_some({&byte, 1}); }).code(), errc::disconnected);
        EXPECT_EQ(test::error_of([&] { both.here->write_all(as_bytes("x")); }).code(), errc::disconnected);
        EXPECT_EQ(test::error_of([&] { both.here->shutdown_write(); }).code(), errc::disconnected);
    }
    EXPECT_FALSE(both.here->peer_address().empty());
}

TEST_P(transport_conformance, the_peer_learns_of_an_abort) {
    auto both = connect();
    both.here->abort();
    both.here.reset();
    std::byte byte{};
    try {
        EXPECT_EQ(both.there->read_some({&byte, 1}), 0u);
    } catch (const error& e) {
        EXPECT_EQ(e.code(), errc::disconnected);
    }
}

TEST_P(transport_conformance, abort_ends_an_accept_of_another_thread) {
    auto accepting = std::async(std::launch::async, [&] { return failure_in_time([&] { door_->accept(); }); });
    std::this_thread::sleep_for(50ms);
    door_->abort();
    const auto failure = accepting.get();
    EXPECT_EQ(failure.code(), errc::cancelled);
    door_->abort();
    EXPECT_EQ(test::error_of([&] { door_->accept(); }).code(), errc::cancelled);
    EXPECT_FALSE(door_->address().empty());
}

TEST_P(transport_conformance, connections_outlive_their_listener) {
    const auto both = connect();
    door_->abort();
    door_.reset();
    both.here->write_all(as_bytes("hello"));
    EXPECT_EQ(as_text(read_exactly(*both.there, 5)), "hello");
}

// ---- Many ----

TEST_P(transport_conformance, many_connections_do_not_mix) {
    const int count = GetParam().connections;
    constexpr std::size_t size = 5'003;
    const auto or_failure = [](const auto& call) {
        try {
            call();
        } catch (const error& e) {
            ADD_FAILURE() << e.what();
        }
    };
    auto accepting = std::async(std::launch::async, [&] {
        std::vector<std::thread> echoes;
        or_failure([&] {
            for (int i = 0; i < count; ++i)
                echoes.emplace_back([&, end = std::shared_ptr<connection>(door_->accept())] {
                    or_failure([&] {
                        end->set_read_timeout(patience);
                        const auto all = read_exactly(*end, size);
                        end->write_all(all);
                        end->shutdown_write();
                    });
                });
        });
        for (auto& echo : echoes) echo.join();
    });
    constexpr int threads = 5;
    std::atomic<int> right{0}, next{0};
    std::vector<std::thread> crew;
    for (int t = 0; t < threads; ++t)
        crew.emplace_back([&] {
            or_failure([&] {
                for (int i; (i = next++) < count;) {
                    const auto end = link_->connect(std::string(door_->address()));
                    end->set_read_timeout(patience);
                    const auto bytes = noise(size, static_cast<std::uint64_t>(i));
                    end->write_all(bytes);
                    if (read_to_end(*end) == bytes) ++right;
                }
            });
        });
    for (auto& one : crew) one.join();
    if (right < count) door_->abort();
    accepting.get();
    EXPECT_EQ(right, count);
}

TEST_P(transport_conformance, nothing_is_left_open) {
    { const auto warm = connect(); }
    const auto before = test::open_descriptors();
    for (int i = 0; i < 10; ++i) {
        auto both = connect();
        both.here->write_all(as_bytes("x"));
        both.there->abort();
        for (const auto& address : GetParam().bad_addresses) test::error_of([&] { link_->connect(address); });
    }
    { const auto another = link_->listen(GetParam().listen_address); }
    EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace wherry::conformance
