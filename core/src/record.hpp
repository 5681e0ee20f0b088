// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include "frame.hpp"
#include "record_memory.hpp"
#include "wherry/cipher.hpp"
#include "wherry/transport.hpp"

// Records: `u32 length ‖ sealed body`, the body being one or more whole frames.
namespace wherry {

inline constexpr std::size_t record_length_bytes = 4;

// A record being filled with frames. Never reallocates: content is read straight into it and sealed in place.
// Used by one thread at a time.
class record_buffer {
public:
    // Whether room for a number is kept at its front.
    enum class numbering { none, ordered };

    // REQUIRES: record_bytes, length and overhead included, is within limits::min_record_bytes..max_record_bytes.
    record_buffer(std::size_t record_bytes, std::size_t overhead, numbering how = numbering::none);

    bool empty() const noexcept { return used_ == reserved_; }
    // Of a full record, length and overhead included.
    std::size_t record_bytes() const noexcept { return record_length_bytes + capacity_ + overhead_; }
    // Whether a further frame with that much payload can be added.
    bool fits(std::size_t payload_bytes) const noexcept {
        return frame_header_bytes + payload_bytes <= capacity_ - used_;
    }

    // REQUIRES: fits(payload.size()).
    void append(frame_type type, std::uint8_t flags, std::uint32_t transfer, const_bytes payload);

    // Room for the payload of a frame, to be filled from its front and then added with commit(). REQUIRES: fits(1).
    mutable_bytes data_room();
    void commit(frame_type type, std::uint8_t flags, std::uint32_t transfer, std::size_t payload_bytes) noexcept;
    void commit_data(std::uint32_t transfer, std::size_t payload_bytes) noexcept {
        commit(frame_type::data, 0, transfer, payload_bytes);
    }

    // Puts the number at the front. REQUIRES: numbering::ordered.
    void set_number(std::uint64_t number) { store_order_frame({body(), order_frame_bytes}, number); }
    // Takes what is in the other, which is empty then. REQUIRES: this is empty, and both have the same numbering and
    // overhead. Throws error(errc::internal) if there is no room for it.
    void take_over(record_buffer& other);
    // Of the whole record, if it were sealed now.
    std::size_t sealed_bytes() const noexcept { return record_length_bytes + used_ + overhead_; }

    // Does without memory until something is put into it. REQUIRES: empty().
    void rest() noexcept { bytes_.release(); }

    // Seals what was appended and returns the whole record, to be written before anything else is done with this.
    // Leaves the buffer empty.
    const_bytes seal(cipher_session& session);

private:
    // Takes memory when it is first needed: many are never used.
    std::byte* bytes() {
        if (!bytes_) bytes_ = record_memory(record_bytes());
        return bytes_.get();
    }
    std::byte* body() { return bytes() + record_length_bytes; }

    const std::size_t capacity_;  // of plaintext
    const std::size_t overhead_;
    const std::size_t reserved_;  // for the number
    std::size_t used_ = reserved_;
    record_memory bytes_;
};

// When something last came over a link; of one connection, and read by others.
using last_heard = std::atomic<std::chrono::steady_clock::time_point>;

// Reads records off a link and opens them. Used by one thread at a time.
class record_reader {
public:
    // `heard` (may be null) has the time of what was last read. `record_timeout` is for one record from its first byte
    // to its last, for a length that was changed on the way may promise more than a living peer, which goes on to say
    // PING, will ever send; zero: for ever.
    record_reader(connection& link, cipher_session& session,
                  std::chrono::milliseconds record_timeout = std::chrono::milliseconds(0),
                  std::shared_ptr<last_heard> heard = nullptr) noexcept;

    // The next record's plaintext, valid until the next call; nothing if the stream ended between two records.
    // Throws error: integrity, also for a length out of bounds, disconnected if the stream ended within a record, or
    // what the link throws.
    std::optional<const_bytes> next();

    // Waits for the next record to begin, and tells whether its sealed body is no longer than that; then also for the
    // rest of it. False at the end of the stream. Holds next to no memory for a longer one. Throws as next() does.
    bool is_next_short(std::size_t sealed_bytes);

private:
    enum class read_size { comfortable, bare };

    // The length of the next sealed body; nothing at the end of the stream.
    std::optional<std::size_t> next_length(read_size how);
    // Reads until `wanted` bytes are there; false if the stream ended before the first.
    bool fill(std::size_t wanted, read_size how = read_size::comfortable);

    connection& link_;
    cipher_session& session_;
    const std::chrono::milliseconds record_timeout_;
    const std::shared_ptr<last_heard> heard_;
    record_memory buffer_;
    std::size_t begin_ = 0, end_ = 0;  // what was read and not yet returned
};

}  // namespace wherry
