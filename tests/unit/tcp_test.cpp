// SPDX-License-Identifier: BSD-2-Clause
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <future>
#include <numeric>
#include <thread>
#include <vector>

#include "connect_race.hpp"
#include "endpoint.hpp"
#include "error_of.hpp"
#include "open_descriptors.hpp"
#include "tcp_transport.hpp"
#include "wait_until.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::tcp {
namespace {

using namespace std::chrono_literals;
using test::error_of;
using test::open_descriptors;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

options quick() {
    options chosen;
    chosen.port = 0;
    chosen.connect_timeout = 3s;
    return chosen;
}

struct connected_pair {
    std::unique_ptr<connection> here, there;
};

connected_pair connect_pair(transport& tcp, const std::string& address = "127.0.0.1:0") {
    const auto door = tcp.listen(address);
    auto here = tcp.connect(std::string(door->address()));
    auto there = door->accept();
    return {std::move(here), std::move(there)};
}

std::vector<std::byte> pattern(std::size_t size) {
    std::vector<std::byte> bytes(size);
    std::uint32_t state = 12345;
    for (auto& byte : bytes) byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
    return bytes;
}

std::vector<std::byte> read_to_end(connection& link) {
    std::vector<std::byte> all;
    std::vector<std::byte> buffer(70'001);
    while (const auto got = link.read_some(buffer)) all.insert(all.end(), buffer.begin(), buffer.begin() + got);
    return all;
}

bool has_ipv6() {
    const unique_fd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 loopback{};
    loopback.sin6_family = AF_INET6;
    loopback.sin6_addr = in6addr_loopback;
    return probe.is_open() && ::bind(probe.get(), reinterpret_cast<sockaddr*>(&loopback), sizeof loopback) == 0;
}

unique_fd plain_connect(std::string_view address) {
    const auto where = parse_endpoint(address, 0);
    unique_fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto target = resolve(where).front();
    EXPECT_EQ(::connect(socket.get(), target.raw(), target.length), 0) << std::strerror(errno);
    return socket;
}

// ---- Addresses ----

struct good_address {
    const char* text;
    const char* host;
    int port;
};

class address_forms : public testing::TestWithParam<good_address> {};

TEST_P(address_forms, are_understood) {
    const auto where = parse_endpoint(GetParam().text, 9417);
    EXPECT_EQ(where.host, GetParam().host);
    EXPECT_EQ(where.port, GetParam().port);
}

INSTANTIATE_TEST_SUITE_P(tcp, address_forms,
                         testing::Values(good_address{"", "", 9417}, good_address{":80", "", 80},
                                         good_address{"lab-pc", "lab-pc", 9417}, good_address{"lab-pc:1", "lab-pc", 1},
                                         good_address{"10.0.0.1:65535", "10.0.0.1", 65535},
                                         good_address{"::1", "::1", 9417}, good_address{"[::1]", "::1", 9417},
                                         good_address{"[::1]:7", "::1", 7}, good_address{"[::]:0", "::", 0},
                                         good_address{"[fe80::1%eth0]:7", "fe80::1%eth0", 7},
                                         good_address{"[fe80::1%25eth0]:7", "fe80::1%eth0", 7},
                                         good_address{"fe80::1%25eth0", "fe80::1%eth0", 9417},
                                         good_address{"fe80::1%25", "fe80::1%25", 9417},
                                         good_address{"fe80::1%251", "fe80::1%251", 9417},
                                         good_address{"fe80::1%2", "fe80::1%2", 9417}, good_address{"*", "", 9417},
                                         good_address{"*:80", "", 80}, good_address{"a%25b", "a%25b", 9417},
                                         good_address{"fe80::1%eth0", "fe80::1%eth0", 9417}));

class bad_addresses : public testing::TestWithParam<const char*> {};

TEST_P(bad_addresses, are_refused_with_the_right_form) {
    const auto failure = error_of([] { parse_endpoint(GetParam(), 9417); });
    EXPECT_EQ(failure.code(), errc::bad_input);
    EXPECT_THAT(failure.what(), EndsWith("write host:port, host, or [IPv6]:port"));
}

INSTANTIATE_TEST_SUITE_P(tcp, bad_addresses,
                         testing::Values("host:", "host:65536", "host:-1", "host:+1", "host:1x", "host: 1", "a b",
                                         "[::1", "[::1]x", "[::1]:", "[lab-pc]:1", "1:2:3", "a:b:1", "tcp://host:1",
                                         "host\n:1", "[]:1"));

TEST(address, shows_ipv4_in_ipv6_clothes_as_ipv4) {
    socket_address address;
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(555);
    ::inet_pton(AF_INET6, "::ffff:1.2.3.4", &v6.sin6_addr);
    address.length = sizeof v6;
    EXPECT_EQ(to_string(address), "1.2.3.4:555");
}

// ---- Connecting and listening ----

TEST(tcp, listens_on_any_free_port_and_tells_it) {
    transport tcp(quick());
    const auto door = tcp.listen("127.0.0.1");
    EXPECT_THAT(std::string(door->address()), StartsWith("127.0.0.1:"));
    EXPECT_THAT(std::string(door->address()), testing::Not(EndsWith(":0")));
}

TEST(tcp, shows_peers_as_they_can_be_reached) {
    transport tcp(quick());
    const auto door = tcp.listen("127.0.0.1");
    const auto here = tcp.connect(std::string(door->address()));
    const auto there = door->accept();
    EXPECT_EQ(here->peer_address(), door->address());
    EXPECT_THAT(std::string(there->peer_address()), StartsWith("127.0.0.1:"));
}

TEST(tcp, listens_for_both_families_without_a_host) {
    if (!has_ipv6()) GTEST_SKIP() << "this machine has no IPv6";
    transport tcp(quick());
    EXPECT_THAT(std::string(tcp.listen("*:0")->address()), StartsWith("[::]:"));
    const auto door = tcp.listen("");
    ASSERT_THAT(std::string(door->address()), StartsWith("[::]:"));
    const auto port = std::string(door->address().substr(4));

    const auto v6 = tcp.connect("[::1]" + port);
    EXPECT_THAT(std::string(door->accept()->peer_address()), StartsWith("[::1]:"));
    const auto v4 = tcp.connect("127.0.0.1" + port);
    EXPECT_THAT(std::string(door->accept()->peer_address()), StartsWith("127.0.0.1:"));
    const auto round_trip = tcp.connect(std::string(door->address()));
    EXPECT_TRUE(door->accept());
}

TEST(tcp, shows_the_wildcard_of_ipv4) {
    transport tcp(quick());
    EXPECT_THAT(std::string(tcp.listen("0.0.0.0")->address()), StartsWith("0.0.0.0:"));
}

TEST(tcp, says_that_nothing_listens) {
    transport tcp(quick());
    const auto address = std::string(tcp.listen("127.0.0.1")->address());
    const auto failure = error_of([&] { tcp.connect(address); });
    EXPECT_EQ(failure.code(), errc::disconnected);
    EXPECT_EQ(failure.system_error(), ECONNREFUSED);
    EXPECT_THAT(failure.what(), HasSubstr("nothing listens at " + address));
}

// An address that never answers: its queue is full, so that the system drops whatever else wants to connect.
class silent_address {
public:
    silent_address() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        auto& v4 = reinterpret_cast<sockaddr_in&>(address_.storage);
        v4.sin_family = AF_INET;
        v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::bind(socket_.get(), address_.raw(), sizeof v4), 0);
        EXPECT_EQ(::listen(socket_.get(), 0), 0);
        EXPECT_EQ(::getsockname(socket_.get(), address_.raw(), &address_.length), 0);
        filler_ = plain_connect(to_string(address_));
    }
    const socket_address& get() const { return address_; }

private:
    unique_fd socket_, filler_;
    socket_address address_;
};

