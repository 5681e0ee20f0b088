#include "tcp_transport.hpp"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <vector>

#include "endpoint.hpp"
#include "socket_connection.hpp"
#include "wherry/text.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::tcp {

namespace {

using namespace std::chrono_literals;

// How long an address may keep quiet before the next one of the same name is tried beside it (RFC 8305, section 5).
constexpr auto next_attempt_after = 250ms;

void set_option(int socket, int level, int name, int value) noexcept {
    // These only tune; a connection without them is better than none.
    ::setsockopt(socket, level, name, &value, sizeof value);
}

void set_buffers(int socket, const options& chosen) noexcept {
    if (chosen.send_buffer != 0) set_option(socket, SOL_SOCKET, SO_SNDBUF, static_cast<int>(chosen.send_buffer));
    if (chosen.receive_buffer != 0) set_option(socket, SOL_SOCKET, SO_RCVBUF, static_cast<int>(chosen.receive_buffer));
}

void tune(int socket, const options& chosen) noexcept {
    // Records are written whole, so Nagle's algorithm could only hold back the last one.
    set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    if (chosen.keepalive == 0ms) return;
    constexpr int probes = 4;
    const auto idle =
        std::max<int>(1, static_cast<int>(std::chrono::ceil<std::chrono::seconds>(chosen.keepalive).count()));
    set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, std::min(idle, 32767));
    set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, std::clamp(idle / (2 * probes), 1, 32767));
    set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, probes);
}

unique_fd open_socket(int family) {
    return unique_fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
}

socket_address local_address(int socket) noexcept {
    socket_address address;
    ::getsockname(socket, address.raw(), &address.length);
    return address;
}

// Of several failures the one that tells a person most: an answer, even a no, says more than silence.
int telling(int code) noexcept {
    switch (code) {
        case ECONNREFUSED: return 4;
        case EACCES:
        case EPERM: return 3;
        case ETIMEDOUT: return 2;
        case EAFNOSUPPORT:
        case EADDRNOTAVAIL: return 0;
        default: return 1;
    }
}

[[noreturn]] void fail_connect(const endpoint& where, int code, const options& chosen) {
    const auto who = printable(to_string(where));
    const auto why = " (" + system_text(code) + ")";
    switch (code) {
        case ECONNREFUSED:
            throw error(errc::disconnected,
                        "nothing listens at " + who + why + "; start the receiver there, or check the port", code);
        case ETIMEDOUT:
            throw error(errc::timed_out,
                        who + " did not answer within " + shown(chosen.connect_timeout) +
                            "; check the address, and that no firewall is in between",
                        code);
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS: throw error(errc::exhausted, "no descriptor or memory is left to connect to " + who + why, code);
        case EACCES:
        case EPERM: throw error(errc::disconnected, "this system does not permit to connect to " + who + why, code);
        default:
            throw error(errc::disconnected, who + " cannot be reached" + why + "; check the address and the network",
                        code);
    }
}

// Races to the addresses of one host: the next one starts when those before have failed, or have been quiet for a
// while; the first to answer wins.
class connect_race {
public:
    connect_race(std::vector<socket_address> addresses, const options& chosen)
        : addresses_(std::move(addresses)), options_(chosen) {}

    // The connected socket; one that is not open when all failed, and then failure() says why.
    unique_fd run(const deadline& until) {
        for (;;) {
            if (auto socket = start_next(); socket.is_open()) return socket;
            if (pending_.empty() && next_ == addresses_.size()) return {};
            if (auto socket = wait(until); socket.is_open()) return socket;
            if (until && std::chrono::steady_clock::now() >= *until) {
                note(ETIMEDOUT);
                return {};
            }
        }
    }

