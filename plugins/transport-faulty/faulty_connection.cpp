// SPDX-License-Identifier: BSD-2-Clause
#include "faulty_connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace wherry::faulty {

namespace {

using clock = std::chrono::steady_clock;

// Twenty times a second is smooth enough.
constexpr std::uint64_t turns_per_second = 20;
constexpr std::size_t largest_turn = 64 * 1024;
constexpr std::uint64_t chances = 1'000'000;

enum class way : std::uint32_t { in, out };

lane make_lane(const faults& wanted, std::uint64_t number, way which) {
    const auto low = [](std::uint64_t word) { return static_cast<std::uint32_t>(word); };
    std::seed_seq words{low(wanted.seed), low(wanted.seed >> 32), low(number), low(number >> 32),
                        static_cast<std::uint32_t>(which)};
    return lane(wanted, which == way::in ? wanted.concern_reads : wanted.concern_writes, words);
}

std::string bytes_text(std::uint64_t count, const char* what) {
    return count == 1 ? fmt::format("1 byte {}", what) : fmt::format("{} bytes {}", count, what);
}

}  // namespace

lane::lane(const faults& wanted, bool has_cuts_and_flips, std::seed_seq& words)
    : random_(words),
      rate_(wanted.rate),
      cut_chance_(has_cuts_and_flips ? wanted.cut_chance : 0),
      corrupt_chance_(has_cuts_and_flips ? wanted.corrupt_chance : 0),
      cut_at_(has_cuts_and_flips ? wanted.cut_after : std::nullopt),
      flip_at_(has_cuts_and_flips ? wanted.corrupt_after : std::nullopt) {}

bool lane::begin_call() {
    // Both are drawn each time, so that one option does not change what the other one does.
    const bool is_cut = random(chances) < cut_chance_;
    flips_in_this_call_ = random(chances) < corrupt_chance_;
    return is_cut;
}

void lane::choose_flip(std::uint64_t bytes) {
    chosen_flip_at_.reset();
    if (flips_in_this_call_ && bytes > 0) chosen_flip_at_ = position_ + random(bytes);
}

std::size_t lane::room(std::size_t wanted) const noexcept {
    std::uint64_t next = wanted;
    if (rate_ > 0) next = std::min(next, std::clamp<std::uint64_t>(rate_ / turns_per_second, 1, largest_turn));
    if (cut_at_) next = std::min(next, *cut_at_ - std::min(position_, *cut_at_));
    return static_cast<std::size_t>(next);
}

bool lane::has_flip_within(std::uint64_t bytes) const noexcept {
    return is_next(flip_at_, bytes) || is_next(chosen_flip_at_, bytes);
}

bool lane::is_plain(std::uint64_t bytes) const noexcept {
    const bool reaches_cut = cut_at_ && bytes >= *cut_at_ - std::min(position_, *cut_at_);
    return rate_ == 0 && !reaches_cut && !has_flip_within(bytes);
}

int lane::flip(mutable_bytes bytes) {
    int count = 0;
    for (const auto& offset : {flip_at_, chosen_flip_at_}) {
        if (!is_next(offset, bytes.size())) continue;
        // Two flips of one bit would be none.
        if (count > 0 && flip_at_ == chosen_flip_at_) continue;
        bytes[static_cast<std::size_t>(*offset - position_)] ^= std::byte{1} << static_cast<int>(random(8));
        ++count;
    }
    return count;
}

