// SPDX-License-Identifier: BSD-2-Clause
// What frames and records cost without a cipher: fields to bytes and back, and a stream of records taken apart.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "frame.hpp"
#include "record.hpp"
#include "wherry/limits.hpp"

namespace wherry {
namespace {

constexpr std::size_t kib = 1024;

// Leaves every record as it is.
class bare_session final : public cipher_session {
public:
    void finish_handshake(stream&) override {}
    std::size_t overhead() const noexcept override { return 0; }
    void seal(mutable_bytes, std::size_t) override {}
    mutable_bytes open(mutable_bytes record) override { return record; }
    const identity& peer() const noexcept override { return nobody_; }
    std::string_view describe() const noexcept override { return "bare"; }

private:
    identity nobody_;
};

// Says the same bytes for ever, in reads as large as they are asked for.
class endless_connection final : public connection {
public:
    explicit endless_connection(std::vector<std::byte> cycle) : cycle_(std::move(cycle)) {}
    using connection::write_all;

    std::size_t read_some(mutable_bytes into) override {
        const auto count = std::min(into.size(), cycle_.size() - at_);
        std::memcpy(into.data(), cycle_.data() + at_, count);
        at_ = (at_ + count) % cycle_.size();
        return count;
    }
    void write_all(std::span<const const_bytes>) override {}
    void shutdown_write() override {}
    void set_read_timeout(std::chrono::milliseconds) noexcept override {}
    void set_write_timeout(std::chrono::milliseconds) noexcept override {}
    void abort() noexcept override {}
    std::string_view peer_address() const noexcept override { return "endless"; }
    std::size_t record_bytes() const noexcept override { return 256 * kib; }

private:
    const std::vector<std::byte> cycle_;
    std::size_t at_ = 0;
};

offer_frame some_offer() {
    offer_frame content;
    content.what.name = "measurements/2024/series-17/skull.stl";
    content.what.size = 123'456'789;
    content.what.mode = 0644;
    content.what.mtime = file_time{1'700'000'000, 123'456'789};
    return content;
}

void encode_offer(benchmark::State& state) {
    const auto content = some_offer();
    for (auto _ : state) benchmark::DoNotOptimize(encode(content));
    state.SetItemsProcessed(state.iterations());
}

void decode_offer(benchmark::State& state) {
    const auto payload = encode(some_offer());
    for (auto _ : state) benchmark::DoNotOptimize(wherry::decode_offer(payload));
    state.SetItemsProcessed(state.iterations());
}

void decode_result(benchmark::State& state) {
    const auto payload = encode(result_frame{std::nullopt, "", std::vector<std::byte>(64)});
    for (auto _ : state) benchmark::DoNotOptimize(wherry::decode_result(payload));
    state.SetItemsProcessed(state.iterations());
}

// Records of the size that TCP has, full of DATA frames of one size: filled in place, as a sender does.
void fill_records(benchmark::State& state) {
    const auto payload_bytes = static_cast<std::size_t>(state.range(0));
    bare_session bare;
    record_buffer record(256 * kib, 0);
    std::int64_t frames = 0;
    for (auto _ : state) {
        while (record.fits(payload_bytes)) {
            record.commit_data(1, payload_bytes);
            ++frames;
        }
        benchmark::DoNotOptimize(record.seal(bare).data());
    }
    state.SetItemsProcessed(frames);
}

// The same records off a link, their frames taken one by one. Includes copying the bytes off the link, as a read does.
void take_records_apart(benchmark::State& state) {
    const auto payload_bytes = static_cast<std::size_t>(state.range(0));
    bare_session bare;
    record_buffer record(256 * kib, 0);
    while (record.fits(payload_bytes)) record.commit_data(1, payload_bytes);
    const auto wire = record.seal(bare);
    endless_connection link({wire.begin(), wire.end()});
    record_reader records(link, bare);
    std::int64_t bytes = 0, frames = 0;
    for (auto _ : state) {
        const auto plain = records.next();
        byte_reader in(*plain, "a record");
        while (in.remaining() > 0) {
            benchmark::DoNotOptimize(take_frame(in).payload.data());
            ++frames;
        }
        bytes += static_cast<std::int64_t>(plain->size());
    }
    state.SetBytesProcessed(bytes);
    state.SetItemsProcessed(frames);
}

// Records of one small frame each, many in one read: what answers to ten thousand small files look like.
void small_records(benchmark::State& state) {
    bare_session bare;
    record_buffer record(limits::min_record_bytes, 0);
    std::vector<std::byte> wire;
    for (std::uint32_t id = 1; id <= 2000; id += 2) {
        record.append(frame_type::result, 0, id, encode(result_frame{}));
        const auto sealed = record.seal(bare);
        wire.insert(wire.end(), sealed.begin(), sealed.end());
    }
    endless_connection link(std::move(wire));
    record_reader records(link, bare);
    for (auto _ : state) benchmark::DoNotOptimize(records.next()->data());
    state.SetItemsProcessed(state.iterations());
}

// What bench/compare takes the others relative to: copying what a record of TCP holds.
void reference_copy(benchmark::State& state) {
    std::vector<std::byte> from(256 * kib, std::byte{1}), to(256 * kib);
    for (auto _ : state) {
        std::memcpy(to.data(), from.data(), from.size());
        benchmark::DoNotOptimize(to.data());
        benchmark::ClobberMemory();
    }
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(from.size()));
}

BENCHMARK(reference_copy)->Name("reference/copy");
BENCHMARK(encode_offer);
BENCHMARK(decode_offer);
BENCHMARK(decode_result);
BENCHMARK(fill_records)->Arg(64)->Arg(4 * kib)->Arg(64 * kib);
BENCHMARK(take_records_apart)->Arg(64)->Arg(4 * kib)->Arg(64 * kib)->Arg(256 * kib - 14);
BENCHMARK(small_records);

}  // namespace
}  // namespace wherry
