// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "compression.hpp"
#include "compression_policy.hpp"
#include "frame.hpp"
#include "link_writer.hpp"
#include "record.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// Puts the content of one transfer after the other into records, as it is or compressed, whichever is wanted, or
// better. Used by the thread that sends.
class content_encoder {
public:
    using compression = sender_options::compression;

    // `writer` and `record` outlive it; `flush` transmits the record.
    content_encoder(compression how, const link_writer& writer, record_buffer& record, std::function<void()> flush);

    // Returns the compression to offer for an item.
    compression_kind offered_for(const offer& what) const noexcept;

    // Begins an item's content at `position`, and drops what is left of the one before.
    void begin(const offer& what, std::uint64_t position);
    // Returns true if the next piece goes uncompressed: read it into the record, then call left_alone().
    bool leaves_alone();
    void left_alone(std::size_t bytes) noexcept;
    // Returns the room to read a piece into if leaves_alone() is false.
    mutable_bytes room();
    enum class more { comes, may_be_long_in_coming, no };
    // Takes the piece that was read into room(); `next` says what follows. Returns how much was put into records.
    std::uint64_t put(transfer_id id, const_bytes read, more next);
    // Ends what was begun. Returns how much was put into records.
    std::uint64_t end(transfer_id id);

private:
    mutable_bytes piece();
    bool should_compress(const_bytes piece, more next);
    std::uint64_t put_compressed(transfer_id id, const_bytes piece, compressor::until how);
    std::uint64_t put_plain(transfer_id id, const_bytes piece);

    const compression how_;
    const link_writer& writer_;
    record_buffer& record_;
    const std::function<void()> flush_;
    compression_policy policy_;  // if it is `automatic`
    compressor compressor_;
    std::unique_ptr<std::byte[]> piece_;
    std::optional<std::uint64_t> left_;  // to send, if it is known
    bool is_off_ = true;                 // for this item
    link_traffic seen_;                  // that the policy knows
    std::uint64_t expanding_to_ = 0;     // bytes that the record's compressed content expands to
};

}  // namespace wherry
