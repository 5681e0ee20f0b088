// SPDX-License-Identifier: BSD-2-Clause
#include "compression_policy.hpp"

#include <algorithm>

namespace wherry {

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

// Content that keeps more than this of its size is left alone; once it is compressed, it may be a little worse.
constexpr double worst_ratio = 0.9, worst_ratio_to_go_on = 0.95;
// What it must win over what it costs, to begin with it and to go on.
constexpr double begin_factor = 2, go_on_factor = 1.25;
// The thorough level costs some five to ten times as much, to win a tenth: for content that waits that much longer than
// it takes to compress, to begin with it and to go on.
constexpr double begin_thorough_factor = 30, go_on_thorough_factor = 15;

// How much content is left alone before it is tried again: it may have changed.
constexpr std::uint64_t trial_interval = 4 * mib;
// Over how much the compressor is looked at.
constexpr std::uint64_t stretch_bytes = mib;
// Over how much content the link is; a wait that is long for as much counts at once. Of a shared machine that stands
// still for some milliseconds this makes nothing.
constexpr std::uint64_t window_bytes = 4 * mib;

// What buffers on the way might swallow of content as it is, before the link counts as fast.
constexpr std::uint64_t trusted_at_once = 8 * mib;
// Compressed: after this much that went at once the link is measured with content as it is.
constexpr std::uint64_t compressed_at_once = 2 * mib;
// A link that was slow once, and is not seen so any more, is measured again after so much content; after twice as much
// each time that it was slow indeed.
constexpr std::uint64_t first_measure = 32 * mib, last_measure = 512 * mib;

// A link that likes records as small as this is Bluetooth or slower: 1 MB/s until it shows otherwise.
constexpr std::size_t slow_link_record_bytes = std::size_t{32} << 10;
constexpr double slow_link_cost = 1000;
// Of a compressor that was not seen yet.
constexpr double usual_compression_cost = 2;

// Samples smaller than this measure how the compressor starts rather than how it runs.
constexpr std::size_t least_timed_bytes = std::size_t{16} << 10;

double each(compression_policy::duration took, std::uint64_t bytes) noexcept {
    return static_cast<double>(took.count()) / static_cast<double>(bytes);
}

double share(std::uint64_t part, std::uint64_t whole) noexcept {
    return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

compression_policy::compression_policy(std::size_t record_bytes) noexcept : measure_after_(first_measure) {
    if (record_bytes <= slow_link_record_bytes) link_cost_ = slow_link_cost;
}

void compression_policy::begin_content() noexcept {
    ratio_.reset();
    is_compressed_ = false;
    since_trial_ = 0;
    stretch_in_ = stretch_out_ = 0;
    stretch_took_ = duration(0);
}

bool compression_policy::wants_trial() const noexcept {
    if (is_compressed_ || is_measuring_ || is_link_fast()) return false;
    const bool would_shrink = ratio_ && *ratio_ <= worst_ratio;
    return !ratio_ || since_trial_ >= trial_interval || (has_news_ && would_shrink);
}

void compression_policy::tried(std::size_t in, std::size_t out, duration took) noexcept {
    if (in == 0) return;
    ratio_ = share(out, in);
    // What does not shrink is passed over ten times as fast, and says nothing of what does.
    if (*ratio_ <= worst_ratio && (in >= least_timed_bytes || !compression_cost_)) compression_cost_ = each(took, in);
    since_trial_ = 0;
    has_news_ = false;
    is_compressed_ = *ratio_ <= worst_ratio && (!link_cost_ || is_worth_it(begin_factor));
    if (is_compressed_) {
        at_once_ = compressed_since_ = 0;
        begin_window();
    }
    choose_level();
}

void compression_policy::left_alone(std::size_t bytes) noexcept {
    since_trial_ += bytes;
    window_content_ += bytes;
}

void compression_policy::compressed(std::size_t in, std::size_t out, duration took) noexcept {
    window_content_ += in;
    stretch_in_ += in;
    stretch_out_ += out;
    stretch_took_ += took;
    compressed_since_ += in;
    if (stretch_in_ < stretch_bytes) return;
    ratio_ = share(stretch_out_, stretch_in_);
    if (level_ == fast_level) compression_cost_ = each(stretch_took_, stretch_in_);
    stretch_in_ = stretch_out_ = 0;
    stretch_took_ = duration(0);
    if (*ratio_ > worst_ratio_to_go_on || (link_cost_ && !is_worth_it(go_on_factor)))
        leave_alone();
    else if (link_cost_ && compressed_since_ >= measure_after_)
        measure_link();
    choose_level();
}

void compression_policy::wrote(std::uint64_t bytes, duration blocked) noexcept {
    window_written_ += bytes;
    window_blocked_ += blocked;
    if (window_written_ == 0 || window_content_ == 0) return;
    const auto cost = each(window_blocked_, window_written_);
    // Of content as it is: what the link costs would have to be worth it. Compressed: see above.
    const double factor = is_compressed_ ? 1 : begin_factor;
    const bool has_waited =
        each(window_blocked_, std::max(window_content_, window_bytes)) > factor * compression_cost();
    if (has_waited)
        link_is_slow(cost);
    else if (window_content_ >= window_bytes)
        link_took_it_at_once(window_written_, cost);
    else
        return;
    begin_window();
    choose_level();
}

void compression_policy::link_is_slow(double cost) noexcept {
    link_cost_ = link_cost_ ? (*link_cost_ + cost) / 2 : cost;
    if (is_measuring_) measure_after_ = std::min(2 * measure_after_, last_measure);
    is_measuring_ = false;
    has_news_ = true;
    at_once_ = compressed_since_ = 0;
}

void compression_policy::link_took_it_at_once(std::uint64_t bytes, double cost) noexcept {
    at_once_ += bytes;
    if (is_compressed_) {
        // Compressed content hardly fills a link that is not slow, and tells no more of it.
        if (!link_cost_ && at_once_ >= compressed_at_once) measure_link();
    } else if (at_once_ >= trusted_at_once) {
        link_cost_ = cost;
        is_measuring_ = false;
        measure_after_ = first_measure;
    }
}

void compression_policy::measure_link() noexcept {
    link_cost_.reset();
    is_measuring_ = true;
    leave_alone();
}

void compression_policy::leave_alone() noexcept {
    is_compressed_ = false;
    since_trial_ = at_once_ = compressed_since_ = 0;
    begin_window();
}

void compression_policy::begin_window() noexcept {
    window_content_ = window_written_ = 0;
    window_blocked_ = duration(0);
}

void compression_policy::choose_level() noexcept {
    const double factor = level_ == thorough_level ? go_on_thorough_factor : begin_thorough_factor;
    const bool has_time = link_cost_ && ratio_ && *ratio_ * *link_cost_ > factor * compression_cost();
    level_ = has_time ? thorough_level : fast_level;
}

double compression_policy::compression_cost() const noexcept {
    return compression_cost_.value_or(usual_compression_cost);
}

// What a byte less on the link saves, against what it costs to get there.
bool compression_policy::is_worth_it(double cost_factor) const noexcept {
    return (1 - ratio_.value_or(worst_ratio)) * *link_cost_ > cost_factor * compression_cost();
}

// So fast that not even content that vanished would be worth it.
bool compression_policy::is_link_fast() const noexcept {
    return link_cost_ && *link_cost_ <= begin_factor * compression_cost();
}

}  // namespace wherry
