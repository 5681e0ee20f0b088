// SPDX-License-Identifier: BSD-2-Clause
#include "progress.hpp"

#include <fmt/format.h>

#include <utf8proc.h>

#include <algorithm>

#include "wherry/text.hpp"

namespace wherry::app {

namespace {

// Counts the columns of a character. Only marks that stand on the character before them have none: a line that is
// counted too narrow wraps.
std::size_t width_of(char32_t c) {
    const auto code = static_cast<utf8proc_int32_t>(c);
    const auto category = utf8proc_category(code);
    if (category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME) return 0;
    return static_cast<std::size_t>(std::max(1, utf8proc_charwidth(code)));
}

struct measured_character {
    std::size_t bytes;
    std::size_t columns;
};

// REQUIRES: text is not empty. Bytes that are not UTF-8 count one each.
measured_character measure_first(std::string_view text) {
    const auto [value, length] = first_character(text);
    return length == 0 ? measured_character{1, 1} : measured_character{length, width_of(value)};
}

// The end of `text` that fits, for the end of a path tells more than its beginning.
std::string shortened(std::string_view text, std::size_t columns) {
    auto width = display_width(text);
    if (width <= columns) return std::string(text);
    if (columns < 4) return {};
    while (width > columns - 3) {
        const auto first = measure_first(text);
        text.remove_prefix(first.bytes);
        width -= first.columns;
    }
    return "..." + std::string(text);
}

std::string percentage(const progress_state& state) {
    if (!state.total_bytes) return {};
    const auto done = std::min(state.bytes, *state.total_bytes);
    // 100% is said when it is done, not when it rounds to that.
    const auto hundredths = *state.total_bytes == 0 ? 100.0 : 100.0 * double(done) / double(*state.total_bytes);
    return fmt::format("{:3}%", static_cast<int>(hundredths));
}

std::string amount(const progress_state& state) {
    if (!state.total_bytes) return human_bytes(state.bytes);
    return fmt::format("{} of {}", human_bytes(state.bytes), human_bytes(*state.total_bytes));
}

std::string bar(const progress_state& state, std::size_t columns) {
    const auto inner = columns - 2;
    const auto total = double(*state.total_bytes);
    const auto share = total > 0 ? std::min(1.0, double(state.bytes) / total) : 1.0;
    const auto full = static_cast<std::size_t>(share * double(inner));
    std::string drawn = "[" + std::string(full, '=');
    if (full < inner) drawn += '>' + std::string(inner - full - 1, ' ');
    return drawn + "]";
}

}  // namespace

void rate_meter::sample(progress_clock::time_point when, std::uint64_t bytes) {
    samples_.emplace_back(when, bytes);
    // The last one from before the window stays: the window is to be full.
    while (samples_.size() > 2 && samples_[1].first <= when - window) samples_.pop_front();
}

void rate_meter::restart(progress_clock::time_point when, std::uint64_t bytes) {
    samples_.clear();
    sample(when, bytes);
}

double rate_meter::bytes_per_second() const noexcept {
    if (samples_.size() < 2) return 0;
    const auto& [first_time, first_bytes] = samples_.front();
    const auto& [last_time, last_bytes] = samples_.back();
    const auto seconds = std::chrono::duration<double>(last_time - first_time).count();
    return seconds > 0 && last_bytes > first_bytes ? double(last_bytes - first_bytes) / seconds : 0;
}

std::string human_duration(std::chrono::seconds length) {
    const auto all = std::max<std::int64_t>(0, length.count());
    if (all >= 100 * 3600) return fmt::format("{} d {} h", all / 86400, all % 86400 / 3600);
    if (all >= 3600) return fmt::format("{}:{:02}:{:02}", all / 3600, all % 3600 / 60, all % 60);
    return fmt::format("{}:{:02}", all / 60, all % 60);
}

std::optional<std::chrono::seconds> time_left(const progress_state& state) {
    if (!state.total_bytes || state.bytes_per_second < 1) return std::nullopt;
    const auto left = *state.total_bytes > state.bytes ? *state.total_bytes - state.bytes : 0;
    return std::chrono::seconds(static_cast<std::int64_t>(std::min(double(left) / state.bytes_per_second, 1e9)));
}

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty()) {
        const auto first = measure_first(text);
        text.remove_prefix(first.bytes);
        width += first.columns;
    }
    return width;
}

