// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "faults.hpp"
#include "wherry/mutex.hpp"
#include "wherry/transport.hpp"

namespace wherry::faulty {

// One way through a connection: where its faults are. Used by one thread at a time.
class lane {
public:
    // `words` begin its random numbers: the same ones, the same faults.
    lane(const faults& wanted, bool has_cuts_and_flips, std::seed_seq& words);

    // A call begins. True if chance has it that the connection is cut here.
    bool begin_call();
    // The call moves so many bytes, of which chance may alter one.
    void choose_flip(std::uint64_t bytes);

    // How many of `wanted` bytes go next, in one piece; 0: the connection is to be cut.
    std::size_t room(std::size_t wanted) const noexcept;
    bool is_at_cut() const noexcept { return cut_at_ && position_ >= *cut_at_; }
    std::uint64_t position() const noexcept { return position_; }

    // Whether the next `bytes` go through at once, as they are.
    bool is_plain(std::uint64_t bytes) const noexcept;
    bool has_flip_within(std::uint64_t bytes) const noexcept;
    // `bytes` are next: flips what is to be flipped. Returns how many bits.
    int flip(mutable_bytes bytes);
    // These went through.
    void advance(std::uint64_t bytes) noexcept;
    // When the next may.
    std::optional<std::chrono::steady_clock::time_point> free_at() const noexcept { return free_at_; }

    // 0..bound-1
    std::uint64_t random(std::uint64_t bound) { return random_() % bound; }

private:
    bool is_next(const std::optional<std::uint64_t>& offset, std::uint64_t bytes) const noexcept {
        return offset && *offset >= position_ && *offset - position_ < bytes;
    }

    std::mt19937_64 random_;
    const std::uint64_t rate_, cut_chance_, corrupt_chance_;
    const std::optional<std::uint64_t> cut_at_, flip_at_;
    std::optional<std::uint64_t> chosen_flip_at_;
    bool flips_in_this_call_ = false;
    std::uint64_t position_ = 0;
    std::optional<std::chrono::steady_clock::time_point> free_at_;
};

// Another connection, with faults. Thread-safety: as connection; abort() wakes what waits here, too.
class faulty_connection final : public connection {
public:
    using tell = std::function<void(const std::string&)>;

    // `number` counts the transport's connections; `told` hears of each cut and flip, from any thread.
    faulty_connection(std::unique_ptr<connection> inner, const faults& wanted, std::uint64_t number, tell told);

    std::size_t read_some(mutable_bytes buffer) override;
    using connection::write_all;
    void write_all(std::span<const const_bytes> pieces) override;
    void shutdown_write() override;
    void set_read_timeout(std::chrono::milliseconds timeout) noexcept override { inner_->set_read_timeout(timeout); }
    void set_write_timeout(std::chrono::milliseconds timeout) noexcept override { inner_->set_write_timeout(timeout); }
    void abort() noexcept override;
    std::string_view peer_address() const noexcept override { return inner_->peer_address(); }
    std::size_t record_bytes() const noexcept override { return inner_->record_bytes(); }

private:
    // Behave as if the link had vanished, for both ways and for good.
    void cut(const std::string& when);
    [[noreturn]] void cut_and_fail(const std::string& when);
    void require_uncut();
    // Sleeps unless the connection ends meanwhile.
    void wait_until(std::chrono::steady_clock::time_point end);
    void wait_for_turn(lane& lane);
    void write_in_parts(std::span<const const_bytes> pieces);
    void flip(lane& lane, mutable_bytes bytes, const char* where);

    // What the inner connection throws after a cut is told as the cut.
    template <class Call>
    auto through(Call&& call) {
        try {
            return call();
        } catch (const error&) {
            require_uncut();
            throw;
        }
    }

    const std::unique_ptr<connection> inner_;
    const faults wanted_;
    const std::string name_;
    const tell told_;
    lane reads_, writes_;
    std::vector<std::byte> altered_;  // of the writer

    mutex mutex_;
    condition changed_;
    bool is_over_ WHERRY_GUARDED_BY(mutex_) = false;
    std::string cut_ WHERRY_GUARDED_BY(mutex_);  // why, or empty
};

}  // namespace wherry::faulty
