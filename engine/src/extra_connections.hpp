// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "frame.hpp"
#include "link_writer.hpp"
#include "observer_gate.hpp"
#include "wherry/mutex.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// The extra connections of a sender, from the wish for them to their end. Each has a thread that opens it, has it join,
// and then listens to it; and one that writes.
class extra_connections {
public:
    // All that is referred to outlives it. `wanted` > 1, the first one included.
    extra_connections(secure_channel& first, link_writer& writer, stream_opener& opener, std::size_t wanted,
                      sending_gate& gate);
    ~extra_connections();

    // Says what is wanted. Once, before anything else is sent.
    void ask();

    // ---- The thread that reads the first connection ----

    void on_answer(const frame& got);
    // Something else was answered: a receiver that knows of STREAMS would have answered that first.
    void on_other_answer();

    // ---- The thread that sends ----

    // Everything is answered: waits until it is known how many there are, but no longer than that; then the observer
    // has been told.
    void conclude(std::chrono::milliseconds time);
    // Ends them. Idempotent.
    void stop() noexcept WHERRY_UNCHECKED_LOCKS;

    // ---- Any thread ----

    // Cuts the extra connections, and ends all waits. Once they share the writing, writes throw `why` from now on.
    void cut(const error& why) noexcept;

private:
    struct lane;

    void run(lane& lane);
    void open(lane& lane);
    void join(lane& lane, record_reader& records);
    void listen(record_reader& records);
    void start_first_writer();
    void lost(const error& why) noexcept;
    // What the observer is told, once.
    struct count {
        std::size_t joined;
        std::string why_fewer;
    };
    std::optional<count> settle() WHERRY_REQUIRES(mutex_);
    void tell(const std::optional<count>& settled) WHERRY_EXCLUDES(mutex_);

    secure_channel& first_;
    link_writer& writer_;
    stream_opener& opener_;
    const std::size_t wanted_;
    sending_gate& gate_;

    mutex mutex_;
    condition changed_;
    std::vector<std::unique_ptr<lane>> lanes_ WHERRY_GUARDED_BY(mutex_);
    bool was_asked_ = false;  // of the thread that sends
    bool was_answered_ WHERRY_GUARDED_BY(mutex_) = false;
    bool is_settled_ WHERRY_GUARDED_BY(mutex_) = false;
    bool was_told_ WHERRY_GUARDED_BY(mutex_) = false;
    bool is_over_ WHERRY_GUARDED_BY(mutex_) = false;
    std::size_t awaited_ WHERRY_GUARDED_BY(mutex_) = 0;  // being opened
    std::size_t joined_ WHERRY_GUARDED_BY(mutex_) = 1;
    std::string why_fewer_ WHERRY_GUARDED_BY(mutex_);
    join_token token_{};  // before a connection that uses it is started
    record_spreader::writer first_writing_;
    std::jthread first_writer_;
};

}  // namespace wherry
