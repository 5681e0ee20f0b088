// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "wherry/error.hpp"
#include "wherry/transport.hpp"

namespace wherry::test {

// The reading end of a connection whose peer keeps to a script, so that a test needs no second thread and no clock.
// What is written to it is kept. Used by one thread.
class scripted_connection final : public connection {
public:
    using connection::write_all;

    // The peer says this, in reads of the sizes in `steps`, over and over; without steps, in as large a read as fits.
    scripted_connection& says(const_bytes bytes, std::vector<std::size_t> steps = {}) {
        std::size_t next = 0;
        while (!bytes.empty()) {
            const auto wanted = steps.empty() ? bytes.size() : steps[next++ % steps.size()];
            const auto piece = bytes.first(std::min(wanted, bytes.size()));
            script_.push_back({{piece.begin(), piece.end()}, std::nullopt});
            bytes = bytes.subspan(piece.size());
        }
        return *this;
    }
    // Then nothing comes for the read timeout (which is not waited for).
    scripted_connection& is_silent() { return fails(error(errc::timed_out, "nothing came")); }
    // Then the link fails.
    scripted_connection& fails(error how) {
        script_.push_back({{}, std::move(how)});
        return *this;
    }
    // At its end the script reads as an orderly end of the stream.

    std::size_t read_some(mutable_bytes into) override {
        ++reads_;
        largest_read_ = std::max(largest_read_, into.size());
        if (into.empty()) throw error(errc::internal, "a read of nothing");
        if (script_.empty()) {
            ++reads_at_end_;
            return 0;
        }
        auto& now = script_.front();
        if (now.failure) {
            const auto failure = *now.failure;
            script_.pop_front();
            throw failure;
        }
        const auto count = std::min(into.size(), now.bytes.size() - now.taken);
        std::memcpy(into.data(), now.bytes.data() + now.taken, count);
        now.taken += count;
        if (now.taken == now.bytes.size()) script_.pop_front();
        return count;
    }
    void write_all(std::span<const const_bytes> pieces) override {
        for (const auto piece : pieces) written_.insert(written_.end(), piece.begin(), piece.end());
    }
    void shutdown_write() override {}
    void set_read_timeout(std::chrono::milliseconds timeout) noexcept override { read_timeout_ = timeout; }
    void set_write_timeout(std::chrono::milliseconds) noexcept override {}
    void abort() noexcept override {}
    std::string_view peer_address() const noexcept override { return "script"; }
    std::size_t record_bytes() const noexcept override { return 65536; }

    // Counts reads from here on.
    void count_again() noexcept { reads_ = reads_at_end_ = largest_read_ = 0; }
    std::size_t reads() const noexcept { return reads_; }
    std::size_t reads_at_end() const noexcept { return reads_at_end_; }
    std::size_t largest_read() const noexcept { return largest_read_; }
    // The bytes that nobody has read.
    std::size_t unread() const noexcept {
        std::size_t left = 0;
        for (const auto& step : script_) left += step.bytes.size() - step.taken;
        return left;
    }
    std::optional<std::chrono::milliseconds> read_timeout() const noexcept { return read_timeout_; }
    const std::vector<std::byte>& written() const noexcept { return written_; }

private:
    struct step {
        std::vector<std::byte> bytes;
        std::optional<error> failure;
        std::size_t taken = 0;
    };
    std::deque<step> script_;
    std::vector<std::byte> written_;
    std::size_t reads_ = 0, reads_at_end_ = 0, largest_read_ = 0;
    std::optional<std::chrono::milliseconds> read_timeout_;
};

}  // namespace wherry::test