socket_address address_of(std::string_view text) { return resolve(parse_endpoint(text, 0)).front(); }

std::string peer_of(const unique_fd& socket) {
    socket_address peer;
    if (::getpeername(socket.get(), peer.raw(), &peer.length) != 0) return "nobody";
    return to_string(peer);
}

TEST(tcp, gives_up_after_the_connect_timeout) {
    const silent_address silent;
    auto chosen = quick();
    chosen.connect_timeout = 200ms;
    transport tcp(chosen);
    const auto begun = std::chrono::steady_clock::now();
    const auto failure = error_of([&] { tcp.connect(to_string(silent.get())); });
    EXPECT_EQ(failure.code(), errc::timed_out);
    EXPECT_THAT(failure.what(), HasSubstr("within 200 ms"));
    const auto took = std::chrono::steady_clock::now() - begun;
    EXPECT_GE(took, 200ms);
    EXPECT_LT(took, 2s);
}

TEST(connect_race, goes_on_when_an_address_refuses) {
    const auto chosen = quick();
    transport tcp(chosen);
    const auto nobody = address_of(tcp.listen("127.0.0.1")->address());
    const auto door = tcp.listen("127.0.0.2");
    const stop_signal stop;
    connect_race race({nobody, nobody, address_of(door->address())}, chosen, stop);
    EXPECT_EQ(peer_of(race.run(deadline_after(3s))), door->address());
}

