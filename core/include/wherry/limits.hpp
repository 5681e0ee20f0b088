// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>

#include "wherry/plugin.h"

// Every bound on what a peer may say; core/doc/protocol.md explains each. Times are in clocks.hpp.
namespace wherry::limits {

// The body of a record (what follows its length), sealed.
inline constexpr std::size_t max_record_bytes = std::size_t{1} << 20;
// The smallest record that a sender may be asked to keep to; every frame but DATA and RESULT fits one.
inline constexpr std::size_t min_record_bytes = 8192;

// What a cipher may add to a record.
inline constexpr std::size_t max_record_overhead_bytes = 1024;

inline constexpr std::size_t max_cipher_name_bytes = 32;
inline constexpr std::size_t max_item_name_bytes = 4096;
inline constexpr std::size_t max_text_bytes = 1024;
inline constexpr std::size_t max_outcome_bytes = WHERRY_OUTCOME_BYTES;
inline constexpr std::size_t max_response_bytes = std::size_t{1} << 20;
// Of all responses on a connection that have begun and not ended.
inline constexpr std::size_t max_unfinished_response_bytes = std::size_t{8} << 20;
inline constexpr std::size_t max_mode = 07777;

// Transfers that one side may have begun and not ended.
inline constexpr std::size_t max_open_transfers = 64;
// Deliveries of one connection that have come whole and that the sink is finishing, on how many threads. Beyond the
// first number the peer's next record has to wait.
inline constexpr std::size_t max_unfinished_deliveries = 128;
inline constexpr std::size_t max_finishing_threads = 16;
// Deliveries that a sink is asked to finish together.
inline constexpr std::size_t max_group_commit = 64;
// Transfers that a sender leaves unanswered before it waits.
inline constexpr std::size_t max_unanswered_transfers = 1024;

// What a receiver remembers of how a peer's deliveries ended, for a sender that may not have heard of it; of each
// identity. The oldest give way.
inline constexpr std::size_t max_remembered_results = 4096;
inline constexpr std::size_t max_remembered_response_bytes = std::size_t{1} << 20;

// How far back compressed content may refer to itself, and so what its receiver has to keep.
inline constexpr std::size_t max_compression_window_bytes = std::size_t{1} << 20;
// What all compressed content in one record may expand to: no record keeps a receiver busy for long.
inline constexpr std::size_t max_expanded_record_bytes = std::size_t{8} << 20;
// Transfers that one side may be in the middle of compressed content of.
inline constexpr std::size_t max_open_decompressors = 4;

// Connections that may carry what one sender sends, the first included; and what a receiver grants if it is not told
// otherwise.
inline constexpr std::size_t max_streams = 64;
inline constexpr std::size_t usual_streams = 16;

}  // namespace wherry::limits