std::string render_progress(const progress_state& state, std::size_t columns) {
    // The last column stays free: a terminal may wrap when it is filled. So does, where there is room, what the "^C"
    // of an interruption takes.
    if (columns < 2) return {};
    const std::size_t room = columns - (columns > 20 ? 3 : 1);

    std::string share = percentage(state);
    const bool knows_share = !share.empty();
    if (!knows_share) share = human_bytes(state.bytes);
    const std::string rate = fmt::format("{}/s", human_bytes(static_cast<std::uint64_t>(state.bytes_per_second)));
    const auto left = time_left(state);
    const std::string eta = left ? fmt::format("{} left", human_duration(*left)) : std::string();
    const std::string amounts = knows_share ? amount(state) : std::string();
    const std::string count =
        state.total_items > 1 ? fmt::format("{}/{}", state.items, state.total_items) : std::string();

    // In the order of importance; each is shown if it still fits.
    std::size_t used = 0;
    const auto fits = [&](const std::string& part) {
        if (part.empty()) return false;
        const auto needed = display_width(part) + (used > 0 ? 2 : 0);
        if (used + needed > room) return false;
        used += needed;
        return true;
    };
    const bool shows_share = fits(share);
    const bool shows_rate = fits(rate);
    const bool shows_eta = fits(eta);
    constexpr std::size_t smallest_bar = 10, largest_bar = 40, smallest_name = 8;
    std::size_t bar_columns = 0;
    if (knows_share && used + 2 + smallest_bar <= room) {
        bar_columns = smallest_bar;
        used += 2 + smallest_bar;
    }
    const bool shows_count = fits(count);
    const bool shows_amounts = fits(amounts);

    std::string name;
    if (!state.current.empty() && used + 2 + smallest_name <= room) {
        // The name takes what it needs of the rest, but for a third, which the bar gets.
        const auto rest = room - used - 2;
        const auto for_name = bar_columns > 0 ? std::max(smallest_name, rest * 2 / 3) : rest;
        name = shortened(state.current, for_name);
        if (!name.empty()) used += display_width(name) + 2;
    }
    if (bar_columns > 0) {
        const auto grown = std::min(largest_bar, bar_columns + (room - used));
        bar_columns = grown;
    }

    std::string line;
    const auto put = [&line](const std::string& part) {
        if (!line.empty()) line += "  ";
        line += part;
    };
    if (!name.empty()) put(name);
    if (bar_columns > 0) put(bar(state, bar_columns));
    if (shows_share) put(share);
    if (shows_count) put(count);
    if (shows_amounts) put(amounts);
    if (shows_rate) put(rate);
    if (shows_eta) put(eta);
    return line;
}

std::string describe_progress(const progress_state& state) {
    std::string text;
    if (const auto share = percentage(state); !share.empty()) text = share.substr(share.find_first_not_of(' ')) + ", ";
    text += amount(state);
    if (state.total_items > 1) text += fmt::format(", {} of {} items", state.items, state.total_items);
    text += fmt::format(", {}/s", human_bytes(static_cast<std::uint64_t>(state.bytes_per_second)));
    if (const auto left = time_left(state)) text += fmt::format(", {} left", human_duration(*left));
    if (!state.current.empty()) text += ": " + state.current;
    return text;
}

progress_meter::progress_meter(std::chrono::milliseconds interval, std::function<void(const progress_state*)> tell)
    : interval_(interval), tell_(std::move(tell)), thread_([this](std::stop_token stopped) { run(stopped); }) {}

progress_meter::~progress_meter() { stop(); }

void progress_meter::stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    thread_.join();
}

