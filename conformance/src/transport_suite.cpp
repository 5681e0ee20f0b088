// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <thread>
#include <vector>

#include "link_calls.hpp"
#include "noise.hpp"
#include "observed.hpp"
#include "suites.hpp"
#include "wherry/limits.hpp"
#include "wherry/unique_fd.hpp"

// What every transport must do (core/include/wherry/plugin.h, transport.hpp), whatever its link is.
namespace wherry::conformance {

namespace {

using namespace std::chrono_literals;
using link = running_connection;

std::vector<std::byte> read_exactly(link& from, std::size_t size) {
    std::vector<std::byte> all(size);
    for (std::size_t at = 0; at < size;) {
        std::size_t got = 0;
        if (const auto failure = from.read_some(mutable_bytes(all).subspan(at), got))
            fail("after " + std::to_string(at) + " of " + std::to_string(size) + " bytes " + failure->told());
        require(got > 0, "read_some() told the end of the stream after " + std::to_string(at) + " of " +
                             std::to_string(size) + " bytes that were written");
        at += got;
    }
    return all;
}

std::vector<std::byte> read_to_end(link& from) {
    std::vector<std::byte> all, buffer(65'521);
    for (;;) {
        std::size_t got = 0;
        if (const auto failure = from.read_some(buffer, got))
            fail("after " + std::to_string(all.size()) + " bytes, instead of the end of the stream, " +
                 failure->told());
        if (got == 0) return all;
        all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(got));
    }
}

failed read_one(link& from, std::size_t& got) {
    std::byte byte{};
    return from.read_some({&byte, 1}, got);
}

void write_or_fail(link& to, const_bytes bytes) {
    if (const auto failure = to.write_all(bytes)) fail(failure->told());
}

void shut_or_fail(link& to) {
    if (const auto failure = to.shutdown_write()) fail(failure->told());
}

void require_same(const std::vector<std::byte>& got, const std::vector<std::byte>& written, const std::string& what) {
    if (got == written) return;
    const auto [at, other] = std::mismatch(got.begin(), got.end(), written.begin(), written.end());
    fail(what + " did not arrive as written: " + std::to_string(written.size()) + " bytes became " +
         std::to_string(got.size()) + ", and the first that differs is at " + std::to_string(at - got.begin()));
}

// Two ends, which a link connects.
class transport_check {
public:
    explicit transport_check(context& given) : c(given), patience(given.about.call_limit), it(instance::make(given)) {
        open_door();
    }

    context& c;
    const std::chrono::milliseconds patience;  // ends a case that would hang
    std::unique_ptr<instance> it;
    std::unique_ptr<running_listener> door;
    std::string listen_address;

    struct ends {
        std::unique_ptr<link> here, there;
    };

    ends connect() {
        auto accepting = std::async(std::launch::async, [&] {
            auto one = door->accept();
            if (!one.it) fail(one.failure->told());
            return std::move(one.it);
        });
        auto tried = conformance::connect(c, *it, door->address());
        if (!tried.it) fail("cannot reach its own listener at '" + door->address() + "': " + tried.failure->told());
        if (accepting.wait_for(patience) != std::future_status::ready)
            fail("accept() does not return though a peer has connected");
        ends both{std::move(tried.it), accepting.get()};
        for (auto* const end : {both.here.get(), both.there.get()}) {
            end->set_read_timeout(patience);
            end->set_write_timeout(patience);
        }
        return both;
    }

    // What `blocked` ends with, once something has ended it: that has to be soon.
    template <class Call>
    call_failure failure_in_time(const std::string& what, Call&& blocked) const {
        auto running = std::async(std::launch::async, std::forward<Call>(blocked));
        if (running.wait_for(patience) != std::future_status::ready) fail(what);
        const failed failure = running.get();
        require(failure.has_value(), what + ", but returned as if all were well");
        return *failure;
    }

