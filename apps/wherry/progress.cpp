#include "progress.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "wherry/text.hpp"

namespace wherry::app {

namespace {

struct range {
    char32_t first, last;
};

// East Asian wide and fullwidth, and the pictures that terminals draw as wide; coarse, for names of files.
constexpr std::array wide = {
    range{0x1100, 0x115F},   range{0x2E80, 0x303E},   range{0x3041, 0xA4CF},   range{0xAC00, 0xD7A3},
    range{0xF900, 0xFAFF},   range{0xFE30, 0xFE6F},   range{0xFF00, 0xFF60},   range{0xFFE0, 0xFFE6},
    range{0x1F300, 0x1F64F}, range{0x1F680, 0x1F6FF}, range{0x1F900, 0x1FAFF}, range{0x20000, 0x3FFFD},
};
constexpr std::array combining = {
    range{0x0300, 0x036F}, range{0x0483, 0x0489}, range{0x0591, 0x05BD}, range{0x064B, 0x065F}, range{0x0E34, 0x0E3A},
    range{0x1AB0, 0x1AFF}, range{0x1DC0, 0x1DFF}, range{0x20D0, 0x20FF}, range{0xFE00, 0xFE0F}, range{0xFE20, 0xFE2F},
};

bool is_in(std::span<const range> ranges, char32_t c) {
    return std::any_of(ranges.begin(), ranges.end(), [c](const range& r) { return c >= r.first && c <= r.last; });
}

struct character {
    char32_t value;
    std::size_t bytes;
};

// REQUIRES: text is not empty. Bytes that are not UTF-8 count one each.
character first_of(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (length == 1 || length > text.size()) return {lead, 1};
    char32_t value = lead & (0x7Fu >> length);
    for (std::size_t i = 1; i < length; ++i) value = value << 6 | (static_cast<unsigned char>(text[i]) & 0x3Fu);
    return {value, length};
}

std::size_t width_of(char32_t c) { return is_in(combining, c) ? 0 : is_in(wide, c) ? 2 : 1; }

// The end of `text` that fits, for the end of a path tells more than its beginning.
std::string shortened(std::string_view text, std::size_t columns) {
    auto width = display_width(text);
    if (width <= columns) return std::string(text);
    if (columns < 4) return {};
    while (width > columns - 3) {
        const auto [value, bytes] = first_of(text);
        text.remove_prefix(bytes);
        width -= width_of(value);
    }
    return "..." + std::string(text);
}

std::string percentage(const progress_state& state) {
    if (!state.total_bytes) return {};
    const auto done = std::min(state.bytes, *state.total_bytes);
    // 100% is said when it is done, not when it rounds to that.
    const auto hundredths = *state.total_bytes == 0 ? 100.0 : 100.0 * double(done) / double(*state.total_bytes);
    char text[8];
    std::snprintf(text, sizeof text, "%3d%%", static_cast<int>(hundredths));
    return text;
}

std::string amount(const progress_state& state) {
    if (!state.total_bytes) return human_bytes(state.bytes);
    return human_bytes(state.bytes) + " of " + human_bytes(*state.total_bytes);
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
    char text[64];
    if (all >= 100 * 3600)
        std::snprintf(text, sizeof text, "%lld d %lld h", static_cast<long long>(all / 86400),
                      static_cast<long long>(all % 86400 / 3600));
    else if (all >= 3600)
        std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", static_cast<long long>(all / 3600),
                      static_cast<long long>(all % 3600 / 60), static_cast<long long>(all % 60));
    else
        std::snprintf(text, sizeof text, "%lld:%02lld", static_cast<long long>(all / 60),
                      static_cast<long long>(all % 60));
    return text;
}

std::optional<std::chrono::seconds> time_left(const progress_state& state) {
    if (!state.total_bytes || state.bytes_per_second < 1) return std::nullopt;
    const auto left = *state.total_bytes > state.bytes ? *state.total_bytes - state.bytes : 0;
    return std::chrono::seconds(static_cast<std::int64_t>(std::min(double(left) / state.bytes_per_second, 1e9)));
}

std::size_t display_width(std::string_view text) {
    std::size_t width = 0;
    while (!text.empty()) {
        const auto [value, bytes] = first_of(text);
        text.remove_prefix(bytes);
        width += width_of(value);
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
    const std::string rate = human_bytes(static_cast<std::uint64_t>(state.bytes_per_second)) + "/s";
    const auto left = time_left(state);
    const std::string eta = left ? human_duration(*left) + " left" : std::string();
    const std::string of = knows_share ? amount(state) : std::string();
    const std::string count =
        state.total_items > 1 ? std::to_string(state.items) + "/" + std::to_string(state.total_items) : std::string();

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
    const bool shows_of = fits(of);

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
    if (shows_of) put(of);
    if (shows_rate) put(rate);
    if (shows_eta) put(eta);
    return line;
}

std::string describe_progress(const progress_state& state) {
    std::string text;
    if (const auto share = percentage(state); !share.empty()) text = share.substr(share.find_first_not_of(' ')) + ", ";
    text += amount(state);
    if (state.total_items > 1)
        text += ", " + std::to_string(state.items) + " of " + std::to_string(state.total_items) + " items";
    text += ", " + human_bytes(static_cast<std::uint64_t>(state.bytes_per_second)) + "/s";
    if (const auto left = time_left(state)) text += ", " + human_duration(*left) + " left";
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
    const std::lock_guard lock(mutex_);
    knows_total_ = true;
    expected_items_ = items;
    expected_bytes_ = bytes;
}

void progress_meter::begin(transfer_key which, std::string shown_name, std::optional<std::uint64_t> size,
                           std::uint64_t already) {
    const std::lock_guard lock(mutex_);
    if (active_.empty() && !knows_total_) ended_bytes_ = 0, ended_items_ = 0;
    if (active_.empty() && (!knows_total_ || !has_begun_)) rate_.restart(progress_clock::now(), moved_bytes_);
    has_begun_ = true;
    active_[which] = {std::move(shown_name), size, already, ++touch_};
    has_changed_ = true;
    if (is_idle_) changed_.notify_one();
}

void progress_meter::advance(transfer_key which, std::uint64_t position) {
    const std::lock_guard lock(mutex_);
    const auto found = active_.find(which);
    if (found == active_.end()) return;
    auto& moving = found->second;
    if (position > moving.position) moved_bytes_ += position - moving.position;
    moving.position = position;
    moving.touched = ++touch_;
    has_changed_ = true;
}

bool progress_meter::end(transfer_key which) {
    const std::lock_guard lock(mutex_);
    const auto found = active_.find(which);
    if (found == active_.end()) return false;
    const auto& over = found->second;
    ended_bytes_ += over.size.value_or(over.position);
    ++ended_items_;
    active_.erase(found);
    has_changed_ = true;
    return true;
}

void progress_meter::withdraw(transfer_key which) {
    const std::lock_guard lock(mutex_);
    active_.erase(which);
    has_changed_ = true;
}

void progress_meter::withdraw_all() {
    const std::lock_guard lock(mutex_);
    active_.clear();
    rate_.restart(progress_clock::now(), moved_bytes_);
    has_changed_ = true;
}

void progress_meter::skip(std::uint64_t size) {
    const std::lock_guard lock(mutex_);
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
    std::unique_lock lock(mutex_);
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
            changed_.wait(lock, stopped, [this] { return !active_.empty(); });
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
