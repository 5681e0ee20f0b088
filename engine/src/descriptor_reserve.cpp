// SPDX-License-Identifier: BSD-2-Clause
#include "descriptor_reserve.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace wherry {

namespace {

// The most that a caller of take_few() opens: a file, its folder, and one folder on the path to it.
constexpr std::size_t few = 3;
// take_few() checks again after a sixteenth of the free descriptors, because others open descriptors without it.
constexpr std::ptrdiff_t shares_of_free = 16;
constexpr std::size_t unlimited = std::size_t{1} << 30;

std::size_t limit_now() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return unlimited;
    return static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, unlimited));
}

}  // namespace

descriptor_reserve::descriptor_reserve() : descriptor_reserve(limit_now()) {}

descriptor_reserve::descriptor_reserve(std::size_t limit)
    : limit_(limit), reserve_(std::clamp<std::size_t>(limit / 8, 32, 256)) {}

std::size_t descriptor_reserve::next_number() const noexcept {
    const mutex_lock lock(looking_);
    if (!probe_.is_open()) probe_ = unique_fd(::eventfd(0, EFD_CLOEXEC));
    const unique_fd next(probe_.is_open() ? ::fcntl(probe_.get(), F_DUPFD_CLOEXEC, 0) : -1);
    return next.is_open() ? static_cast<std::size_t>(next.get()) : limit_;
}

std::ptrdiff_t descriptor_reserve::left() const noexcept {
    const auto used = next_number() + reserve_ + few * being_taken_;
    return static_cast<std::ptrdiff_t>(limit_) - static_cast<std::ptrdiff_t>(used);
}

std::size_t descriptor_reserve::free_beyond_reserve() const noexcept {
    return static_cast<std::size_t>(std::max<std::ptrdiff_t>(left(), 0));
}

bool descriptor_reserve::is_half_free() const noexcept { return next_number() + reserve_ / 2 < limit_; }

std::optional<descriptor_reserve::taking> descriptor_reserve::take_few() const noexcept {
    taking mine(*this);
    if (--unchecked_ >= 0) return mine;
    const auto free = left();
    if (free < 0) return std::nullopt;
    unchecked_ = free / shares_of_free;
    return mine;
}

bool is_out_of_descriptors(const error& e) noexcept {
    return e.code() == errc::exhausted && (e.system_error() == EMFILE || e.system_error() == ENFILE);
}

}  // namespace wherry