void lane::advance(std::uint64_t bytes) noexcept {
    position_ += bytes;
    if (rate_ == 0) return;
    const auto now = clock::now();
    // At most largest_turn bytes: this does not overflow.
    const std::chrono::nanoseconds cost(bytes * 1'000'000'000 / rate_);
    free_at_ = std::max(now, free_at_.value_or(now)) + cost;
}

faulty_connection::faulty_connection(std::unique_ptr<connection> inner, const faults& wanted, std::uint64_t number,
                                     tell told)
    : inner_(std::move(inner)),
      wanted_(wanted),
      name_(fmt::format("connection {}", number)),
      told_(std::move(told)),
      reads_(make_lane(wanted, number, way::in)),
      writes_(make_lane(wanted, number, way::out)) {}

void faulty_connection::cut(const std::string& when) {
    bool is_first = false;
    {
        const mutex_lock lock(mutex_);
        is_first = !is_over_;
        is_over_ = true;
        if (is_first)
            cut_ = fmt::format("the link was cut on purpose {}, as the options of transport faulty ask", when);
        changed_.notify_all();
    }
    inner_->abort();
    if (is_first) told_(fmt::format("{}: cut {}", name_, when));
}

void faulty_connection::cut_and_fail(const std::string& when) {
    cut(when);
    require_uncut();
    // abort() was first.
    throw error(errc::disconnected, "the connection was closed from this side");
}

void faulty_connection::require_uncut() {
    const mutex_lock lock(mutex_);
    if (!cut_.empty()) throw error(errc::disconnected, cut_);
}

void faulty_connection::wait_until(clock::time_point end) {
    {
        mutex_lock lock(mutex_);
        if (!changed_.wait_until(lock, end, [&]() WHERRY_REQUIRES(mutex_) { return is_over_; })) return;
    }
    require_uncut();
    throw error(errc::disconnected, "the connection was closed from this side");
}

void faulty_connection::wait_for_turn(lane& lane) {
    if (const auto end = lane.free_at()) wait_until(*end);
}

std::size_t faulty_connection::read_some(mutable_bytes buffer) {
    wanted_.hang_in(faults::call::read);
    require_uncut();
    if (wanted_.delay.count() > 0) wait_until(clock::now() + wanted_.delay);
    if (reads_.begin_call())
        cut_and_fail(fmt::format("before a read, behind {}", bytes_text(reads_.position(), "read")));
    auto size = reads_.room(buffer.size());
    if (size == 0) cut_and_fail(fmt::format("behind {}", bytes_text(reads_.position(), "read")));
    if (wanted_.has_short_reads) {
        // Of all orders of magnitude: most of them very short.
        const auto most = std::uint64_t{1} << reads_.random(17);
        size = static_cast<std::size_t>(std::min<std::uint64_t>(size, 1 + reads_.random(most)));
    }
    const auto count = through([&] { return inner_->read_some(buffer.first(size)); });
    if (count == 0) return 0;
    reads_.choose_flip(count);
    flip(reads_, buffer.first(count), "read");
    reads_.advance(count);
    wait_for_turn(reads_);
    if (reads_.is_at_cut()) cut(fmt::format("behind {}", bytes_text(reads_.position(), "read")));
    return count;
}

void faulty_connection::write_all(std::span<const const_bytes> pieces) {
    wanted_.hang_in(faults::call::write);
    require_uncut();
    if (wanted_.delay.count() > 0) wait_until(clock::now() + wanted_.delay);
    if (writes_.begin_call())
        cut_and_fail(fmt::format("before a write, behind {}", bytes_text(writes_.position(), "written")));
    std::uint64_t total = 0;
    for (const auto piece : pieces) total += piece.size();
    writes_.choose_flip(total);
    if (writes_.is_plain(total)) {
        through([&] { inner_->write_all(pieces); });
        writes_.advance(total);
    } else {
        write_in_parts(pieces);
    }
}

void faulty_connection::write_in_parts(std::span<const const_bytes> pieces) {
    const auto cut_here = [&] { cut_and_fail(fmt::format("behind {}", bytes_text(writes_.position(), "written"))); };
    for (auto rest : pieces) {
        while (!rest.empty()) {
            const auto size = writes_.room(rest.size());
            if (size == 0) cut_here();
            auto part = rest.first(size);
            rest = rest.subspan(size);
            if (writes_.has_flip_within(size)) {
                altered_.assign(part.begin(), part.end());
                flip(writes_, altered_, "written");
                part = altered_;
            }
            through([&] { inner_->write_all(part); });
            writes_.advance(size);
            wait_for_turn(writes_);
        }
    }
    if (writes_.is_at_cut()) cut_here();
}

void faulty_connection::flip(lane& lane, mutable_bytes bytes, const char* where) {
    if (lane.flip(bytes) > 0)
        told_(fmt::format("{}: a bit was flipped among the {} behind the first {}", name_,
                          bytes_text(bytes.size(), where), lane.position()));
}

void faulty_connection::shutdown_write() {
    require_uncut();
    through([&] { inner_->shutdown_write(); });
}

void faulty_connection::abort() noexcept {
    wanted_.hang_in(faults::call::abort);
    {
        const mutex_lock lock(mutex_);
        is_over_ = true;
        changed_.notify_all();
    }
    inner_->abort();
}

}  // namespace wherry::faulty
