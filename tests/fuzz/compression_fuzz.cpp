// SPDX-License-Identifier: BSD-2-Clause
// Compressed content. The first byte chooses: what a peer makes of it is expanded, in payloads each of which has its
// length before it; or the input is content, which comes back as it was, in pieces as long as the second byte says.
#include <algorithm>
#include <string>
#include <vector>

#include "compression.hpp"
#include "fuzz.hpp"

using namespace wherry;

namespace {

constexpr std::size_t enough = std::size_t{16} << 20;

void expand(byte_reader in) {
    decompressor with;
    std::vector<std::byte> room(64 + 256 * std::size_t{in.integer<std::uint8_t>()});
    std::size_t expanded = 0;
    while (in.remaining() >= 2) {
        const auto length = in.integer<std::uint16_t>();
        with.decompress(in.bytes(std::min<std::size_t>(length, in.remaining())), room, [&](const_bytes piece) {
            fuzz::require(!piece.empty() && piece.data() == room.data() && piece.size() <= room.size());
            expanded += piece.size();
            if (expanded > enough) throw error(errc::exhausted, "enough");
        });
    }
}

void there_and_back(byte_reader in) {
    const auto pieces = 1 + std::size_t{in.integer<std::uint8_t>()};
    const auto how = in.integer<std::uint8_t>();
    const auto content = in.rest();
    compressor compressing;
    compressing.begin(how % 4 + 1, how & 4 ? std::optional<std::uint64_t>(content.size()) : std::nullopt);
    std::vector<std::byte> payload(1 + 4 * pieces), room(1 + 16 * pieces), back;
    for (auto left = content; compressing.is_open();) {
        auto piece = left.first(std::min(left.size(), 8 * pieces));
        left = left.subspan(piece.size());
        const auto until = left.empty() ? compressor::until::ended
                           : how & 8    ? compressor::until::flushed
                                        : compressor::until::it_suits;
        for (bool is_done = false; !is_done;) {
            const auto step = compressing.compress(piece, payload, until);
            fuzz::require(step.taken <= piece.size() && step.made <= payload.size());
            piece = piece.subspan(step.taken);
            is_done = step.is_done;
            back.insert(back.end(), payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(step.made));
        }
        if (until != compressor::until::it_suits && !back.empty()) {
            // All that was given so far can be had.
            std::vector<std::byte> got;
            decompressor afresh;
            afresh.decompress(back, room, [&](const_bytes one) { got.insert(got.end(), one.begin(), one.end()); });
            const auto given = content.size() - left.size();
            fuzz::require(got.size() == given && std::equal(got.begin(), got.end(), content.begin()));
            fuzz::require(afresh.is_open() == compressing.is_open());
        }
        if (back.size() > 20'000) break;  // it only becomes slower
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    byte_reader in(fuzz::bytes_of(data, size), "the input");
    if (size < 3) return 0;
    const bool is_content = (in.integer<std::uint8_t>() & 1) != 0;
    if (is_content) {
        there_and_back(in);
        return 0;
    }
    try {
        expand(in);
    } catch (const error& e) {
        fuzz::require(e.code() == errc::protocol || e.code() == errc::exhausted);
    }
    return 0;
}
