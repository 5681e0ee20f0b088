// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <optional>

namespace wherry::faulty {

// What happens to connections. Bytes are counted for each connection and each way apart, from 0.
struct faults {
    std::chrono::milliseconds delay{0};  // before each read and each write
    std::uint64_t rate = 0;              // bytes per second each way; 0: no limit

    std::optional<std::uint64_t> cut_after;      // so many bytes go through, then the connection is aborted
    std::optional<std::uint64_t> corrupt_after;  // one bit of the byte behind so many is flipped
    std::uint64_t cut_chance = 0;                // of a call, in a million
    std::uint64_t corrupt_chance = 0;
    bool has_short_reads = false;

    // The way that cuts and flips concern.
    bool concern_reads = true, concern_writes = true;

    // The function that never returns; a function of a connection hangs only if that connection has faults.
    enum class call { none, connect, accept, stop_accepting, read, write, abort } hang = call::none;

    std::uint64_t connections = 0;  // only the first so many have faults; 0: all
    std::uint64_t seed = 1;

    void hang_in(call function) const noexcept {
        while (function != call::none && function == hang) ::pause();
    }

    bool any() const noexcept {
        return delay.count() > 0 || rate > 0 || cut_after || corrupt_after || cut_chance > 0 || corrupt_chance > 0 ||
               has_short_reads || hang != call::none;
    }
};

}  // namespace wherry::faulty