void progress_meter::expect(std::size_t items, std::optional<std::uint64_t> bytes) {
    const mutex_lock lock(mutex_);
    knows_total_ = true;
    expected_items_ = items;
    expected_bytes_ = bytes;
}

void progress_meter::begin(transfer_key which, std::string shown_name, std::optional<std::uint64_t> size,
                           std::uint64_t already) {
    const mutex_lock lock(mutex_);
    if (active_.empty() && !knows_total_) ended_bytes_ = 0, ended_items_ = 0;
    if (active_.empty() && (!knows_total_ || !has_begun_)) rate_.restart(progress_clock::now(), moved_bytes_);
    has_begun_ = true;
    active_[which] = {std::move(shown_name), size, already, ++touch_};
    has_changed_ = true;
    if (is_idle_) changed_.notify_one();
}

void progress_meter::advance(transfer_key which, std::uint64_t position) {
    const mutex_lock lock(mutex_);
    const auto found = active_.find(which);
    if (found == active_.end()) return;
    auto& moving = found->second;
    if (position > moving.position) moved_bytes_ += position - moving.position;
    moving.position = position;
    moving.touched = ++touch_;
    has_changed_ = true;
}

bool progress_meter::end(transfer_key which) {
    const mutex_lock lock(mutex_);
    const auto found = active_.find(which);
    if (found == active_.end()) return false;
    const auto& ended = found->second;
    ended_bytes_ += ended.size.value_or(ended.position);
    ++ended_items_;
    active_.erase(found);
    has_changed_ = true;
    return true;
}

void progress_meter::withdraw(transfer_key which) {
    const mutex_lock lock(mutex_);
    active_.erase(which);
    has_changed_ = true;
}

void progress_meter::withdraw_all() {
    const mutex_lock lock(mutex_);
    active_.clear();
    rate_.restart(progress_clock::now(), moved_bytes_);
    has_changed_ = true;
}

void progress_meter::skip(std::uint64_t size) {
    const mutex_lock lock(mutex_);
    ended_bytes_ += size;
    ++ended_items_;
    has_changed_ = true;
}

progress_state progress_meter::state_now() {
    progress_state state;
    state.bytes = ended_bytes_;
    std::optional<std::uint64_t> total = ended_bytes_;
    const transfer* latest = nullptr;
    for (const auto& [key, moving] : active_) {
        state.bytes += moving.position;
        if (moving.size && total)
            *total += *moving.size;
        else
            total.reset();
        if (latest == nullptr || moving.touched > latest->touched) latest = &moving;
    }
    state.total_bytes = knows_total_ ? expected_bytes_ : total;
    state.items = ended_items_;
    state.total_items = knows_total_ ? expected_items_ : ended_items_ + active_.size();
    if (latest != nullptr) state.current = latest->name;
    rate_.sample(progress_clock::now(), moved_bytes_);
    state.bytes_per_second = rate_.bytes_per_second();
    return state;
}

void progress_meter::run(std::stop_token stopped) {
    bool was_told = false;
    auto last_told = progress_clock::now();
    mutex_lock lock(mutex_);
    while (!stopped.stop_requested()) {
        if (active_.empty()) {
            if (was_told && !knows_total_) {
                was_told = false;
                lock.unlock();
                tell_(nullptr);
                lock.lock();
                continue;
            }
            is_idle_ = true;
            changed_.wait(lock, stopped, [this]() WHERRY_REQUIRES(mutex_) { return !active_.empty(); });
            is_idle_ = false;
            continue;
        }
        // Sleeps through what changes meanwhile: that is what limits how often it tells.
        changed_.wait_for(lock, stopped, interval_, [] { return false; });
        const auto now = progress_clock::now();
        if (active_.empty() && !knows_total_) continue;
        if (!has_changed_ && now - last_told < std::chrono::seconds(1)) continue;
        has_changed_ = false;
        last_told = now;
        const auto state = state_now();
        was_told = true;
        lock.unlock();
        tell_(&state);
        lock.lock();
    }
    lock.unlock();
    if (was_told) tell_(nullptr);
}

}  // namespace wherry::app
