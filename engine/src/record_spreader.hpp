// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "record.hpp"
#include "wherry/mutex.hpp"

namespace wherry {

// Spreads the records of one direction over several writers, one for each connection. Each record goes to the first
// writer that is free; its number lets the peer restore the order. Before let_in(), the caller writes each record
// itself, and this only counts.
// Thread-safety: all functions from any thread.
class record_spreader {
public:
    // Called for one record at a time; throws error if the connection failed.
    using write = std::function<void(record_buffer&)>;

    // The records that come have these sizes.
    record_spreader(std::size_t record_bytes, std::size_t overhead) noexcept;

    // Gives a record its number and returns true if the caller is to write it; writes by several callers must come in
    // the order of their calls. False once put() is to be used.
    bool number_directly(record_buffer& record);
    // True once put() is to be used.
    bool is_spreading() const;

    // Takes a record over, numbers it, and leaves an empty one; waits until there is room. Throws the first failure.
    void put(record_buffer& record);

    // One connection's writer. It may wait to be let in.
    class writer {
    public:
        writer() = default;
        writer(const writer&) = delete;
        writer& operator=(const writer&) = delete;

    private:
        friend class record_spreader;
        bool is_in_ = false;  // guarded by the spreader's mutex
    };
    // Writes records with `output` on a writer's thread, once it is let in; returns after fail(). Throws what `output`
    // throws.
    void serve(writer& lane, const write& output);
    // Adds these writers, and ends direct writing: number_directly() returns false from now on.
    void let_in(const std::vector<writer*>& lanes);

    // Drops what is not written yet; put() throws `why` from now on. Only the first call counts.
    void fail(const error& why) noexcept;

private:
    struct numbered {
        std::unique_ptr<record_buffer> record;
        std::uint64_t number;
    };

    const std::size_t record_bytes_, overhead_;
    mutable mutex mutex_;
    condition has_ready_, has_free_, has_let_in_;
    std::deque<numbered> ready_ WHERRY_GUARDED_BY(mutex_);
    std::vector<std::unique_ptr<record_buffer>> free_ WHERRY_GUARDED_BY(mutex_);
    std::uint64_t next_number_ WHERRY_GUARDED_BY(mutex_) = 0;
    bool is_spreading_ WHERRY_GUARDED_BY(mutex_) = false;
    std::optional<error> failure_ WHERRY_GUARDED_BY(mutex_);
};

}  // namespace wherry