    // Whether one direction can end before the other.
    bool closes_by_half() {
        const auto both = connect();
        shut_or_fail(*both.here);
        both.here->set_read_timeout(patience);
        static_cast<void>(read_to_end(*both.there));
        bool does = !both.there->write_all(as_bytes("x"));
        std::size_t got = 0;
        does = does && !read_one(*both.here, got) && got == 1;
        if (!does && c.is_promised("half-closes"))
            fail("is promised to close by half, but after shutdown_write() the other direction does not work");
        return does;
    }

private:
    void open_door() {
        std::vector<std::string> addresses{"127.0.0.1:0", ""};
        if (c.about.address) addresses = {*c.about.address};
        failed failure;
        for (const auto& address : addresses) {
            auto tried = listen(c, *it, address);
            if (tried.it) {
                door = std::move(tried.it);
                listen_address = address;
                return;
            }
            failure = std::move(tried.failure);
        }
        if (c.about.address) fail("cannot listen at '" + *c.about.address + "': " + failure->told());
        end_unchecked("it does not listen at its default address (" + failure->told() + "); give --address");
    }
};

// ---- Addresses ----

void a_listener_tells_where_it_can_be_reached(context& given) {
    transport_check c(given);
    const auto address = c.door->address();
    require(!address.empty(), "listener_address() is empty");
    const auto both = c.connect();
    require(c.door->address() == address, "listener_address() changes once a peer has connected");
}

void connections_tell_their_peer_and_a_record_size(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    for (auto* const end : {both.here.get(), both.there.get()}) {
        require(!end->peer_address().empty(), "peer_address() is empty");
        require(end->peer_address() == end->peer_address(), "peer_address() changes");
        const auto size = end->record_bytes();
        require(size >= limits::min_record_bytes && size <= limits::max_record_bytes,
                "record_bytes() is " + std::to_string(size) + "; the protocol has records of " +
                    std::to_string(limits::min_record_bytes) + " to " + std::to_string(limits::max_record_bytes));
    }
}

void addresses_of_the_wrong_form_are_bad_input(context& given) {
    transport_check c(given);
    for (const auto& address : given.about.bad_addresses) {
        const auto connecting = connect(given, *c.it, address);
        require(!connecting.it, "connect() took the address '" + address + "', which has the wrong form");
        require(connecting.failure->code == errc::bad_input,
                "for the address '" + address + "', which has the wrong form, " + connecting.failure->told() +
                    "; it should be bad_input");
        require(!listen(given, *c.it, address).it,
                "listen() took the address '" + address + "', which has the wrong form");
    }
    // Whatever the form: nobody is there.
    for (const auto& address : {std::string("\x01"), std::string("a b\nc"), std::string(5000, 'x'),
                                std::string("\xff\xfe"), std::string("%s%n")})
        require(!connect(given, *c.it, address).it, "connect() reached somebody at '" + address + "'");
}

void a_peer_that_does_not_listen_is_not_reached(context& given) {
    transport_check c(given);
    const auto address = c.door->address();
    c.door.reset();
    const auto failure = c.failure_in_time("connect() does not give up where nobody listens",
                                           [&] { return connect(given, *c.it, address).failure; });
    require(failure.code == errc::disconnected || failure.code == errc::timed_out,
            "where nobody listens " + failure.told() + "; it should be disconnected or timed_out");
}

void connecting_can_be_aborted(context& given) {
    if (given.transport.connect_abort == nullptr) skip("its connect cannot be aborted");
    transport_check c(given);
    const auto address = c.door->address();
    const auto both = c.connect();
    // Begun at the same time: it comes through, or is aborted, or learns before that its link carries no second one.
    auto begun = std::async(std::launch::async, [&] { return connect(given, *c.it, address).failure; });
    at_once(2, [&](std::size_t) { connect_abort(given, *c.it); });
    if (begun.wait_for(c.patience) != std::future_status::ready)
        fail("connect() does not return after connect_abort()");
    if (const failed failure = begun.get())
        require(failure->code == errc::cancelled || failure->code == errc::unsupported,
                "aborted by connect_abort() " + failure->told() + "; it should be cancelled");
    const auto failure = c.failure_in_time("connect() works after connect_abort()",
                                           [&] { return connect(given, *c.it, address).failure; });
    require(failure.code == errc::cancelled, "after connect_abort() " + failure.told() + "; it should be cancelled");
    write_or_fail(*both.here, as_bytes("x"));
    read_exactly(*both.there, 1);
}

void a_taken_address_is_refused(context& given) {
    transport_check c(given);
    require(!listen(given, *c.it, c.door->address()).it,
            "listen() took the address '" + c.door->address() + "', where another listener is");
}

void looking_for_peers_works_or_is_unsupported(context& given) {
    if (given.transport.discover == nullptr) skip("it does not look for peers");
    transport_check c(given);
    const auto found = [](void*, const wherry_discovered* peer) -> std::int32_t {
        require(peer != nullptr && peer->address != nullptr && peer->name != nullptr,
                "discover() told a peer with null pointers");
        // Without an address there is nobody it could be about.
        require(peer->address[0] != '\0' || (peer->name[0] == '\0' && peer->known == 0),
                "discover() told a peer without an address");
        return 1;
    };
    // Whatever it ends with has been looked at.
    static_cast<void>(call(
        "discover", [&](wherry_error* e) { return given.transport.discover(c.it->handle(), 50, nullptr, found, e); }));
}

// ---- Bytes ----

void bytes_arrive_whole_and_in_order(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    const auto record = both.here->record_bytes();
    const std::size_t sizes[] = {1, 2, record - 1, record, record + 1, 2 * record, 1'000'003};
    for (const auto size : sizes) {
        const auto bytes = noise(size, size);
        for (const std::size_t step : {std::size_t{997}, record - 1, record + 1, size}) {
            auto got = std::async(std::launch::async, [&] { return read_exactly(*both.there, size); });
            in_steps(bytes, step, [&](const_bytes piece) { write_or_fail(*both.here, piece); });
            require_same(got.get(), bytes, "what was written in steps of " + std::to_string(step));
        }
    }
}

void single_bytes_arrive_in_order(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    const auto bytes = noise(1000);
    auto got = std::async(std::launch::async, [&] {
        std::vector<std::byte> all;
        for (int i = 0; i < 1000; ++i) all.push_back(read_exactly(*both.there, 1)[0]);
        return all;
    });
    in_steps(bytes, 1, [&](const_bytes piece) { write_or_fail(*both.here, piece); });
    require_same(got.get(), bytes, "what was written byte by byte");
}

void a_read_gives_what_has_come_and_does_not_wait_for_more(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    write_or_fail(*both.here, as_bytes("abc"));
    std::vector<std::byte> large(100'000);
    std::string all;
    while (all.size() < 3) {
        std::size_t got = 0;
        if (const auto failure = both.there->read_some(large, got))
            fail("with 3 bytes written and room for more " + failure->told());
        require(got > 0, "read_some() told the end of a stream that has not ended");
        all += as_text(const_bytes(large).first(got));
    }
    require(all == "abc", "'abc' was written, and '" + all + "' arrived");
}

void gathered_pieces_arrive_as_one_stream(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    const auto bytes = noise(250'000);
    std::vector<const_bytes> pieces;
    for (std::size_t at = 0, n = 0; at < bytes.size(); ++n) {
        const auto size = std::min(n % 151, bytes.size() - at);  // each 151st is empty
        pieces.push_back(const_bytes(bytes).subspan(at, size));
        at += size;
    }
    auto got = std::async(std::launch::async, [&] { return read_exactly(*both.there, bytes.size()); });
    if (const auto failure = both.here->write_all(pieces)) fail(failure->told());
    require_same(got.get(), bytes, "what was written in " + std::to_string(pieces.size()) + " pieces");
}

void pieces_without_bytes_send_nothing(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    for (const std::size_t count : {0u, 1u, 20u}) {
        const std::vector<const_bytes> empty(count);
        if (const auto failure = both.here->write_all(empty))
            fail("with " + std::to_string(count) + " pieces without bytes " + failure->told());
    }
    both.there->set_read_timeout(50ms);
    std::size_t got = 0;
    const auto failure = read_one(*both.there, got);
    require(failure && failure->code == errc::timed_out, "pieces without bytes were taken for something by the peer");
}

void both_sides_write_and_read_at_once(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    const auto forth = noise(2'000'003, 1), back = noise(1'999'999, 2);
    auto here_got = std::async(std::launch::async, [&] { return read_exactly(*both.here, back.size()); });
    auto there_got = std::async(std::launch::async, [&] { return read_exactly(*both.there, forth.size()); });
    auto writing = std::async(std::launch::async, [&] {
        in_steps(back, 50'021, [&](const_bytes piece) { write_or_fail(*both.there, piece); });
    });
    in_steps(forth, 60'013, [&](const_bytes piece) { write_or_fail(*both.here, piece); });
    writing.get();
    require_same(here_got.get(), back, "what was written while the other side wrote");
    require_same(there_got.get(), forth, "what was written while the other side wrote");
}

// ---- Ends ----

void require_end_stays(link& at) {
    std::size_t got = 0;
    if (const auto failure = read_one(at, got)) fail("after the end of the stream " + failure->told());
    require(got == 0, "read_some() goes on after it told the end of the stream");
}

void an_end_of_writing_is_an_end_of_reading(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    const auto bytes = noise(300'007);
    auto got = std::async(std::launch::async, [&] { return read_to_end(*both.there); });
    write_or_fail(*both.here, bytes);
    shut_or_fail(*both.here);
    require_same(got.get(), bytes, "what was written before the end");
    require_end_stays(*both.there);
    // The other direction ends now, if it has not ended with the first.
    static_cast<void>(both.there->shutdown_write());
    require_end_stays(*both.here);
}

void the_other_way_stays_open_after_an_end(context& given) {
    transport_check c(given);
    if (!c.closes_by_half()) skip("its link cannot be closed by half");
    const auto both = c.connect();
    const auto question = noise(300'007, 1), reply = noise(200'003, 2);
    auto there = std::async(std::launch::async, [&] {
        const auto got = read_to_end(*both.there);
        write_or_fail(*both.there, reply);
        shut_or_fail(*both.there);
        return got;
    });
    write_or_fail(*both.here, question);
    shut_or_fail(*both.here);
    require_same(read_to_end(*both.here), reply, "what was written after the other side had ended");
    require_same(there.get(), question, "what was written before the end");
    require_end_stays(*both.here);
}

void what_was_written_arrives_though_the_writer_is_gone(context& given) {
    transport_check c(given);
    auto both = c.connect();
    const auto bytes = noise(20'011);
    write_or_fail(*both.here, bytes);
    shut_or_fail(*both.here);
    both.here.reset();
    require_same(read_to_end(*both.there), bytes, "what was written before the writer closed");
}

void nothing_is_written_after_the_end(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    shut_or_fail(*both.here);
    const forbidden_use knowingly;
    require(both.here->write_all(as_bytes("x")).has_value(),
            "write_all() after shutdown_write() says that all is well");
}

void a_read_ends_when_the_peer_goes(context& given) {
    transport_check c(given);
    auto both = c.connect();
    auto reading = std::async(std::launch::async, [&] {
        std::size_t got = 0;
        const auto failure = read_one(*both.here, got);
        if (failure && failure->code != errc::disconnected) fail("when the peer went " + failure->told());
        require(failure || got == 0, "read_some() read a byte that nobody wrote");
    });
    std::this_thread::sleep_for(20ms);
    both.there.reset();
    if (reading.wait_for(c.patience) != std::future_status::ready)
        fail("read_some() does not notice that the peer went");
    reading.get();
}

void writing_to_a_peer_that_went_is_disconnected(context& given) {
    transport_check c(given);
    auto both = c.connect();
    both.there.reset();
    const auto bytes = noise(100'003);
    const auto failure = c.failure_in_time("write_all() does not notice that the peer went", [&] {
        failed one;
        for (int i = 0; i < 10'000 && !one; ++i) one = both.here->write_all(bytes);
        return one;
    });
    require(failure.code == errc::disconnected, "when the peer went " + failure.told() + "; it should be disconnected");
}

// ---- Timeouts ----

void a_read_that_timed_out_can_be_repeated(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    both.here->set_read_timeout(100ms);
    std::vector<std::byte> buffer(5);
    for (int i = 0; i < 2; ++i) {
        const auto begun = std::chrono::steady_clock::now();
        const auto failure =
            c.failure_in_time("read_some() ignores its timeout: it was 100 ms, and it still waits", [&] {
                std::size_t got = 0;
                return both.here->read_some(buffer, got);
            });
        const auto took = std::chrono::steady_clock::now() - begun;
        require(failure.code == errc::timed_out, "when nothing came " + failure.told() + "; it should be timed_out");
        require(took >= 99ms, "read_some() timed out too early");
    }
    both.here->set_read_timeout(c.patience);
    write_or_fail(*both.there, as_bytes("later"));
    require(as_text(read_exactly(*both.here, 5)) == "later", "after a timeout other bytes arrived than were written");
    write_or_fail(*both.here, as_bytes("still"));
    require(as_text(read_exactly(*both.there, 5)) == "still", "after a timeout other bytes arrived than were written");
}

void a_timeout_of_zero_waits(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    both.here->set_read_timeout(10ms);
    both.here->set_read_timeout(0ms);
    auto reading = std::async(std::launch::async, [&] { return read_exactly(*both.here, 1); });
    require(reading.wait_for(200ms) == std::future_status::timeout, "read_some() with a timeout of 0 does not wait");
    write_or_fail(*both.there, as_bytes("x"));
    require(as_text(reading.get()) == "x", "another byte arrived than was written");
}

void a_write_that_nobody_reads_times_out_and_reading_goes_on(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    both.here->set_write_timeout(100ms);
    const auto bytes = noise(1 << 20);
    const auto failure = c.failure_in_time("write_all() ignores its timeout: it was 100 ms, and nobody reads", [&] {
        failed one;
        for (int i = 0; i < 1000 && !one; ++i) one = both.here->write_all(bytes);
        return one;
    });
    require(failure.code == errc::timed_out, "when nobody read " + failure.told() + "; it should be timed_out");
    write_or_fail(*both.there, as_bytes("answer"));
    require(as_text(read_exactly(*both.here, 6)) == "answer",
            "after a write timed out other bytes arrived than were written");
}

// ---- Aborting ----

void require_disconnected(const call_failure& failure) {
    require(failure.code == errc::disconnected, "after abort() " + failure.told() + "; it should be disconnected");
}

// Writes what nobody reads. Pieces far smaller than any buffer, so that while there is room one begins after the other.
class endless_writing {
public:
    explicit endless_writing(link& to) : to_(to) {}

    failed run() {
        const auto piece = noise(4096);
        for (;;) {
            ++begun_;
            if (auto failure = to_.write_all(piece)) return failure;
        }
    }
    // Returns when a write waits for room: for a while no other has begun. Or, where there is room without end, later.
    void await_full() const {
        std::size_t before = 0;
        for (int look = 0; look < 10; ++look) {
            std::this_thread::sleep_for(100ms);
            const std::size_t now = begun_;
            if (now > 0 && now == before) return;
            before = now;
        }
    }

private:
    link& to_;
    std::atomic<std::size_t> begun_{0};
};

void abort_ends_a_read_of_another_thread(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    both.here->set_read_timeout(0ms);
    auto aborting = std::async(std::launch::async, [&] {
        std::this_thread::sleep_for(50ms);
        both.here->abort();
    });
    require_disconnected(c.failure_in_time("abort() does not wake a read_some() of another thread", [&] {
        std::size_t got = 0;
        return read_one(*both.here, got);
    }));
    aborting.get();
}

void abort_ends_a_write_of_another_thread(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    both.here->set_write_timeout(0ms);
    endless_writing writing(*both.here);
    auto aborting = std::async(std::launch::async, [&] {
        writing.await_full();
        both.here->abort();
    });
    require_disconnected(
        c.failure_in_time("abort() does not wake a write_all() of another thread", [&] { return writing.run(); }));
    aborting.get();
}

void abort_ends_reading_and_writing_at_once(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    both.here->set_read_timeout(0ms);
    both.here->set_write_timeout(0ms);
    endless_writing writing(*both.here);
    auto aborting = std::async(std::launch::async, [&] {
        writing.await_full();
        std::thread second([&] { both.here->abort(); });
        both.here->abort();
        second.join();
    });
    auto reading = std::async(std::launch::async, [&] {
        return c.failure_in_time("abort() does not wake a read_some() of another thread", [&] {
            std::size_t got = 0;
            return read_one(*both.here, got);
        });
    });
    require_disconnected(
        c.failure_in_time("abort() does not wake a write_all() of another thread", [&] { return writing.run(); }));
    require_disconnected(reading.get());
    aborting.get();
}

std::atomic<bool> is_pipe_signal_seen{false};

void a_peer_that_is_gone_raises_no_signal(context& given) {
    transport_check c(given);
    auto both = c.connect();
    struct sigaction watching {
    }, before{};
    watching.sa_handler = [](int) { is_pipe_signal_seen = true; };
    ::sigaction(SIGPIPE, &watching, &before);
    write_or_fail(*both.here, as_bytes("what nobody reads"));
    both.there.reset();
    endless_writing writing(*both.here);
    const auto failure =
        c.failure_in_time("write_all() does not fail when the peer is gone", [&] { return writing.run(); });
    ::sigaction(SIGPIPE, &before, nullptr);
    require(failure.code == errc::disconnected,
            "when the peer is gone " + failure.told() + "; it should be disconnected");
    require(
        !is_pipe_signal_seen,
        "write_all() raises SIGPIPE when the peer is gone, which ends a program that does not ignore it; sockets have "
        "MSG_NOSIGNAL against that");
}

void after_abort_every_call_fails(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    write_or_fail(*both.there, as_bytes("waiting to be read"));
    both.here->abort();
    both.here->abort();
    for (int i = 0; i < 2; ++i) {
        std::size_t got = 0;
        const auto reading = read_one(*both.here, got);
        require(reading.has_value(), "read_some() works after abort()");
        require_disconnected(*reading);
        const auto writing = both.here->write_all(as_bytes("x"));
        require(writing.has_value(), "write_all() works after abort()");
        require_disconnected(*writing);
        const auto shutting = both.here->shutdown_write();
        require(shutting.has_value(), "shutdown_write() works after abort()");
        require_disconnected(*shutting);
    }
    require(!both.here->peer_address().empty(), "peer_address() is empty after abort()");
}

void the_peer_learns_of_an_abort(context& given) {
    transport_check c(given);
    auto both = c.connect();
    both.here->abort();
    both.here.reset();
    std::size_t got = 0;
    if (const auto failure = read_one(*both.there, got))
        require(failure->code == errc::disconnected, "when the peer had aborted " + failure->told());
    else
        require(got == 0, "read_some() read a byte that nobody wrote");
}

void abort_ends_an_accept_of_another_thread(context& given) {
    transport_check c(given);
    auto aborting = std::async(std::launch::async, [&] {
        std::this_thread::sleep_for(50ms);
        c.door->abort();
    });
    for (int i = 0; i < 2; ++i) {
        const auto failure = c.failure_in_time("listener_abort() does not end an accept() of another thread",
                                               [&] { return c.door->accept().failure; });
        require(failure.code == errc::cancelled,
                "after listener_abort() " + failure.told() + "; it should be cancelled");
        if (i == 0) aborting.get();
        c.door->abort();
    }
    require(!c.door->address().empty(), "listener_address() is empty after listener_abort()");
}

void connections_outlive_their_listener(context& given) {
    transport_check c(given);
    const auto both = c.connect();
    c.door->abort();
    c.door.reset();
    write_or_fail(*both.here, as_bytes("hello"));
    require(as_text(read_exactly(*both.there, 5)) == "hello", "other bytes arrived than were written");
}

// ---- Many ----

void many_connections_do_not_mix(context& given) {
    transport_check c(given);
    {
        const auto first = c.connect();
        const auto second = connect(given, *c.it, c.door->address());
        if (!second.it && second.failure->code == errc::unsupported)
            skip("its link carries one connection between two ends: " + second.failure->told());
        if (second.it) c.door->accept();
    }
    const int count = given.about.connections;
    constexpr std::size_t size = 5'003;
    auto accepting = std::async(std::launch::async, [&] {
        std::vector<std::thread> echoes;
        for (int i = 0; i < count; ++i) {
            auto one = c.door->accept();
            if (!one.it) fail(one.failure->told());
            echoes.emplace_back([&, end = std::shared_ptr<link>(std::move(one.it))] {
                end->set_read_timeout(c.patience);
                const auto all = read_exactly(*end, size);
                write_or_fail(*end, all);
                shut_or_fail(*end);
            });
        }
        for (auto& echo : echoes) echo.join();
    });
    std::atomic<int> next{0};
    at_once(5, [&](std::size_t) {
        for (int i; (i = next++) < count;) {
            const auto end = connect(given, *c.it, c.door->address());
            if (!end.it) fail("with others open at the same time " + end.failure->told());
            end.it->set_read_timeout(c.patience);
            const auto bytes = noise(size, static_cast<std::uint64_t>(i));
            write_or_fail(*end.it, bytes);
            require_same(read_to_end(*end.it), bytes, "with many connections at once, what was written");
        }
    });
    accepting.get();
}

void running_out_of_descriptors_is_an_error(context& given) {
    transport_check c(given);
    for (const std::size_t spare : {0u, 1u, 2u, 3u}) {
        rlimit before{};
        ::getrlimit(RLIMIT_NOFILE, &before);
        const rlimit few{
            std::min<rlim_t>(static_cast<rlim_t>(open_descriptors().rbegin()->first) + 10, before.rlim_max),
            before.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &few);
        {
            std::vector<unique_fd> all;
            for (int fd; (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) all.emplace_back(fd);
            all.resize(all.size() - spare);
            // A connection that nobody accepts is given up at once.
            static_cast<void>(connect(given, *c.it, c.door->address()));
            static_cast<void>(listen(given, *c.it, c.listen_address));
        }
        ::setrlimit(RLIMIT_NOFILE, &before);
    }
    // With what is left of those, another door.
    c.door.reset();
    auto again = listen(given, *c.it, c.listen_address);
    if (!again.it) fail("with descriptors to spare again " + again.failure->told());
    c.door = std::move(again.it);
    const auto both = c.connect();
    write_or_fail(*both.here, as_bytes("x"));
    read_exactly(*both.there, 1);
}

void use_some(transport_check& c) {
    auto both = c.connect();
    write_or_fail(*both.here, as_bytes("x"));
    both.there->abort();
    both = {};
    for (const auto& address : c.c.about.bad_addresses) static_cast<void>(connect(c.c, *c.it, address));
    if (const auto another = listen(c.c, *c.it, c.listen_address); another.it) another.it->abort();
}

void connections_leave_no_descriptor_thread_or_process(context& given) {
    transport_check c(given);
    use_some(c);
    const leftovers before;
    for (int i = 0; i < 10; ++i) use_some(c);
    before.require_none("after 10 connections");
}

void connections_leave_no_memory(context& given) {
    transport_check c(given);
    require_no_growth("connection", [&] { use_some(c); });
}

constexpr std::array transport_cases = {
    check_case{"a_listener_tells_where_it_can_be_reached", "listener_address is what connect takes",
               a_listener_tells_where_it_can_be_reached},
    check_case{"connections_tell_their_peer_and_a_record_size", "and the protocol has records of that size",
               connections_tell_their_peer_and_a_record_size},
    check_case{"addresses_of_the_wrong_form_are_bad_input", "--bad-address names some",
               addresses_of_the_wrong_form_are_bad_input},
    check_case{"a_peer_that_does_not_listen_is_not_reached", "connect gives up, and says so",
               a_peer_that_does_not_listen_is_not_reached},
    check_case{"connecting_can_be_aborted", "now and later, and what is connected stays so", connecting_can_be_aborted},
    check_case{"a_taken_address_is_refused", "two listeners cannot be at one address", a_taken_address_is_refused},
    check_case{"looking_for_peers_works_or_is_unsupported", "discover tells peers with an address",
               looking_for_peers_works_or_is_unsupported},
    check_case{"bytes_arrive_whole_and_in_order", "of every size, written in steps of every size",
               bytes_arrive_whole_and_in_order},
    check_case{"single_bytes_arrive_in_order", "written and read one by one", single_bytes_arrive_in_order},
    check_case{"a_read_gives_what_has_come_and_does_not_wait_for_more", "though there is room for more",
               a_read_gives_what_has_come_and_does_not_wait_for_more},
    check_case{"gathered_pieces_arrive_as_one_stream", "thousands of pieces in one write_all",
               gathered_pieces_arrive_as_one_stream},
    check_case{"pieces_without_bytes_send_nothing", "none, one or many of them", pieces_without_bytes_send_nothing},
    check_case{"both_sides_write_and_read_at_once", "two million bytes each way", both_sides_write_and_read_at_once},
    check_case{"an_end_of_writing_is_an_end_of_reading", "all before it arrives, and the end stays",
               an_end_of_writing_is_an_end_of_reading},
    check_case{"the_other_way_stays_open_after_an_end", "where the link can be closed by half",
               the_other_way_stays_open_after_an_end},
    check_case{"what_was_written_arrives_though_the_writer_is_gone", "closing right after writing loses nothing",
               what_was_written_arrives_though_the_writer_is_gone},
    check_case{"nothing_is_written_after_the_end", "write_all fails after shutdown_write",
               nothing_is_written_after_the_end},
    check_case{"a_read_ends_when_the_peer_goes", "one that waits is woken", a_read_ends_when_the_peer_goes},
    check_case{"writing_to_a_peer_that_went_is_disconnected", "sooner or later",
               writing_to_a_peer_that_went_is_disconnected},
    check_case{"a_read_that_timed_out_can_be_repeated", "neither early nor much too late, and nothing is lost",
               a_read_that_timed_out_can_be_repeated},
    check_case{"a_timeout_of_zero_waits", "for ever, that is", a_timeout_of_zero_waits},
    check_case{"a_write_that_nobody_reads_times_out_and_reading_goes_on", "a peer that does not read holds nobody up",
               a_write_that_nobody_reads_times_out_and_reading_goes_on},
    check_case{"abort_ends_a_read_of_another_thread", "at once", abort_ends_a_read_of_another_thread},
    check_case{"abort_ends_a_write_of_another_thread", "at once", abort_ends_a_write_of_another_thread},
    check_case{"abort_ends_reading_and_writing_at_once", "and two threads may abort",
               abort_ends_reading_and_writing_at_once},
    check_case{"a_peer_that_is_gone_raises_no_signal", "writing to it fails, without SIGPIPE",
               a_peer_that_is_gone_raises_no_signal},
    check_case{"after_abort_every_call_fails", "though something had come", after_abort_every_call_fails},
    check_case{"the_peer_learns_of_an_abort", "its read ends", the_peer_learns_of_an_abort},
    check_case{"abort_ends_an_accept_of_another_thread", "and every later one", abort_ends_an_accept_of_another_thread},
    check_case{"connections_outlive_their_listener", "it is closed while they are used",
               connections_outlive_their_listener},
    check_case{"many_connections_do_not_mix", "as many at once as --connections says", many_connections_do_not_mix},
    check_case{"running_out_of_descriptors_is_an_error", "and it works on when there are again",
               running_out_of_descriptors_is_an_error},
    check_case{"connections_leave_no_descriptor_thread_or_process", "whether they ended well or not",
               connections_leave_no_descriptor_thread_or_process},
    check_case{"connections_leave_no_memory", "the heap does not grow with each", connections_leave_no_memory},
};

constexpr std::array transport_words = {
    described_word{"half-closes", "one direction of a connection can end before the other"},
};

}  // namespace

std::span<const check_case> transport_suite() { return transport_cases; }
std::span<const described_word> transport_promises() { return transport_words; }

}  // namespace wherry::conformance
