// SPDX-License-Identifier: BSD-2-Clause
// What compressing and expanding content costs, by level and kind of content; and a trial, which --compress auto makes
// before it compresses, and every few megabytes of what does not shrink. Bytes/s are of the content as it is.
#include <benchmark/benchmark.h>
#include <zstd.h>

#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "compression.hpp"

namespace wherry {
namespace {

constexpr std::size_t piece_bytes = compressor::most_on_trial;
constexpr std::size_t content_bytes = 64 * piece_bytes;

enum kind : std::int64_t { text, noise, zeros };

const char* name_of(std::int64_t what) { return what == text ? "text STL" : what == noise ? "noise" : "zeros"; }

std::string content_of(std::int64_t what) {
    std::mt19937_64 random(1);
    std::string content;
    content.reserve(content_bytes + 1024);
    if (what == text) {
        // Vertices of neighbours, as a text STL has them.
        std::vector<char> line(512);
        for (double at = 0; content.size() < content_bytes; at += 0.01) {
            const auto wobble = static_cast<double>(random() % 1000) * 1e-6;
            content += "  facet normal 7.940017e-03 5.967648e-05 -9.999685e-01\n    outer loop\n";
            for (int corner = 0; corner < 3; ++corner) {
                const auto length = std::snprintf(line.data(), line.size(), "      vertex %.6e %.6e %.6e\n",
                                                  at + corner, at * 0.3 + wobble, 40 - at);
                content.append(line.data(), static_cast<std::size_t>(length));
            }
            content += "    endloop\n  endfacet\n";
        }
    } else {
        while (content.size() < content_bytes) {
            const auto word = what == noise ? random() : 0;
            content.append(reinterpret_cast<const char*>(&word), sizeof word);
        }
    }
    content.resize(content_bytes);
    return content;
}

// One zstd frame, in payloads as a record of 256 KiB would hold them. Returns what they come to.
template <class Take>
std::size_t compress(compressor& with, int level, std::string_view content, std::vector<std::byte>& payload,
                     Take&& take) {
    std::size_t made = 0;
    with.begin(level, content.size());
    while (with.is_open()) {
        auto piece = content.substr(0, piece_bytes);
        content.remove_prefix(piece.size());
        const auto until = content.empty() ? compressor::until::ended : compressor::until::it_suits;
        for (bool is_done = false; !is_done;) {
            const auto step = with.compress(as_bytes(piece), payload, until);
            piece.remove_prefix(step.taken);
            is_done = step.is_done;
            made += step.made;
            if (step.made > 0) take(const_bytes(payload).first(step.made));
        }
    }
    return made;
}

// What bench/compare takes the others relative to: the library alone, all in one call.
void reference_compress(benchmark::State& state) {
    const auto content = content_of(text);
    std::string made(ZSTD_compressBound(content.size()), '\0');
    const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(), &ZSTD_freeCCtx);
    for (auto _ : state)
        benchmark::DoNotOptimize(
            ZSTD_compressCCtx(context.get(), made.data(), made.size(), content.data(), content.size(), 1));
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * content.size()));
}
BENCHMARK(reference_compress)->Name("reference/compress");

void pack_content(benchmark::State& state) {
    const auto content = content_of(state.range(0));
    compressor with;
    std::vector<std::byte> payload(256 << 10);
    std::size_t made = 0;
    for (auto _ : state) made = compress(with, static_cast<int>(state.range(1)), content, payload, [](const_bytes) {});
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * content.size()));
    state.SetLabel(name_of(state.range(0)) + std::string(", ") +
                   std::to_string(100 * static_cast<double>(made) / static_cast<double>(content.size())) + " % left");
}
BENCHMARK(pack_content)->ArgNames({"kind", "level"})->ArgsProduct({{text, noise, zeros}, {1, 3, 6}});

void try_piece(benchmark::State& state) {
    const auto content = content_of(state.range(0)).substr(0, piece_bytes);
    compressor with;
    for (auto _ : state) benchmark::DoNotOptimize(with.size_on_trial(as_bytes(content), 1));
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * content.size()));
    state.SetLabel(name_of(state.range(0)));
}
BENCHMARK(try_piece)->ArgName("kind")->Arg(text)->Arg(noise);

void expand_content(benchmark::State& state) {
    compressor with;
    std::vector<std::byte> payload(256 << 10), room(128 << 10);
    std::vector<std::vector<std::byte>> payloads;
    compress(with, 1, content_of(state.range(0)), payload,
             [&](const_bytes made) { payloads.emplace_back(made.begin(), made.end()); });
    decompressor back;
    std::size_t expanded = 0;
    for (auto _ : state)
        for (const auto& one : payloads)
            back.decompress(one, room, [&](const_bytes piece) { expanded += piece.size(); });
    state.SetBytesProcessed(static_cast<std::int64_t>(expanded));
    state.SetLabel(name_of(state.range(0)));
}
BENCHMARK(expand_content)->ArgName("kind")->Arg(text)->Arg(noise)->Arg(zeros);

}  // namespace
}  // namespace wherry
