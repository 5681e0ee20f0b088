// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "frame.hpp"
#include "link_writer.hpp"
#include "observer_gate.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// The further connections of an initiator, from the wish for them to their end. Each has a thread that opens it, has it
// join, and then listens to it; and one that writes.
class extra_connections {
public:
    // All that is referred to outlives it. `wanted` > 1, the first one included.
    extra_connections(secure_channel& first, link_writer& writer, stream_opener& opener, std::size_t wanted,
                      observer_gate& observer);
    ~extra_connections();

    // Says what is wanted. Once, before anything else is sent.
    void ask();

    // ---- The thread that reads the first connection ----

    void on_answer(const frame& got);
    // Something else was answered: a receiver that knows of STREAMS would have answered that first.
    void on_other_answer();
    // The exchange is over.
    void cut(const error& why) noexcept;

    // ---- The thread that sends ----

    // Everything is answered: waits until it is known how many there are, but no longer than that; then the observer
    // has been told.
    void conclude(std::chrono::milliseconds time);
    // Ends them. Idempotent.
    void stop() noexcept;

private:
    struct stream;

    void run(stream& one);
    void open(stream& one);
    void join(stream& one, record_reader& records);
    void listen(record_reader& records);
    void start_first_writer();
    void lost(const error& why) noexcept;
    // With `mutex_` held, which it gives back before it tells.
    void settle(std::unique_lock<std::mutex>& lock);

    secure_channel& first_;
    link_writer& writer_;
    stream_opener& opener_;
    const std::size_t wanted_;
    observer_gate& observer_;

    std::mutex mutex_;  // over all that follows
    std::condition_variable changed_;
    std::vector<std::unique_ptr<stream>> streams_;
    bool was_asked_ = false;
    bool was_answered_ = false;
    bool is_settled_ = false;
    bool was_told_ = false;
    bool is_over_ = false;
    std::size_t awaited_ = 0;  // being opened
    std::size_t joined_ = 1;
    std::string why_fewer_;
    join_token token_{};
    record_spreader::writer first_writing_;
    std::jthread first_writer_;
};

}  // namespace wherry
