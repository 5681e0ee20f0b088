// SPDX-License-Identifier: BSD-2-Clause
// Receiving everything that a peer sends: receive_all beside the loops that it replaces. A thread writes into one end
// of a pair of sockets as fast as it can; bytes are content, time is from the first write to the last byte being held.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "socket_connection.hpp"
#include "wherry/receive_all.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t write_bytes = std::size_t{256} << 10;

// A peer that sends `bytes` and closes.
class peer {
public:
    explicit peer(std::size_t bytes) {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
        here_ = unique_fd(ends[0]);
        writer_ = std::thread([there = unique_fd(ends[1]), bytes]() mutable {
            static const std::vector<std::byte> content(write_bytes, std::byte{0x5A});
            for (std::size_t left = bytes; left > 0;) {
                const auto written = uninterrupted(
                    [&] { return ::send(there.get(), content.data(), std::min(left, write_bytes), MSG_NOSIGNAL); });
                if (written < 0) return;
                left -= static_cast<std::size_t>(written);
            }
        });
    }
    ~peer() { writer_.join(); }

    int socket() const noexcept { return here_.get(); }
    unique_fd take_socket() noexcept { return std::move(here_); }

private:
    unique_fd here_;
    std::thread writer_;
};

std::size_t read_some(int socket, void* into, std::size_t capacity) {
    const auto got = uninterrupted([&] { return ::read(socket, into, capacity); });
    if (got < 0) std::abort();
    return static_cast<std::size_t>(got);
}

socket_connection connection_to(peer& with) {
    auto socket = with.take_socket();
    // As the transports have theirs.
    if (::fcntl(socket.get(), F_SETFL, O_NONBLOCK) != 0) std::abort();
    return socket_connection(std::move(socket), std::make_unique<stop_signal>(), "peer", write_bytes);
}

// Runs receive(peer, bytes), which says how many bytes it got, for the size of the benchmark.
template <class Receive>
void run(benchmark::State& state, Receive&& receive) {
    const auto bytes = static_cast<std::size_t>(state.range(0));
    for (auto _ : state) {
        peer from(bytes);
        if (receive(from, bytes) != bytes) state.SkipWithError("not everything came");
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void receive_all_into_buffer(benchmark::State& state) {
    run(state, [](peer& from, std::size_t) {
        auto link = connection_to(from);
        growing_buffer into;
        receive_all(link, {}, into);
        benchmark::DoNotOptimize(into.bytes().data());
        return into.size();
    });
}

void receive_all_in_pieces(benchmark::State& state) {
    run(state, [](peer& from, std::size_t) {
        auto link = connection_to(from);
        std::size_t bytes = 0;
        receive_all(link, {}, [&](const_bytes piece) {
            benchmark::DoNotOptimize(piece.data());
            bytes += piece.size();
        });
        return bytes;
    });
}

// Small reads, each joined to what is there in a new string: every byte is copied again for every read behind it.
void joined_strings(benchmark::State& state) {
    run(state, [](peer& from, std::size_t) {
        std::array<char, 1024> piece;
        std::string all;
        while (const auto got = read_some(from.socket(), piece.data(), piece.size()))
            all = all + std::string(piece.data(), got);
        benchmark::DoNotOptimize(all.data());
        return all.size();
    });
}

// The same, but appended, which copies each byte a few times at most: what is left is the cost of small reads.
void appended_string(benchmark::State& state) {
    run(state, [](peer& from, std::size_t) {
        std::array<char, 1024> piece;
        std::string all;
        while (const auto got = read_some(from.socket(), piece.data(), piece.size())) all.append(piece.data(), got);
        benchmark::DoNotOptimize(all.data());
        return all.size();
    });
}

// What cannot be known: the right size from the start, and nothing to grow.
void buffer_of_the_right_size(benchmark::State& state) {
    run(state, [](peer& from, std::size_t bytes) {
        const auto all = std::make_unique_for_overwrite<std::byte[]>(bytes + 1);
        std::size_t have = 0;
        while (const auto got = read_some(from.socket(), all.get() + have, bytes + 1 - have)) have += got;
        benchmark::DoNotOptimize(all.get());
        return have;
    });
}

void every_size(benchmark::internal::Benchmark* bench) {
    bench->Arg(mib)->Arg(16 * mib)->Arg(256 * mib)->UseRealTime()->Unit(benchmark::kMillisecond);
}

// What bench/compare takes the others relative to.
BENCHMARK(buffer_of_the_right_size)
    ->Name("reference/read")
    ->Arg(16 * mib)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

BENCHMARK(receive_all_into_buffer)->Apply(every_size);
BENCHMARK(receive_all_in_pieces)->Apply(every_size);
BENCHMARK(buffer_of_the_right_size)->Apply(every_size);
BENCHMARK(appended_string)->Apply(every_size);
// Quadratic: 256 MiB would take hours.
BENCHMARK(joined_strings)->Arg(mib)->Arg(4 * mib)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace wherry
