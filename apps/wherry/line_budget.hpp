// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

namespace wherry::app {

// Bounds the lines of one sort that strangers can cause: so many in a minute. What is left out is counted, and told
// with the next line.
class line_budget {
public:
    using clock = std::chrono::steady_clock;

    explicit line_budget(std::size_t lines_a_minute) noexcept : most_(lines_a_minute) {}

    // None if the line is to be left out; otherwise how many were since the last one that was not.
    std::optional<std::size_t> take(clock::time_point now) noexcept {
        if (now - begun_ >= std::chrono::minutes(1)) {
            begun_ = now;
            told_ = 0;
        }
        if (told_ == most_) {
            ++left_out_;
            return std::nullopt;
        }
        ++told_;
        const auto before = left_out_;
        left_out_ = 0;
        return before;
    }

private:
    const std::size_t most_;
    clock::time_point begun_{};
    std::size_t told_ = 0, left_out_ = 0;
};

}  // namespace wherry::app