    int failure() const noexcept { return failure_; }

private:
    // Goes on until one is under way; returns one that was connected at once.
    unique_fd start_next() {
        for (bool started = false; !started && next_ < addresses_.size();) {
            const auto& address = addresses_[next_++];
            auto socket = open_socket(address.family());
            if (!socket.is_open()) {
                note(errno);
                continue;
            }
            set_buffers(socket.get(), options_);
            // Not repeated upon EINTR: the attempt goes on by itself, and poll tells its end.
            if (::connect(socket.get(), address.raw(), address.length) == 0) {
                if (usable(socket.get())) return socket;
            } else if (errno == EINPROGRESS || errno == EINTR) {
                pending_.push_back(std::move(socket));
                started = true;
            } else {
                note(errno);
            }
        }
        return {};
    }

    unique_fd wait(const deadline& until) {
        std::vector<pollfd> watched;
        for (const auto& socket : pending_) watched.push_back({socket.get(), POLLOUT, 0});
        auto limit = until;
        if (next_ < addresses_.size()) {
            const auto step = std::chrono::steady_clock::now() + next_attempt_after;
            limit = until ? std::min(*until, step) : step;
        }
        if (pending_.empty()) return {};
        const int ready = uninterrupted([&] { return ::poll(watched.data(), watched.size(), poll_timeout(limit)); });
        if (ready < 0) {
            note(errno);
            pending_.clear();
            return {};
        }
        for (std::size_t i = watched.size(); i-- > 0;) {
            if (watched[i].revents == 0) continue;
            auto socket = std::move(pending_[i]);
            pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
            int code = 0;
            socklen_t length = sizeof code;
            if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &code, &length) != 0) code = errno;
            if (code != 0)
                note(code);
            else if (usable(socket.get()))
                return socket;
        }
        return {};
    }

    // A port of this machine that nobody listens on may connect to itself, when the system happens to choose that very
    // port for this end.
    bool usable(int socket) {
        socket_address peer;
        if (::getpeername(socket, peer.raw(), &peer.length) != 0) {
            note(errno);
            return false;
        }
        if (to_string(local_address(socket)) != to_string(peer)) return true;
        note(ECONNREFUSED);
        return false;
    }

    void note(int code) noexcept {
        if (failure_ == 0 || telling(code) > telling(failure_)) failure_ = code;
    }

    std::vector<socket_address> addresses_;
    const options& options_;
    std::size_t next_ = 0;
    std::vector<unique_fd> pending_;
    int failure_ = 0;
};

class tcp_listener final : public listener {
public:
    tcp_listener(unique_fd socket, const options& chosen)
        : socket_(std::move(socket)), options_(chosen), address_(to_string(local_address(socket_.get()))) {}