TEST(connect_race, goes_on_when_an_address_is_of_a_family_that_is_missing) {
    const auto chosen = quick();
    transport tcp(chosen);
    socket_address strange;
    strange.storage.ss_family = 44;
    const auto door = tcp.listen("127.0.0.1");
    const stop_signal stop;
    connect_race race({strange, address_of(door->address())}, chosen, stop);
    EXPECT_EQ(peer_of(race.run(deadline_after(3s))), door->address());
}

TEST(connect_race, does_not_wait_for_an_address_that_is_silent) {
    const silent_address silent;
    const auto chosen = quick();
    transport tcp(chosen);
    const auto door = tcp.listen("127.0.0.2");
    const stop_signal stop;
    connect_race race({silent.get(), silent.get(), address_of(door->address())}, chosen, stop);
    const auto begun = std::chrono::steady_clock::now();
    EXPECT_EQ(peer_of(race.run(deadline_after(10s))), door->address());
    EXPECT_LT(std::chrono::steady_clock::now() - begun, 3s);
}

TEST(connect_race, tells_the_most_telling_failure) {
    const silent_address silent;
    const auto chosen = quick();
    transport tcp(chosen);
    const auto nobody = address_of(tcp.listen("127.0.0.1")->address());
    const stop_signal stop;
    connect_race race({nobody, silent.get()}, chosen, stop);
    EXPECT_FALSE(race.run(deadline_after(100ms)).is_open());
    EXPECT_EQ(race.failure(), ECONNREFUSED);
}

TEST(tcp, says_that_a_link_local_address_needs_its_interface) {
    transport tcp(quick());
    for (const auto& failure :
         {error_of([&] { tcp.connect("[fe80::1]:7"); }), error_of([&] { tcp.listen("fe80::1"); })}) {
        EXPECT_EQ(failure.code(), errc::bad_input);
        EXPECT_THAT(failure.what(), HasSubstr("'fe80::1' is link-local, so it needs the interface"));
        EXPECT_THAT(failure.what(), HasSubstr("interfaces: lo"));
    }
}

TEST(tcp, names_the_interface_that_is_not_there) {
    transport tcp(quick());
    for (const auto& failure :
         {error_of([&] { tcp.connect("[fe80::1%nothing]:7"); }),
          error_of([&] { tcp.connect("[fe80::1%25nothing]:7"); }), error_of([&] { tcp.listen("fe80::1%nothing"); })}) {
        EXPECT_EQ(failure.code(), errc::bad_input);
        EXPECT_THAT(failure.what(),
                    HasSubstr("no network interface 'nothing' for the address 'fe80::1%nothing'; this"));
        EXPECT_THAT(failure.what(), HasSubstr("has: lo"));
    }
    const auto global = error_of([&] { tcp.connect("[2001:db8::1%nothing]:7"); });
    EXPECT_THAT(global.what(), HasSubstr("not link-local, so it has no interface; leave '%nothing' out"));
    // Numbers that the system takes without a look at them.
    EXPECT_THAT(error_of([&] { tcp.connect("[fe80::1%4711]:7"); }).what(), HasSubstr("no network interface '4711'"));
    EXPECT_THAT(error_of([&] { tcp.connect("[2001:db8::1%1]:7"); }).what(), HasSubstr("leave '%1' out"));
}

