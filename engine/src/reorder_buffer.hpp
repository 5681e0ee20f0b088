// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>

#include "record.hpp"
#include "wherry/mutex.hpp"
#include "wherry/transport.hpp"

namespace wherry {

// Puts the records that come over several connections into the order of their numbers. Each connection has a thread
// that reads and opens them; each holds one opened record, until its turn has come and it was dealt with.
// Thread-safety: all functions from any thread, unless they say otherwise.
class reorder_buffer {
public:
    // One connection.
    class lane;

    // `heard` (may be null) has the time of what last came over any of them. The first connection is there already; the
    // record that it holds is being dealt with until next() is called.
    explicit reorder_buffer(std::shared_ptr<last_heard> heard);
    ~reorder_buffer();

    lane& first() noexcept { return *first_; }
    // Adds an extra connection. Throws error(errc::refused) once this has ended or is closed.
    std::shared_ptr<lane> add(std::shared_ptr<connection> link);

    // Reads one connection's records, on its thread. Returns at the end of the first connection, and at the end of any
    // after expect_end() or close(). Throws what else ends it; next() then throws that, too, and close() ends the other
    // readers.
    void read(lane& lane, record_reader& records);

    // The record whose turn it is, without its number, valid until the next call; nothing once the first connection has
    // ended. Throws the first failure, once no record can be had any more. By one thread.
    std::optional<const_bytes> next();

    // Stops treating the end of a connection as a failure: the peer has said BYE. Called by the thread of next();
    // invalidates the record that next() returned last.
    void expect_end() noexcept;
    // Makes the readers read on and drop what comes. Called after a failure by the thread of next(); invalidates the
    // record that it returned last.
    void drop_rest() noexcept;
    // Waits until the first connection has ended; false if that takes longer.
    bool wait_for_first(std::chrono::milliseconds time);
    // Cuts the extra connections, and ends all readers' waits. Idempotent.
    void close() noexcept;

private:
    void hold(lane& lane, const_bytes record);
    void fail(const error& why) noexcept;
    void release_taken() noexcept WHERRY_REQUIRES(mutex_);
    lane* find(std::uint64_t number) noexcept WHERRY_REQUIRES(mutex_);
    bool is_stuck() const noexcept WHERRY_REQUIRES(mutex_);

    const std::shared_ptr<last_heard> heard_;
    mutex mutex_;
    condition changed_;  // for next() and wait_for_first()
    std::list<std::shared_ptr<lane>> lanes_ WHERRY_GUARDED_BY(mutex_);
    const std::shared_ptr<lane> first_;
    std::shared_ptr<lane> taken_ WHERRY_GUARDED_BY(mutex_);  // its record is being dealt with
    std::uint64_t next_ WHERRY_GUARDED_BY(mutex_) = 0;
    bool is_ending_ WHERRY_GUARDED_BY(mutex_) = false;
    bool is_dropping_ WHERRY_GUARDED_BY(mutex_) = false;
    bool is_closed_ WHERRY_GUARDED_BY(mutex_) = false;
    std::optional<error> failure_ WHERRY_GUARDED_BY(mutex_);
};

}  // namespace wherry
