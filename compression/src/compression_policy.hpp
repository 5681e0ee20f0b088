// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace wherry {

// Whether compressing is worth its time: where content shrinks, and where the link is slower than the compressor. It
// knows what it is told, and never looks at a clock.
//
// A byte costs the link what it takes to get rid of it: the time that writes were blocked. A write that waits long says
// at once that the link is slow; one that does not may only have found room in some buffer, so that it takes many of
// them to say that it is fast. As long as nothing is known of the link, content that shrinks is compressed: over a slow
// link that is the larger part of what there is to win, over a fast one little time is lost before it shows.
//
// Where compressed content waits, it may wait for the link, or for a receiver that has all of it to store; who sends
// cannot tell. That it waits longer than it took to compress tells enough: then nothing is lost by compressing.
//
// Used by one thread at a time.
class compression_policy {
public:
    using duration = std::chrono::nanoseconds;

    // `record_bytes` suits the link; small records are for slow links.
    explicit compression_policy(std::size_t record_bytes) noexcept;

    // Content of another kind: nothing is known of how it shrinks.
    void begin_content() noexcept;

    // Whether the next bytes should be tried first, as to how they shrink.
    bool wants_trial() const noexcept;
    // A trial on `in` bytes took that long (at fast_level) and made them `out` bytes.
    void tried(std::size_t in, std::size_t out, duration took) noexcept;
    // There were too few bytes at a time to try on; until there are more they are compressed.
    void cannot_try() noexcept { is_compressed_ = true; }

    // Whether the next bytes are to be compressed, and how hard.
    bool wants_compressed() const noexcept { return is_compressed_; }
    static constexpr int fast_level = 1, thorough_level = 6;
    int level() const noexcept { return level_; }

    // What was done: content went as it was, or compressed.
    void left_alone(std::size_t bytes) noexcept;
    void compressed(std::size_t in, std::size_t out, duration took) noexcept;
    // The link took `bytes` of anything, for which writes were blocked that long.
    void wrote(std::uint64_t bytes, duration blocked) noexcept;

private:
    bool is_worth_it(double cost_factor) const noexcept;
    bool is_link_fast() const noexcept;
    double compression_cost() const noexcept;
    void link_is_slow(double cost) noexcept;
    void link_took_it_at_once(std::uint64_t bytes, double cost) noexcept;
    void measure_link() noexcept;
    void leave_alone() noexcept;
    void begin_window() noexcept;
    void choose_level() noexcept;

    // Of a byte, in nanoseconds.
    std::optional<double> link_cost_;
    std::optional<double> compression_cost_;  // at fast_level
    std::optional<double> ratio_;             // of this content, as it was last seen: what is left of a byte
    bool is_compressed_ = false;
    bool is_measuring_ = false;  // the link, by leaving content alone
    bool has_news_ = false;      // the link was found slow since the last trial
    int level_ = fast_level;
    std::uint64_t since_trial_ = 0;       // content left alone
    std::uint64_t at_once_ = 0;           // that the link took without waiting, since it last did or the way changed
    std::uint64_t compressed_since_ = 0;  // content compressed since the link was last seen slow
    std::uint64_t measure_after_;         // so much of that
    // Of the compressor, lately.
    std::uint64_t stretch_in_ = 0, stretch_out_ = 0;
    duration stretch_took_{0};
    // Of the link, lately: content, what it came to, and for how long that was waited.
    std::uint64_t window_content_ = 0, window_written_ = 0;
    duration window_blocked_{0};
};

}  // namespace wherry