TEST(tcp, a_name_may_have_link_local_addresses_among_others) {
    auto without_interface = socket_address();
    auto& v6 = *reinterpret_cast<sockaddr_in6*>(&without_interface.storage);
    v6.sin6_family = AF_INET6;
    ::inet_pton(AF_INET6, "fe80::1", &v6.sin6_addr);
    without_interface.length = sizeof v6;
    auto with_interface = without_interface;
    reinterpret_cast<sockaddr_in6*>(&with_interface.storage)->sin6_scope_id = 1;
    EXPECT_EQ(with_interfaces({"lab-pc", 1}, {without_interface, with_interface}).size(), 1u);
    EXPECT_EQ(error_of([&] { with_interfaces({"lab-pc", 1}, {without_interface}); }).code(), errc::bad_input);
}

TEST(tcp, says_that_a_name_is_not_known) {
    transport tcp(quick());
    const auto failure = error_of([&] { tcp.connect("nobody.invalid:1"); });
    // Without a resolver at hand it cannot know that the name is wrong.
    EXPECT_TRUE(failure.code() == errc::bad_input || failure.code() == errc::disconnected);
    EXPECT_THAT(failure.what(), HasSubstr("'nobody.invalid'"));
}

// ---- Ending a connect ----

constexpr auto no_limit = 1h;

TEST(tcp, an_abort_ends_a_connect_that_waits_for_its_peer) {
    const silent_address silent;
    auto chosen = quick();
    chosen.connect_timeout = no_limit;
    transport tcp(chosen);
    auto waiting =
        std::async(std::launch::async, [&] { return error_of([&] { tcp.connect(to_string(silent.get())); }); });
    EXPECT_EQ(waiting.wait_for(200ms), std::future_status::timeout);
    tcp.connect_abort();
    const auto failure = waiting.get();
    EXPECT_EQ(failure.code(), errc::cancelled);
    EXPECT_EQ(failure.what(), "connecting to " + to_string(silent.get()) + " was stopped");
}

TEST(tcp, an_abort_concerns_every_later_connect_but_no_connection) {
    transport tcp(quick()), other(quick());
    const auto door = tcp.listen("127.0.0.1");
    const auto address = std::string(door->address());
    const auto here = tcp.connect(address);
    const auto there = door->accept();
    tcp.connect_abort();
    tcp.connect_abort();
    EXPECT_EQ(error_of([&] { tcp.connect(address); }).code(), errc::cancelled);
    EXPECT_EQ(error_of([&] { tcp.connect("localhost:1"); }).code(), errc::cancelled);
    here->write_all(as_bytes("a"));
    std::byte byte{};
    EXPECT_EQ(there->read_some({&byte, 1}), 1u);
    EXPECT_NO_THROW(other.connect(address));
    EXPECT_NO_THROW(door->accept());
}

// A resolver that hangs until it is released, as the system's does where no name server answers.
class hanging_resolver {
public:
    ~hanging_resolver() { release(); }

    resolver find() {
        return [state = state_](const endpoint&) {
            ++state->begun;
            state->released.wait();
            ++state->ended;
            return std::vector<socket_address>(1);
        };
    }
    void release() {
        if (!std::exchange(is_released_, true)) release_.set_value();
    }
    int begun() const { return state_->begun; }
    int ended() const { return state_->ended; }

private:
    struct shared {
        explicit shared(std::shared_future<void> when) : released(std::move(when)) {}
        std::shared_future<void> released;
        std::atomic<int> begun{0}, ended{0};
    };
    std::promise<void> release_;
    bool is_released_ = false;
    std::shared_ptr<shared> state_ = std::make_shared<shared>(release_.get_future().share());
};

TEST(tcp, an_abort_leaves_a_lookup_that_hangs_behind) {
    hanging_resolver hanging;
    auto chosen = quick();
    chosen.connect_timeout = no_limit;
    {
        transport tcp(chosen, hanging.find());
        auto waiting = std::async(std::launch::async, [&] { return error_of([&] { tcp.connect("lab-pc:1"); }); });
        wait_until([&] { return hanging.begun() != 0; });
        tcp.connect_abort();
        const auto failure = waiting.get();
        EXPECT_EQ(failure.code(), errc::cancelled);
        EXPECT_STREQ(failure.what(), "looking up the name 'lab-pc' was stopped");
    }
    EXPECT_EQ(hanging.ended(), 0);
    // Its result comes when the transport has gone.
    hanging.release();
    wait_until([&] { return hanging.ended() != 0; });
}

