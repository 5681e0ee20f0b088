// SPDX-License-Identifier: BSD-2-Clause
#include "content_encoder.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "wherry/limits.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

constexpr int usual_level = 3;
// Whole content smaller than this is hardly worth a header of zstd's.
constexpr std::uint64_t least_content_bytes = 256;
// A smaller piece, with more to come, says little on how the content shrinks.
constexpr std::size_t least_on_trial = 4096;
// Less room than this in a record is left over rather than begun with.
constexpr std::size_t least_compressed_bytes = 64;
// Leaves a margin for what zstd holds back: a block, of 128 KiB at most, or two.
constexpr std::uint64_t most_expanding_to = limits::max_expanded_record_bytes / 2;
static_assert(compressor::most_on_trial * 4 < most_expanding_to);

}  // namespace

content_encoder::content_encoder(compression how, const link_writer& writer, record_buffer& record,
                                 std::function<void()> flush)
    : how_(how), writer_(writer), record_(record), flush_(std::move(flush)), policy_(record.record_bytes()) {}

compression_kind content_encoder::offered_for(const offer& what) const noexcept {
    const std::uint64_t least = how_ == compression::zstd ? 1 : least_content_bytes;
    if (how_ == compression::none || what.size.value_or(least) < least) return compression_kind::none;
    return compression_kind::zstd;
}

void content_encoder::begin(const offer& what, std::uint64_t position) {
    is_off_ = offered_for(what) == compression_kind::none;
    left_.reset();
    if (what.size) left_ = *what.size - std::min(*what.size, position);
    policy_.begin_content();
    if (compressor_.is_open()) compressor_.forget();
}

bool content_encoder::leaves_alone() {
    if (is_off_) return true;
    if (how_ == compression::zstd) return false;
    const auto now = writer_.traffic();
    policy_.wrote(now.bytes - seen_.bytes, now.blocked - seen_.blocked);
    seen_ = now;
    return !policy_.wants_compressed() && !policy_.wants_trial() && !compressor_.is_open();
}

void content_encoder::left_alone(std::size_t bytes) noexcept {
    if (left_) *left_ -= std::min<std::uint64_t>(*left_, bytes);
    policy_.left_alone(bytes);
}

mutable_bytes content_encoder::room() {
    // What is only tried, and likely goes as it is, is read into the record, if enough of it has room there.
    if (how_ == compression::automatic && !policy_.wants_compressed() && !compressor_.is_open()) {
        const auto left = left_.value_or(compressor::most_on_trial);
        const auto enough = static_cast<std::size_t>(std::clamp<std::uint64_t>(left, 1, compressor::most_on_trial));
        if (record_.fits(enough)) return record_.data_room().first(enough);
    }
    return piece();
}

mutable_bytes content_encoder::piece() {
    if (!piece_) piece_ = std::make_unique_for_overwrite<std::byte[]>(compressor::most_on_trial);
    return {piece_.get(), compressor::most_on_trial};
}

bool content_encoder::should_compress(const_bytes piece, more next) {
    if (how_ == compression::zstd) return true;
    if (policy_.wants_compressed() || !policy_.wants_trial()) return policy_.wants_compressed();
    if (piece.size() < least_on_trial && next != more::no) {
        policy_.cannot_try();
    } else {
        const auto begin = clock::now();
        const auto size = compressor_.size_on_trial(piece, compression_policy::fast_level);
        policy_.tried(piece.size(), size, clock::now() - begin);
        if (!policy_.wants_compressed()) compressor_.rest();
    }
    return policy_.wants_compressed();
}

std::uint64_t content_encoder::put(transfer_id id, const_bytes read, more next) {
    std::uint64_t made = 0;
    auto piece = read;
    // What follows may be of another kind, which an open zstd frame goes on with until the policy has had its say.
    const int level = how_ == compression::zstd ? usual_level : policy_.level();
    if (compressor_.is_open() &&
        ((how_ != compression::zstd && !policy_.wants_compressed()) || compressor_.level() != level))
        made += end(id);
    const bool is_in_record = read.data() != piece_.get();
    if (!should_compress(piece, next)) {
        if (is_in_record) record_.commit_data(id, piece.size());
        made += is_in_record ? piece.size() : put_plain(id, piece);
        left_alone(piece.size());
        return made;
    }
    if (is_in_record) {
        std::memcpy(this->piece().data(), read.data(), read.size());
        piece = this->piece().first(read.size());
    }
    if (!compressor_.is_open()) compressor_.begin(how_ == compression::zstd ? usual_level : policy_.level(), left_);
    const auto how = next == more::no                      ? compressor::until::ended
                     : next == more::may_be_long_in_coming ? compressor::until::flushed
                                                           : compressor::until::it_suits;
    if (left_) *left_ -= std::min<std::uint64_t>(*left_, piece.size());
    return made + put_compressed(id, piece, how);
}

std::uint64_t content_encoder::end(transfer_id id) {
    return compressor_.is_open() ? put_compressed(id, {}, compressor::until::ended) : 0;
}

std::uint64_t content_encoder::put_compressed(transfer_id id, const_bytes piece, compressor::until how) {
    std::uint64_t made = 0;
    clock::duration took{0};
    const auto all = piece.size();
    for (bool is_done = false; !is_done;) {
        if (record_.empty()) expanding_to_ = 0;
        if (!record_.fits(least_compressed_bytes) || expanding_to_ >= most_expanding_to) {
            flush_();
            expanding_to_ = 0;
        }
        const auto begin = clock::now();
        const auto step = compressor_.compress(piece, record_.data_room(), how);
        took += clock::now() - begin;
        if (step.made > 0) record_.commit(frame_type::compressed_data, frame_flag::critical, id, step.made);
        made += step.made;
        expanding_to_ += step.taken;
        piece = piece.subspan(step.taken);
        is_done = step.is_done;
    }
    policy_.compressed(all, made, took);
    return made;
}

std::uint64_t content_encoder::put_plain(transfer_id id, const_bytes piece) {
    const auto all = piece.size();
    while (!piece.empty()) {
        if (!record_.fits(least_compressed_bytes)) flush_();
        const auto room = record_.data_room();
        const auto count = std::min(room.size(), piece.size());
        std::memcpy(room.data(), piece.data(), count);
        record_.commit(frame_type::data, 0, id, count);
        piece = piece.subspan(count);
    }
    return all;
}

}  // namespace wherry
