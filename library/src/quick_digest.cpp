// SPDX-License-Identifier: BSD-2-Clause
#include "quick_digest.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "wherry/error.hpp"

namespace wherry {

namespace {

__extension__ using wide = unsigned __int128;

std::uint64_t multiplied(std::uint64_t a, std::uint64_t b) noexcept {
    const auto product = static_cast<wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

quick_digest::quick_digest() {
    if (::getrandom(key_.data(), sizeof key_, 0) != static_cast<ssize_t>(sizeof key_))
        throw error(errc::internal, "the system gives no random bytes", errno);
    for (auto& one : key_) one |= 1;
    lanes_ = key_;
}

quick_digest quick_digest::begun_anew() const noexcept {
    auto anew = *this;
    anew.lanes_ = key_;
    anew.count_ = 0;
    return anew;
}

void quick_digest::mix(const std::byte* bytes) noexcept {
    block words;
    std::memcpy(words.data(), bytes, sizeof words);
    for (std::size_t i = 0; i < words.size(); ++i) lanes_[i] = multiplied(lanes_[i] ^ words[i], key_[i]) + words[i];
}

void quick_digest::update(const_bytes bytes) noexcept {
    const auto waiting = static_cast<std::size_t>(count_ % sizeof(block));
    count_ += bytes.size();
    if (waiting != 0) {
        const auto taken = std::min(bytes.size(), sizeof(block) - waiting);
        std::memcpy(tail_.data() + waiting, bytes.data(), taken);
        if (waiting + taken < sizeof(block)) return;
        mix(tail_.data());
        bytes = bytes.subspan(taken);
    }
    for (; bytes.size() >= sizeof(block); bytes = bytes.subspan(sizeof(block))) mix(bytes.data());
    if (!bytes.empty()) std::memcpy(tail_.data(), bytes.data(), bytes.size());
}

std::array<std::uint64_t, 4> quick_digest::value() const noexcept {
    auto last = *this;
    const auto waiting = static_cast<std::size_t>(count_ % sizeof(block));
    std::fill(last.tail_.begin() + static_cast<std::ptrdiff_t>(waiting), last.tail_.end(), std::byte{});
    if (waiting != 0) last.mix(last.tail_.data());
    for (auto& lane : last.lanes_) lane = multiplied(lane ^ count_, key_[0]);
    return last.lanes_;
}

}  // namespace wherry
