#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "record.hpp"

namespace wherry {

// Writes records on a thread of its own, in the order in which they come, while the next is being filled.
// Thread-safety: put() and drain() from any thread.
class write_behind {
public:
    // Called for one record at a time; throws error if the link failed, and then it is called no more.
    using write = std::function<void(record_buffer&)>;

    // As many records wait as there are buffers, each no larger than those. Throws std::system_error if no thread is to
    // be had.
    write_behind(std::vector<record_buffer> buffers, write to);
    // What is not written yet is dropped; waits for the write under way.
    ~write_behind();
    write_behind(const write_behind&) = delete;
    write_behind& operator=(const write_behind&) = delete;

    // Takes a record over, and leaves an empty one; waits until there is room. Throws what a write threw.
    void put(record_buffer& record);
    // Waits until all that was put is written. Throws what a write threw.
    void drain();

private:
    void run() noexcept;

    const write write_;
    std::mutex mutex_;
    std::condition_variable has_work_, has_room_;
    std::vector<record_buffer> buffers_;
    std::deque<record_buffer*> free_, waiting_;
    bool is_writing_ = false;
    bool is_closing_ = false;
    std::optional<error> failure_;
    std::thread thread_;  // last: it uses the rest
};

}  // namespace wherry
