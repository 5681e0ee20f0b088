// SPDX-License-Identifier: BSD-2-Clause
// How fast records are sealed and opened, and how long a handshake takes. Bytes are plaintext, on one core.
#include <benchmark/benchmark.h>
#include <botan/aead.h>

#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "hybrid_pair.hpp"
#include "records.hpp"

namespace wherry::hybrid {
namespace {

using direction = record_chain::direction;

constexpr std::size_t kib = 1024;
const secret_bytes chain(32, 0x42);

std::vector<std::byte> record_for(std::size_t plain_bytes) { return std::vector<std::byte>(plain_bytes + tag_bytes); }

void count_bytes(benchmark::State& state, std::size_t plain_bytes, std::size_t records = 1) {
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(plain_bytes * records));
}

void seal(benchmark::State& state, aead algorithm, provider_choice by = provider_choice::botan) {
    const auto plain_bytes = static_cast<std::size_t>(state.range(0));
    record_chain sealer(algorithm, direction::sealing, chain, {}, by);
    auto record = record_for(plain_bytes);
    for (auto _ : state) {
        sealer.seal(record, plain_bytes);
        benchmark::DoNotOptimize(record.data());
    }
    count_bytes(state, plain_bytes);
}

double thread_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Opening destroys what it opens, so each round seals some records first, outside the time that counts.
void open(benchmark::State& state, aead algorithm, provider_choice by = provider_choice::botan) {
    constexpr std::size_t round = 8;
    const auto plain_bytes = static_cast<std::size_t>(state.range(0));
    record_chain sealer(algorithm, direction::sealing, chain, {}, by);
    record_chain opener(algorithm, direction::opening, chain, {}, by);
    std::vector records(round, record_for(plain_bytes));
    for (auto _ : state) {
        for (auto& record : records) sealer.seal(record, plain_bytes);
        const auto begin = thread_seconds();
        for (auto& record : records) benchmark::DoNotOptimize(opener.open(record).data());
        state.SetIterationTime(thread_seconds() - begin);
    }
    count_bytes(state, plain_bytes, round);
}

std::unique_ptr<Botan::AEAD_Mode> plain_sealer(const char* algorithm) {
#if BOTAN_VERSION_MAJOR >= 3
    auto mode = Botan::AEAD_Mode::create_or_throw(algorithm, Botan::Cipher_Dir::Encryption);
#else
    auto mode = Botan::AEAD_Mode::create_or_throw(algorithm, Botan::ENCRYPTION);
#endif
    mode->set_key(chain);
    return mode;
}

// What bench/compare takes the others relative to: the library alone, with nothing of wherry.
void reference_seal(benchmark::State& state) {
    const auto mode = plain_sealer("AES-256/GCM");
    constexpr std::size_t plain_bytes = 256 * kib;
    const std::uint8_t nonce[12] = {};
    secret_bytes record(plain_bytes);
    for (auto _ : state) {
        record.resize(plain_bytes);
        mode->start(nonce, sizeof nonce);
        mode->finish(record);
        benchmark::DoNotOptimize(record.data());
    }
    count_bytes(state, plain_bytes);
}
BENCHMARK(reference_seal)->Name("reference/seal");

// The library's plain way, to compare with: each record copied into a vector, finished there, and copied back.
void seal_through_vector(benchmark::State& state, const char* algorithm) {
    const auto plain_bytes = static_cast<std::size_t>(state.range(0));
    const auto mode = plain_sealer(algorithm);
    auto record = record_for(plain_bytes);
    std::uint64_t counter = 0;
    for (auto _ : state) {
        std::uint8_t nonce[12] = {};
        store_big_endian(std::as_writable_bytes(std::span(nonce)).last(8), counter++);
        secret_bytes copy(octets(const_bytes(record)), octets(const_bytes(record)) + plain_bytes);
        mode->start(nonce, sizeof nonce);
        mode->finish(copy);
        std::copy(copy.begin(), copy.end(), octets(mutable_bytes(record)));
        benchmark::DoNotOptimize(record.data());
    }
    count_bytes(state, plain_bytes);
}

// Both sides, each in a thread of its own, in memory.
void handshake(benchmark::State& state, keys::key_type type, kem which) {
    test::side_setup initiator, responder;
    initiator.identity = test::test_identity(type, 0);
    responder.identity = test::test_identity(type, 1);
    initiator.allowed.kems = {which};
    for (auto _ : state) {
        const auto result = test::run_pair(initiator, responder);
        if (!result.initiator.ok()) state.SkipWithError(result.initiator.text().c_str());
    }
}

void sizes(benchmark::internal::Benchmark* bench) {
    for (const auto size : {std::size_t{64}, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, 1024 * kib})
        bench->Arg(static_cast<std::int64_t>(size));
}

BENCHMARK_CAPTURE(seal, aes_256_gcm, aead::aes_256_gcm)->Apply(sizes);
BENCHMARK_CAPTURE(open, aes_256_gcm, aead::aes_256_gcm)->Apply(sizes)->UseManualTime();
BENCHMARK_CAPTURE(seal_through_vector, aes_256_gcm, "AES-256/GCM")->Apply(sizes);
BENCHMARK_CAPTURE(seal, chacha20_poly1305, aead::chacha20_poly1305)->Apply(sizes);
BENCHMARK_CAPTURE(open, chacha20_poly1305, aead::chacha20_poly1305)->Apply(sizes)->UseManualTime();
BENCHMARK_CAPTURE(seal_through_vector, chacha20_poly1305, "ChaCha20Poly1305")->Apply(sizes);

// The same, sealed by the other library, where this build has it.
const bool has_openssl = [] {
    if (providers().size() == 1) return false;
    for (const auto& [name, algorithm] : {std::pair("aes_256_gcm_openssl", aead::aes_256_gcm),
                                          {"chacha20_poly1305_openssl", aead::chacha20_poly1305}}) {
        const auto sealing = [which = algorithm](benchmark::State& state) {
            seal(state, which, provider_choice::openssl);
        };
        const auto opening = [which = algorithm](benchmark::State& state) {
            open(state, which, provider_choice::openssl);
        };
        benchmark::RegisterBenchmark((std::string("seal/") + name).c_str(), sealing)->Apply(sizes);
        benchmark::RegisterBenchmark((std::string("open/") + name).c_str(), opening)->Apply(sizes)->UseManualTime();
    }
    return true;
}();

BENCHMARK_CAPTURE(handshake, ed25519_x25519, keys::key_type::ed25519, kem::x25519)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(handshake, rsa3072_x25519, keys::key_type::rsa, kem::x25519)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(handshake, rsa3072_rsa_oaep, keys::key_type::rsa, kem::rsa_oaep_sha256)
    ->Unit(benchmark::kMicrosecond)
    ->UseRealTime();

}  // namespace
}  // namespace wherry::hybrid
