// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "frame.hpp"
#include "join_registry.hpp"
#include "link_writer.hpp"
#include "record.hpp"
#include "reorder_buffer.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// Refuses a JOIN or an ORDER that is not the first frame of its record, or comes later than it may. Throws
// error(errc::protocol).
[[noreturn]] void refuse_out_of_place(frame_type type);

// The records that a peer sends, in their order, over one connection or several; also the records of a connection that
// has joined another receiver. Used by the thread that reads.
class incoming_records {
public:
    // All that is referred to outlives it. `heard` (may be null) has the time of what last came. Without `joinable`
    // extra connections cannot join. Without `reserve` they may use the last descriptors.
    incoming_records(secure_channel& channel, link_writer& writer, std::shared_ptr<last_heard> heard = nullptr,
                     std::optional<engine::joinable> joinable = std::nullopt,
                     const descriptor_reserve* reserve = nullptr);
    // Does what close() does.
    ~incoming_records();

    // Completes the channel's opening; an initiator learns here whether it was let in. Idempotent.
    void begin();
    // Waits for the first record. If it is a JOIN, this connection joins the receiver that it names, and the number of
    // that one is returned. Throws if it may not join, or if `is_drained` says so then. REQUIRES: nothing was read yet.
    std::optional<std::uint64_t> find_what_it_joins(const std::function<bool()>& is_drained);
    // Whether it has joined; read_joined() then reads as long as the other receiver lasts.
    bool has_joined() const noexcept { return joined_ != nullptr; }
    void read_joined();

    // Returns the next record, without its number; nothing at the end of the stream. On a single connection with
    // numbers, a record of PINGs alone is returned empty.
    std::optional<const_bytes> next();
    // Grants the peer the extra connections that it wants, as many as there is room for.
    void on_streams(const frame& got);

    // Stops treating the end of a connection as a failure. Called once the peer has said BYE.
    void expect_end() noexcept;
    // Waits up to clocks::close_wait for the peer to close. Returns at once on a single connection whose peer has said
    // BYE.
    void await_close(bool has_peer_left);
    // Reads and drops what comes, after a failure, until the peer closes, for up to clocks::close_wait: closing at once
    // would take back what was written last.
    void drain();
    // Cuts all connections if extra ones could join; otherwise does nothing. Called last, so that the peer learns of
    // the orderly end before.
    void close() noexcept;

private:
    bool start_merging();
    [[noreturn]] void refuse_join(const error& why);
    const_bytes in_order(const_bytes record);

    secure_channel& channel_;
    link_writer& writer_;
    const std::optional<engine::joinable> joinable_;
    const descriptor_reserve* const reserve_;
    const std::shared_ptr<last_heard> heard_;
    std::optional<record_reader> reader_;
    std::optional<const_bytes> first_record_;  // was read before its turn
    bool are_numbered_ = false;
    std::uint64_t next_number_ = 0;
    // Of a peer that may have extra connections.
    std::shared_ptr<reorder_buffer> merged_;
    std::jthread first_reader_;
    // Of a connection that has joined another.
    std::shared_ptr<reorder_buffer> joined_;
    std::shared_ptr<reorder_buffer::lane> joined_lane_;
};

}  // namespace wherry
