// SPDX-License-Identifier: BSD-2-Clause
#include "tcp_transport.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <poll.h>

#include <vector>

#include "connect_race.hpp"
#include "endpoint.hpp"
#include "socket_connection.hpp"
#include "socket_setup.hpp"
#include "wherry/text.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::tcp {

namespace {

[[noreturn]] void fail_connect(const endpoint& where, int code, const options& chosen) {
    const auto who = printable(to_string(where));
    const auto why = system_text(code);
    switch (code) {
        case ECONNREFUSED:
            throw error(
                errc::disconnected,
                fmt::format("nothing listens at {} ({}); start the receiver there, or check the port", who, why), code);
        case ETIMEDOUT:
            throw error(
                errc::timed_out,
                fmt::format("{} did not answer within {}; check the address, and that no firewall is in between", who,
                            shown(chosen.connect_timeout)),
                code);
        case ECANCELED: throw error(errc::cancelled, fmt::format("connecting to {} was stopped", who));
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
            throw error(errc::exhausted, fmt::format("no descriptor or memory is left to connect to {} ({})", who, why),
                        code);
        case EACCES:
        case EPERM:
            throw error(errc::disconnected, fmt::format("this system does not permit to connect to {} ({})", who, why),
                        code);
        default:
            throw error(errc::disconnected,
                        fmt::format("{} cannot be reached ({}); check the address and the network", who, why), code);
    }
}

// accept(2) lists these.
bool concerns_one_peer(int code) noexcept {
    switch (code) {
        case ECONNABORTED:
        case EPROTO:
        case ENOPROTOOPT:
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENONET:
        case EPERM: return true;
        default: return false;
    }
}

class tcp_listener final : public listener {
public:
    tcp_listener(unique_fd socket, const options& chosen)
        : socket_(std::move(socket)), options_(chosen), address_(to_string(local_address(socket_.get()))) {}

    std::unique_ptr<connection> accept() override {
        // Made first: when descriptors run out, the peer stays in the queue instead of being dropped.
        auto stop = std::make_unique<stop_signal>();
        socket_address peer;
        auto socket = accept_next(socket_.get(), stop_, address_, concerns_one_peer, {peer.raw(), &peer.length});
        tune(socket.get(), options_);
        return std::make_unique<socket_connection>(std::move(socket), std::move(stop), to_string(peer),
                                                   options_.record_bytes);
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
    const auto why = system_text(code);
    switch (code) {
        case EADDRINUSE:
            throw error(
                errc::bad_input,
                fmt::format("cannot listen at {} ({}); choose another port, or stop the program that has it", who, why),
                code);
        case EACCES:
        case EPERM:
            throw error(errc::bad_input,
                        fmt::format("cannot listen at {} ({}); choose a port from 1024 on, or run with the right to it",
                                    who, why),
                        code);
        case EADDRNOTAVAIL:
            throw error(
                errc::bad_input,
                fmt::format("cannot listen at {} ({}); choose an address of this machine, or none for all", who, why),
                code);
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case ENOBUFS:
            throw error(errc::exhausted, fmt::format("no descriptor or memory is left to listen at {} ({})", who, why),
                        code);
        default: throw error(errc::io, fmt::format("cannot listen at {} ({})", who, why), code);
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
        throw error(errc::bad_input, fmt::format("the address '{}' has no host to connect to", printable(address)));
    if (where.port == 0)
        throw error(errc::bad_input, fmt::format("the address '{}' needs a port other than 0", printable(address)));

    if (connect_stop_.raised()) fail_connect(where, ECANCELED, options_);
    const auto until = deadline_after(options_.connect_timeout);
    auto stop = std::make_unique<stop_signal>();
    connect_race race(with_interfaces(where, look_up(where, find_, connect_stop_, until, options_.connect_timeout)),
                      options_, connect_stop_);
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
    const auto addresses = where.host.empty() ? wildcard(where.port) : with_interfaces(where, resolve(where));
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
