#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "record.hpp"

namespace wherry {

// Reads and opens records on a thread of its own, a few of them ahead, while the one before is dealt with.
// Thread-safety: next() by one thread; the rest by the one that owns it.
class read_ahead {
public:
    // From now on only this reads from there. Throws std::system_error if no thread is to be had.
    explicit read_ahead(record_reader& from);
    // Waits for the thread, so the link has ended by then or was aborted.
    ~read_ahead();
    read_ahead(const read_ahead&) = delete;
    read_ahead& operator=(const read_ahead&) = delete;

    // As record_reader::next(). What it throws comes after the records that were read before.
    std::optional<const_bytes> next();
    // Waits until the stream has ended; false if that takes longer.
    bool wait_for_end(std::chrono::milliseconds time);

private:
    struct held {
        record_memory in;
        const_bytes record;
    };

    void run() noexcept;
    void hold(const_bytes record);

    record_reader& from_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<held> ready_;
    std::vector<record_memory> spare_;
    std::optional<held> taken_;  // until the next call of next()
    bool is_closing_ = false;
    bool has_ended_ = false;
    std::exception_ptr failure_;
    std::thread thread_;  // last: it uses the rest
};

}  // namespace wherry
