// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/retry.hpp"

#include <algorithm>

namespace wherry {

namespace {

constexpr std::chrono::milliseconds first_wait{1'000};
constexpr std::chrono::milliseconds longest_wait{60'000};

}  // namespace

std::optional<next_attempt> retry_schedule::after_failure(progress made) {
    if (made == progress::some) used_ = 0;
    if (used_ == attempts_) return std::nullopt;
    ++used_;
    auto wait = first_wait;
    for (unsigned i = 1; i < used_ && wait < longest_wait; ++i) wait *= 2;
    wait = std::min(wait, longest_wait);
    const auto shortened =
        wait - std::chrono::milliseconds(static_cast<std::int64_t>(random_() * static_cast<double>(wait.count()) / 2));
    return next_attempt{used_, attempts_, shortened};
}

}  // namespace wherry
