// SPDX-License-Identifier: BSD-2-Clause
#include "socket_connection.hpp"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "error_of.hpp"
#include "wherry/bytes.hpp"

namespace {

// What the next calls of one kind do instead of what the system does: fail with these.
class script {
public:
    void fail_next(std::initializer_list<int> codes) {
        const std::lock_guard lock(mutex_);
        failures_.insert(failures_.end(), codes);
    }
    // 0: the system's turn.
    int next_call() {
        const std::lock_guard lock(mutex_);
        ++calls_;
        if (failures_.empty()) return 0;
        const int code = failures_.front();
        failures_.pop_front();
        return code;
    }
    int calls() const {
        const std::lock_guard lock(mutex_);
        return calls_;
    }
    bool is_played() const {
        const std::lock_guard lock(mutex_);
        return failures_.empty();
    }
    void reset() {
        const std::lock_guard lock(mutex_);
        failures_.clear();
        calls_ = 0;
    }

private:
    mutable std::mutex mutex_;
    std::deque<int> failures_;
    int calls_ = 0;
};

script receiving, sending;

}  // namespace

// In place of the C library's, for this program only.
extern "C" ssize_t recv(int socket, void* into, size_t size, int flags) {
    if (const int code = receiving.next_call()) {
        errno = code;
        return -1;
    }
    return ::syscall(SYS_recvfrom, socket, into, size, flags, nullptr, nullptr);
}

extern "C" ssize_t sendmsg(int socket, const msghdr* message, int flags) {
    if (const int code = sending.next_call()) {
        errno = code;
        return -1;
    }
    return ::syscall(SYS_sendmsg, socket, message, flags);
}

namespace wherry {
namespace {

using namespace std::chrono_literals;
using test::error_of;
using ::testing::HasSubstr;

class socket_connection_test : public ::testing::Test {
protected:
    socket_connection_test() {
        receiving.reset();
        sending.reset();
        make_pair();
    }

    void make_pair() {
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
        here = unique_fd(ends[0]);
        there = unique_fd(ends[1]);
    }

    std::unique_ptr<socket_connection> connected(closing habit, std::function<void()> let_go = nullptr) {
        auto link = std::make_unique<socket_connection>(std::move(here), std::make_unique<stop_signal>(), "the peer",
                                                        100, habit, std::move(let_go));
        link->set_read_timeout(60s);
        link->set_write_timeout(60s);
        return link;
    }

