// SPDX-License-Identifier: BSD-2-Clause
// A bare RFCOMM socket loop, the measure for bench/end_to_end/lab: zeros from memory over one connection, to nowhere.
//
//     rfcomm_loop receive ADDRESS         listens on that adapter; prints the channel, then takes connections for ever
//     rfcomm_loop send ADDRESS CHANNEL N  sends N bytes, waits for the answer that all came, prints the seconds it took
//
// Sockets do not block, for a blocking send of much can sleep for ever on RFCOMM.

#include <bluetooth/bluetooth.h>
#include <bluetooth/rfcomm.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr std::size_t block_bytes = 16'384;
constexpr int patience_ms = 60'000;

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "rfcomm_loop: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

void wait_for(int socket, short events) {
    pollfd watched{socket, events, 0};
    if (::poll(&watched, 1, patience_ms) != 1) fail("nothing moved");
}

int open_socket() {
    const int socket = ::socket(AF_BLUETOOTH, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, BTPROTO_RFCOMM);
    if (socket < 0) fail("no socket");
    return socket;
}

sockaddr_rc name_of(const char* address, int channel) {
    sockaddr_rc name{};
    name.rc_family = AF_BLUETOOTH;
    ::str2ba(address, &name.rc_bdaddr);
    name.rc_channel = static_cast<std::uint8_t>(channel);
    return name;
}

// Reads until `wanted` bytes came, or the end; returns how many came.
std::uint64_t read_up_to(int socket, std::uint64_t wanted) {
    std::vector<char> buffer(65'536);
    std::uint64_t got = 0;
    while (got < wanted) {
        const auto now = ::recv(socket, buffer.data(), std::min<std::uint64_t>(buffer.size(), wanted - got), 0);
        if (now > 0)
            got += static_cast<std::uint64_t>(now);
        else if (now < 0 && errno == EAGAIN)
            wait_for(socket, POLLIN);
        else
            break;
    }
    return got;
}

void write_all(int socket, const void* data, std::size_t size) {
    const auto* at = static_cast<const char*>(data);
    while (size > 0) {
        const auto now = ::send(socket, at, size, MSG_NOSIGNAL);
        if (now >= 0) {
            at += now;
            size -= static_cast<std::size_t>(now);
        } else if (errno == EAGAIN) {
            wait_for(socket, POLLOUT);
        } else {
            fail("sending");
        }
    }
}

int receive(const char* address) {
    const int door = open_socket();
    auto name = name_of(address, 0);
    if (::bind(door, reinterpret_cast<sockaddr*>(&name), sizeof name) != 0 || ::listen(door, 1) != 0) fail("listening");
    socklen_t size = sizeof name;
    ::getsockname(door, reinterpret_cast<sockaddr*>(&name), &size);
    std::printf("%d\n", name.rc_channel);
    std::fflush(stdout);
    for (;;) {
        pollfd watched{door, POLLIN, 0};
        ::poll(&watched, 1, -1);
        const int peer = ::accept4(door, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer < 0) continue;
        std::uint64_t wanted = 0;
        auto* const raw = reinterpret_cast<char*>(&wanted);
        for (std::size_t i = 0; i < sizeof wanted; ++i)
            while (::recv(peer, raw + i, 1, 0) < 0) wait_for(peer, POLLIN);
        write_all(peer, "r", 1);
        if (read_up_to(peer, wanted) == wanted) write_all(peer, "k", 1);
        read_up_to(peer, 1);  // until the sender has gone
        ::close(peer);
    }
}

int send(const char* address, int channel, std::uint64_t bytes) {
    const int socket = open_socket();
    const auto name = name_of(address, channel);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 && errno != EINPROGRESS)
        fail("connecting");
    wait_for(socket, POLLOUT);
    int code = 0;
    socklen_t size = sizeof code;
    ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size);
    if (code != 0) {
        errno = code;
        fail("connecting");
    }
    write_all(socket, &bytes, sizeof bytes);
    if (read_up_to(socket, 1) != 1) fail("no answer");

    // From here on, so that neither side's start is in it.
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<char> block(block_bytes);
    for (auto left = bytes; left > 0; left -= std::min<std::uint64_t>(left, block_bytes))
        write_all(socket, block.data(), std::min<std::uint64_t>(left, block_bytes));
    if (read_up_to(socket, 1) != 1) fail("no answer");
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    std::printf("%.6f\n", took.count());
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "receive") == 0) return receive(argv[2]);
    if (argc == 5 && std::strcmp(argv[1], "send") == 0)
        return send(argv[2], std::atoi(argv[3]), std::strtoull(argv[4], nullptr, 10));
    std::fprintf(stderr, "usage: rfcomm_loop receive ADDRESS | send ADDRESS CHANNEL BYTES\n");
    return 2;
}