TEST(tcp, a_lookup_has_the_time_that_a_connect_has) {
    hanging_resolver hanging;
    auto chosen = quick();
    chosen.connect_timeout = 100ms;
    transport tcp(chosen, hanging.find());
    const auto failure = error_of([&] { tcp.connect("lab-pc:1"); });
    EXPECT_EQ(failure.code(), errc::timed_out);
    EXPECT_THAT(failure.what(), StartsWith("the name 'lab-pc' was not looked up within 100 ms; check the network"));
}

TEST(tcp, at_most_four_lookups_are_left_behind) {
    hanging_resolver hanging;
    auto chosen = quick();
    chosen.connect_timeout = 50ms;
    transport tcp(chosen, hanging.find());
    // Those of an earlier test may still be ending.
    int left_behind = 0;
    auto last = errc::timed_out;
    for (int i = 0; i < 20 && last == errc::timed_out; ++i) {
        const auto failure = error_of([&] { tcp.connect("lab-pc:1"); });
        last = failure.code();
        if (last == errc::timed_out) ++left_behind;
        if (last == errc::exhausted) {
            EXPECT_STREQ(failure.what(),
                         "the name 'lab-pc' is not looked up, because 4 earlier lookups still hang; try again later, "
                         "or give the address as a number");
        }
    }
    EXPECT_EQ(last, errc::exhausted);
    EXPECT_LE(left_behind, 4);
    // A number is not looked up.
    const auto door = tcp.listen("127.0.0.1");
    EXPECT_NO_THROW(tcp.connect(std::string(door->address())));
    // When they have ended, names are looked up again.
    hanging.release();
    wait_until([&] { return error_of([&] { tcp.connect("lab-pc:1"); }).code() != errc::exhausted; });
}

TEST(tcp, many_may_look_names_up_at_once) {
    transport tcp(quick(), [](const endpoint& where) {
        std::this_thread::sleep_for(20ms);
        return resolve(endpoint{"127.0.0.1", where.port});
    });
    const auto door = tcp.listen("127.0.0.1");
    const auto address = "lab-pc" + std::string(door->address()).substr(std::string_view("127.0.0.1").size());
    std::vector<std::future<std::unique_ptr<connection>>> all;
    for (int i = 0; i < 32; ++i) all.push_back(std::async(std::launch::async, [&] { return tcp.connect(address); }));
    for (auto& one : all) EXPECT_NO_THROW(one.get());
}

TEST(tcp, wants_a_host_and_a_port_to_connect_to) {
    transport tcp(quick());
    EXPECT_EQ(error_of([&] { tcp.connect(":80"); }).code(), errc::bad_input);
    EXPECT_EQ(error_of([&] { tcp.connect(""); }).code(), errc::bad_input);
    EXPECT_EQ(error_of([&] { tcp.connect("127.0.0.1"); }).code(), errc::bad_input);
}

TEST(tcp, says_why_it_cannot_listen) {
    transport tcp(quick());
    const auto door = tcp.listen("127.0.0.1");
    const auto in_use = error_of([&] { tcp.listen(std::string(door->address())); });
    EXPECT_EQ(in_use.code(), errc::bad_input);
    EXPECT_EQ(in_use.system_error(), EADDRINUSE);
    EXPECT_THAT(in_use.what(), HasSubstr("choose another port"));

    const auto foreign = error_of([&] { tcp.listen("192.0.2.1:0"); });
    EXPECT_EQ(foreign.code(), errc::bad_input);
    EXPECT_EQ(foreign.system_error(), EADDRNOTAVAIL);
}

TEST(tcp, says_that_a_low_port_needs_a_right) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root, to give the right up";
    ASSERT_EQ(::seteuid(65534), 0);
    transport tcp(quick());
    std::unique_ptr<listener> door;
    std::string text;
    try {
        door = tcp.listen("127.0.0.1:1");
    } catch (const error& e) {
        text = e.what();
    }
    ASSERT_EQ(::seteuid(0), 0);
    if (door) GTEST_SKIP() << "here everyone may listen on low ports";
    EXPECT_THAT(text, HasSubstr("choose a port from 1024 on"));
}