    std::unique_ptr<connection> accept() override {
        // Made first: when descriptors run out, the peer stays in the queue instead of being dropped.
        auto stop = std::make_unique<stop_signal>();
        for (;;) {
            if (stop_.raised()) throw error(errc::cancelled, "listening at " + address_ + " was stopped");
            socket_address peer;
            unique_fd socket(uninterrupted(
                [&] { return ::accept4(socket_.get(), peer.raw(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC); }));
            if (socket.is_open()) {
                tune(socket.get(), options_);
                return std::make_unique<socket_connection>(std::move(socket), std::move(stop), to_string(peer),
                                                           options_.record_bytes);
            }
            switch (const int code = errno) {
                case EAGAIN:
#if EWOULDBLOCK != EAGAIN
                case EWOULDBLOCK:
#endif
                    wait_for(socket_.get(), POLLIN, stop_, std::nullopt);
                    break;
                // Trouble of the one connection that was next (accept(2) lists these); it has left the queue.
                case ECONNABORTED:
                case EPROTO:
                case ENOPROTOOPT:
                case ENETDOWN:
                case ENETUNREACH:
                case EHOSTDOWN:
                case EHOSTUNREACH:
                case ENONET:
                case EPERM: break;
                case EMFILE:
                case ENFILE:
                case ENOMEM:
                case ENOBUFS:
                    throw error(errc::exhausted,
                                "no descriptor or memory is left for another connection (" + system_text(code) + ")",
                                code);
                default: throw error(errc::io, "cannot accept at " + address_ + " (" + system_text(code) + ")", code);
            }
        }
    }

    std::string_view address() const noexcept override { return address_; }
    void abort() noexcept override { stop_.raise(); }

private:
    unique_fd socket_;
    stop_signal stop_;
    options options_;
    std::string address_;
};

// Every address of the machine; the first serves both families.
std::vector<socket_address> wildcard(std::uint16_t port) {
    std::vector<socket_address> both(2);
    auto& v6 = *reinterpret_cast<sockaddr_in6*>(&both[0].storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    both[0].length = sizeof v6;
    auto& v4 = *reinterpret_cast<sockaddr_in*>(&both[1].storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    both[1].length = sizeof v4;
    return both;
}

[[noreturn]] void fail_listen(const endpoint& where, int code) {
    const auto who = printable(to_string(where));
    const auto why = " (" + system_text(code) + ")";
    switch (code) {
        case EADDRINUSE:
            throw error(errc::bad_input,
                        "cannot listen at " + who + why + "; choose another port, or stop the program that has it",
                        code);
        case EACCES:
        case EPERM:
            throw error(errc::bad_input,
                        "cannot listen at " + who + why + "; choose a port from 1024 on, or run with the right to it",
                        code);
        case EADDRNOTAVAIL:
            throw error(errc::bad_input,
                        "cannot listen at " + who + why + "; choose an address of this machine, or none for all", code);
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS: throw error(errc::exhausted, "no descriptor or memory is left to listen at " + who + why, code);
        default: throw error(errc::io, "cannot listen at " + who + why, code);
    }
}

// The listening socket; not open, with errno set, if that failed.
unique_fd listen_at(const socket_address& address, const options& chosen) {
    auto socket = open_socket(address.family());
    if (!socket.is_open()) return {};
    // Else a restart has to wait until the connections of the last run are forgotten.
    set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (address.family() == AF_INET6) set_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
    set_buffers(socket.get(), chosen);  // accepted sockets inherit them
    if (::bind(socket.get(), address.raw(), address.length) != 0) return {};
    if (::listen(socket.get(), SOMAXCONN) != 0) return {};
    return socket;
}

}  // namespace

std::unique_ptr<connection> transport::connect(const std::string& address) {
    const auto where = parse_endpoint(address, options_.port);
    if (where.host.empty())
        throw error(errc::bad_input, "the address '" + printable(address) + "' has no host to connect to");
    if (where.port == 0)
        throw error(errc::bad_input, "the address '" + printable(address) + "' needs a port other than 0");

    const auto until = deadline_after(options_.connect_timeout);
    auto stop = std::make_unique<stop_signal>();
    connect_race race(resolve(where), options_);
    auto socket = race.run(until);
    if (!socket.is_open()) fail_connect(where, race.failure(), options_);
    tune(socket.get(), options_);
    socket_address peer;
    if (::getpeername(socket.get(), peer.raw(), &peer.length) != 0) fail_connect(where, errno, options_);
    return std::make_unique<socket_connection>(std::move(socket), std::move(stop), to_string(peer),
                                               options_.record_bytes);
}

std::unique_ptr<listener> transport::listen(const std::string& address) {
    const auto where = parse_endpoint(address, options_.port);
    const auto addresses = where.host.empty() ? wildcard(where.port) : resolve(where);
    int failure = 0;
    for (const auto& candidate : addresses) {
        auto socket = listen_at(candidate, options_);
        if (socket.is_open()) return std::make_unique<tcp_listener>(std::move(socket), options_);
        // Without IPv6 the next is IPv4, and its failure is the one that counts.
        if (failure == 0 || failure == EAFNOSUPPORT || failure == EADDRNOTAVAIL) failure = errno;
        // The next address would not be what was meant if another program has the port here.
        if (failure == EADDRINUSE) break;
    }
    fail_listen(where, failure);
}

}  // namespace wherry::tcp