    void send_from_there(std::string_view text) {
        ASSERT_EQ(::write(there.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
    }
    // The kernel tells it as a reset when one goes that has not read what it was sent.
    void reset_from_there(connection& link) {
        link.write_all(as_bytes("never read"));
        there.reset();
    }

    static std::string read_text(connection& link, std::size_t room = 100) {
        std::vector<std::byte> buffer(room);
        const auto got = link.read_some(buffer);
        return std::string(reinterpret_cast<const char*>(buffer.data()), got);
    }
    static error reading_error(connection& link) {
        return error_of([&] { read_text(link); });
    }
    static error writing_error(connection& link) {
        return error_of([&] { link.write_all(as_bytes("x")); });
    }

    unique_fd here, there;
};

// ---- The end, by reset and in order ----

TEST_F(socket_connection_test, by_reset_takes_a_reset_as_the_end_and_stays_there) {
    const auto link = connected(closing::by_reset);
    receiving.fail_next({ECONNRESET});
    EXPECT_EQ(read_text(*link), "");
    send_from_there("what cannot be");
    EXPECT_EQ(read_text(*link), "");
    EXPECT_EQ(receiving.calls(), 1);
}

TEST_F(socket_connection_test, in_order_takes_a_reset_as_a_failure) {
    const auto link = connected(closing::in_order);
    receiving.fail_next({ECONNRESET});
    const auto failure = reading_error(*link);
    EXPECT_EQ(failure.code(), errc::disconnected);
    EXPECT_EQ(failure.system_error(), ECONNRESET);
}

TEST_F(socket_connection_test, data_come_before_a_reset) {
    const auto link = connected(closing::by_reset);
    send_from_there("last words");
    reset_from_there(*link);
    EXPECT_EQ(read_text(*link, 4), "last");
    EXPECT_EQ(read_text(*link), " words");
    EXPECT_EQ(read_text(*link), "");
    EXPECT_EQ(read_text(*link), "");
}

TEST_F(socket_connection_test, data_come_before_a_reset_that_is_a_failure) {
    const auto link = connected(closing::in_order);
    send_from_there("last words");
    reset_from_there(*link);
    EXPECT_EQ(read_text(*link), "last words");
    EXPECT_EQ(reading_error(*link).system_error(), ECONNRESET);
}

TEST_F(socket_connection_test, data_that_came_with_the_hang_up_are_read) {
    for (const auto habit : {closing::by_reset, closing::in_order}) {
        make_pair();
        const auto link = connected(habit);
        send_from_there("last words");
        there.reset();
        // It was not there yet at the first look, and poll tells the hang-up only.
        receiving.fail_next({EAGAIN});
        EXPECT_EQ(read_text(*link, 4), "last");
        EXPECT_EQ(read_text(*link), " words");
        EXPECT_EQ(read_text(*link), "");
    }
}

// ---- The failure that the other direction's thread has fetched ----

TEST_F(socket_connection_test, a_reset_that_a_write_has_fetched_ends_the_reader) {
    const auto link = connected(closing::by_reset);
    sending.fail_next({ECONNRESET});
    EXPECT_EQ(writing_error(*link).code(), errc::disconnected);
    there.reset();
    receiving.fail_next({EAGAIN, EAGAIN});
    EXPECT_EQ(read_text(*link), "");
    EXPECT_TRUE(receiving.is_played());
    EXPECT_EQ(read_text(*link), "");
}

TEST_F(socket_connection_test, any_other_failure_that_a_write_has_fetched_is_the_readers_too) {
    for (const auto habit : {closing::by_reset, closing::in_order}) {
        make_pair();
        const auto link = connected(habit);
        sending.fail_next({ETIMEDOUT});
        EXPECT_EQ(writing_error(*link).system_error(), ETIMEDOUT);
        there.reset();
        receiving.fail_next({EAGAIN, EAGAIN});
        EXPECT_EQ(reading_error(*link).system_error(), ETIMEDOUT);
    }
}

TEST_F(socket_connection_test, a_hang_up_that_nobody_knows_the_reason_of_is_a_reset) {
    const auto link = connected(closing::in_order);
    there.reset();
    receiving.fail_next({EAGAIN, EAGAIN});
    EXPECT_EQ(reading_error(*link).system_error(), ECONNRESET);
    sending.fail_next({EAGAIN, EAGAIN});
    EXPECT_EQ(writing_error(*link).system_error(), ECONNRESET);
}

TEST_F(socket_connection_test, a_failure_that_a_read_has_fetched_ends_the_writer) {
    const auto link = connected(closing::by_reset);
    receiving.fail_next({EHOSTDOWN});
    EXPECT_EQ(reading_error(*link).code(), errc::disconnected);
    there.reset();
    sending.fail_next({EAGAIN, EAGAIN});
    const auto failure = writing_error(*link);
    EXPECT_EQ(failure.code(), errc::disconnected);
    EXPECT_EQ(failure.system_error(), EHOSTDOWN);
    EXPECT_TRUE(sending.is_played());
}

TEST_F(socket_connection_test, a_reset_that_was_the_end_for_the_reader_is_a_failure_for_the_writer) {
    const auto link = connected(closing::by_reset);
    receiving.fail_next({ECONNRESET});
    EXPECT_EQ(read_text(*link), "");
    there.reset();
    sending.fail_next({EAGAIN, EAGAIN});
    EXPECT_EQ(writing_error(*link).system_error(), ECONNRESET);
}

// Both threads wait; the one that the failure wakes takes it from the socket, and the other must not wait on.
TEST_F(socket_connection_test, both_directions_end_when_the_peer_goes) {
    const auto link = connected(closing::by_reset);
    link->set_read_timeout(0ms);
    link->set_write_timeout(0ms);
    std::thread writer([&] {
        const std::vector<std::byte> much(1 << 20);
        EXPECT_EQ(error_of([&] { link->write_all(const_bytes(much)); }).code(), errc::disconnected);
    });
    std::thread reader([&] { EXPECT_EQ(read_text(*link), ""); });
    pollfd filled{there.get(), POLLIN, 0};
    EXPECT_EQ(::poll(&filled, 1, -1), 1);
    there.reset();
    writer.join();
    reader.join();
}

// ---- After a read that took all there was ----

TEST_F(socket_connection_test, a_short_read_is_followed_by_what_comes) {
    const auto link = connected(closing::in_order);
    send_from_there("one");
    EXPECT_EQ(read_text(*link), "one");
    std::thread peer([&] { send_from_there("two"); });
    EXPECT_EQ(read_text(*link), "two");
    peer.join();
    send_from_there("three");
    EXPECT_EQ(read_text(*link), "three");
    EXPECT_EQ(receiving.calls(), 3);
}

TEST_F(socket_connection_test, a_short_read_is_followed_by_the_end) {
    const auto link = connected(closing::in_order);
    send_from_there("all");
    EXPECT_EQ(read_text(*link), "all");
    there.reset();
    EXPECT_EQ(read_text(*link), "");
    EXPECT_EQ(read_text(*link), "");
}

TEST_F(socket_connection_test, a_short_read_is_followed_by_the_end_of_one_direction) {
    const auto link = connected(closing::in_order);
    send_from_there("all");
    EXPECT_EQ(read_text(*link), "all");
    ASSERT_EQ(::shutdown(there.get(), SHUT_WR), 0);
    EXPECT_EQ(read_text(*link), "");
    link->write_all(as_bytes("still open"));
}

TEST_F(socket_connection_test, a_short_read_is_followed_by_an_abort) {
    const auto link = connected(closing::in_order);
    send_from_there("all");
    EXPECT_EQ(read_text(*link), "all");
    std::thread user([&] { link->abort(); });
    EXPECT_EQ(reading_error(*link).code(), errc::disconnected);
    user.join();
    send_from_there("more");
    EXPECT_EQ(reading_error(*link).code(), errc::disconnected);
    EXPECT_EQ(receiving.calls(), 1);
}

TEST_F(socket_connection_test, a_short_read_is_followed_by_a_timeout_and_that_by_data) {
    const auto link = connected(closing::in_order);
    send_from_there("all");
    EXPECT_EQ(read_text(*link), "all");
    link->set_read_timeout(1ms);
    EXPECT_EQ(reading_error(*link).code(), errc::timed_out);
    // It did not look for what it had seen is not there.
    EXPECT_EQ(receiving.calls(), 1);
    send_from_there("more");
    EXPECT_EQ(read_text(*link), "more");
}

TEST_F(socket_connection_test, a_read_that_filled_its_buffer_is_followed_by_the_rest_at_once) {
    const auto link = connected(closing::in_order);
    send_from_there("oneandtwo");
    EXPECT_EQ(read_text(*link, 3), "one");
    EXPECT_EQ(read_text(*link, 3), "and");
    EXPECT_EQ(read_text(*link, 3), "two");
    EXPECT_EQ(receiving.calls(), 3);
    link->set_read_timeout(1ms);
    EXPECT_EQ(reading_error(*link).code(), errc::timed_out);
    EXPECT_EQ(receiving.calls(), 4);
}

TEST_F(socket_connection_test, signals_do_not_disturb) {
    const auto link = connected(closing::by_reset);
    send_from_there("all");
    receiving.fail_next({EINTR, EINTR});
    EXPECT_EQ(read_text(*link), "all");
    sending.fail_next({EINTR});
    link->write_all(as_bytes("x"));
}

// ---- Failures ----

struct expected {
    int code;
    errc kind;
};

class transfer_failures : public socket_connection_test, public ::testing::WithParamInterface<expected> {};

TEST_P(transfer_failures, are_told_by_reads_and_writes) {
    const auto [code, kind] = GetParam();
    const auto link = connected(closing::by_reset);
    receiving.fail_next({code});
    sending.fail_next({code});
    for (const auto& failure : {reading_error(*link), writing_error(*link)}) {
        EXPECT_EQ(failure.code(), kind);
        EXPECT_EQ(failure.system_error(), code);
        EXPECT_THAT(failure.what(), HasSubstr("(" + system_text(code) + ")"));
    }
}

INSTANTIATE_TEST_SUITE_P(
    socket, transfer_failures,
    ::testing::Values(expected{EPIPE, errc::disconnected}, expected{ECONNABORTED, errc::disconnected},
                      expected{ENOTCONN, errc::disconnected}, expected{ETIMEDOUT, errc::disconnected},
                      expected{ENETDOWN, errc::disconnected}, expected{ENETUNREACH, errc::disconnected},
                      expected{ENETRESET, errc::disconnected}, expected{EHOSTDOWN, errc::disconnected},
                      expected{EHOSTUNREACH, errc::disconnected}, expected{ENOMEM, errc::exhausted},
                      expected{ENOBUFS, errc::exhausted}, expected{EIO, errc::io}, expected{0x7FFF, errc::io}),
    [](const auto& one) { return "errno_" + std::to_string(one.param.code); });

// ---- Letting go ----

TEST_F(socket_connection_test, lets_go_once_and_when_the_socket_is_closed) {
    int times = 0;
    bool was_closed = false;
    auto link = connected(closing::by_reset, [&] {
        ++times;
        char byte;
        was_closed = ::read(there.get(), &byte, 1) == 0;
    });
    link->abort();
    EXPECT_EQ(times, 0);
    link.reset();
    EXPECT_EQ(times, 1);
    EXPECT_TRUE(was_closed);
}

}  // namespace
}  // namespace wherry