TEST(tcp, can_listen_again_at_once_where_it_just_was) {
    transport tcp(quick());
    auto door = tcp.listen("127.0.0.1");
    const auto address = std::string(door->address());
    auto here = tcp.connect(address);
    door->accept().reset();  // this side closes first, and so remembers the connection
    here.reset();
    door.reset();
    EXPECT_EQ(tcp.listen(address)->address(), address);
}

TEST(tcp, runs_out_of_descriptors_and_recovers) {
    transport tcp(quick());
    const auto door = tcp.listen("127.0.0.1");
    const auto waiting = plain_connect(door->address());
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit low = before;
    low.rlim_cur = static_cast<rlim_t>(*open_descriptors().rbegin() + 1);
    std::vector<unique_fd> holes;  // below the highest
    for (int fd; (fd = ::fcntl(0, F_DUPFD_CLOEXEC, 0)) >= 0 && static_cast<rlim_t>(fd) < low.rlim_cur;)
        holes.emplace_back(fd);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    const auto none = error_of([&] { door->accept(); });
    low.rlim_cur += 1;  // for the event, but not for the socket
    ::setrlimit(RLIMIT_NOFILE, &low);
    const auto one = error_of([&] { door->accept(); });
    const auto away = error_of([&] { tcp.connect(std::string(door->address())); });
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(none.code(), errc::exhausted);
    EXPECT_EQ(one.code(), errc::exhausted);
    EXPECT_EQ(away.code(), errc::exhausted);
    EXPECT_TRUE(door->accept()) << "the peer that waited was lost";
}

TEST(tcp, sets_sockets_up) {
    auto chosen = quick();
    chosen.keepalive = 30s;
    transport tcp(chosen);
    const auto before = open_descriptors();
    const auto pair = connect_pair(tcp);
    int sockets = 0;
    for (const int fd : open_descriptors()) {
        if (before.contains(fd)) continue;
        EXPECT_TRUE(::fcntl(fd, F_GETFD) & FD_CLOEXEC) << fd;
        int value = 0;
        socklen_t length = sizeof value;
        if (::getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length) != 0) continue;
        ++sockets;
        EXPECT_EQ(value, 1);
        EXPECT_TRUE(::fcntl(fd, F_GETFL) & O_NONBLOCK);
        ::getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &length);
        EXPECT_EQ(value, 1);
        ::getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &value, &length);
        EXPECT_EQ(value, 30);
    }
    EXPECT_EQ(sockets, 2);
}

// ---- Carrying bytes ----

TEST(tcp, writes_more_pieces_than_one_call_takes) {
    transport tcp(quick());
    const auto pair = connect_pair(tcp);
    const auto bytes = pattern(300'000);
    std::vector<const_bytes> pieces;
    for (std::size_t at = 0, n = 0; at < bytes.size(); ++n) {
        const auto size = std::min(n % 97, bytes.size() - at);  // some are empty
        pieces.push_back(const_bytes(bytes).subspan(at, size));
        at += size;
    }
    ASSERT_GT(pieces.size(), 1024u);
    auto got = std::async(std::launch::async, [&] { return read_to_end(*pair.there); });
    pair.here->write_all(pieces);
    pair.here->shutdown_write();
    EXPECT_EQ(got.get(), bytes);
}

TEST(tcp, writes_nothing_at_all) {
    transport tcp(quick());
    const auto pair = connect_pair(tcp);
    pair.here->write_all(std::span<const const_bytes>());
    const std::vector<const_bytes> empty(3000);
    pair.here->write_all(empty);
    pair.here->shutdown_write();
    EXPECT_TRUE(read_to_end(*pair.there).empty());
}

TEST(tcp, tells_an_abrupt_close_from_an_end) {
    transport tcp(quick());
    const auto door = tcp.listen("127.0.0.1");
    auto peer = plain_connect(door->address());
    const auto here = door->accept();
    const linger at_once{1, 0};
    ASSERT_EQ(::setsockopt(peer.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    peer.reset();
    std::byte byte{};
    const auto failure = error_of([&] { here->read_some({&byte, 1}); });
    EXPECT_EQ(failure.code(), errc::disconnected);
    EXPECT_THAT(failure.what(), StartsWith("the peer closed the connection abruptly ("));
}

TEST(tcp, write_to_a_peer_that_left_fails_without_a_signal) {
    transport tcp(quick());
    auto pair = connect_pair(tcp);
    pair.there.reset();
    const auto bytes = pattern(1 << 20);
    const auto failure = error_of([&] {
        for (;;) pair.here->write_all(bytes);
    });
    EXPECT_EQ(failure.code(), errc::disconnected);
}

TEST(tcp, a_write_that_was_cut_short_is_final_but_reading_goes_on) {
    auto chosen = quick();
    chosen.send_buffer = chosen.receive_buffer = 4096;
    transport tcp(chosen);
    const auto pair = connect_pair(tcp);
    const auto bytes = pattern(8 << 20);
    pair.here->set_write_timeout(100ms);
    EXPECT_EQ(error_of([&] { pair.here->write_all(bytes); }).code(), errc::timed_out);
    EXPECT_EQ(error_of([&] { pair.here->write_all(bytes); }).code(), errc::disconnected);
    pair.there->write_all(as_bytes("still here"));
    std::byte buffer[10];
    EXPECT_EQ(pair.here->read_some(buffer), 10u);
}

TEST(tcp, a_write_that_moved_nothing_can_be_repeated) {
    auto chosen = quick();
    chosen.send_buffer = chosen.receive_buffer = 128 * 1024;
    transport tcp(chosen);
    const auto pair = connect_pair(tcp);
    pair.here->set_write_timeout(50ms);
    const auto byte = pattern(1);
    std::size_t sent = 0;
    const auto failure = error_of([&] {
        for (;; ++sent) pair.here->write_all(byte);
    });
    ASSERT_EQ(failure.code(), errc::timed_out);
    auto got = std::async(std::launch::async, [&] { return read_to_end(*pair.there).size(); });
    pair.here->set_write_timeout(5s);
    pair.here->write_all(byte);
    pair.here->shutdown_write();
    EXPECT_EQ(got.get(), sent + 1);
}

TEST(tcp, a_slow_reader_is_no_timeout_while_bytes_move) {
    auto chosen = quick();
    chosen.send_buffer = chosen.receive_buffer = 16 * 1024;
    transport tcp(chosen);
    const auto pair = connect_pair(tcp);
    const auto bytes = pattern(400'000);
    pair.here->set_write_timeout(400ms);
    auto reader = std::async(std::launch::async, [&] {
        std::vector<std::byte> buffer(16 * 1024);
        std::size_t total = 0;
        while (const auto got = pair.there->read_some(buffer)) {
            total += got;
            std::this_thread::sleep_for(30ms);
        }
        return total;
    });
    const auto begun = std::chrono::steady_clock::now();
    pair.here->write_all(bytes);
    pair.here->shutdown_write();
    EXPECT_EQ(reader.get(), bytes.size());
    EXPECT_GT(std::chrono::steady_clock::now() - begun, 500ms) << "too fast to prove anything";
}

TEST(tcp, signals_do_not_disturb) {
    struct sigaction nothing {};
    struct sigaction before {};
    nothing.sa_handler = [](int) {};  // and no SA_RESTART
    ASSERT_EQ(::sigaction(SIGUSR1, &nothing, &before), 0);
    transport tcp(quick());
    const auto pair = connect_pair(tcp);
    std::atomic<bool> ended{false};
    pthread_t reader_id{};
    std::promise<void> started;
    std::thread reader([&] {
        reader_id = ::pthread_self();
        started.set_value();
        pair.here->set_read_timeout(300ms);
        std::byte byte{};
        const auto begun = std::chrono::steady_clock::now();
        EXPECT_EQ(error_of([&] { pair.here->read_some({&byte, 1}); }).code(), errc::timed_out);
        const auto took = std::chrono::steady_clock::now() - begun;
        EXPECT_GE(took, 300ms);
        EXPECT_LT(took, 2s) << "each signal began the wait anew";
        ended = true;
    });
    started.get_future().wait();
    while (!ended) {
        ::pthread_kill(reader_id, SIGUSR1);
        std::this_thread::sleep_for(10ms);
    }
    reader.join();
    ::sigaction(SIGUSR1, &before, nullptr);
}

TEST(tcp, keeps_no_descriptors) {
    transport tcp(quick());
    const auto before = open_descriptors();
    for (int i = 0; i < 20; ++i) {
        const auto pair = connect_pair(tcp);
        error_of([&] { tcp.connect("127.0.0.1:1"); });
    }
    EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace wherry::tcp
