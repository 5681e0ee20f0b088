// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>

#include "wherry/bytes.hpp"
#include "wherry/transport.hpp"

namespace wherry {

// How a peer's data ended.
enum class receive_end {
    closed,  // the peer ended the stream in order
    idle,    // the peer was silent for the idle timeout
    limit,   // the peer had more to say than max_bytes; of what is above one byte was read, to know, and dropped
    cut,     // the link failed, or this side stopped; only raw deliveries report it, receive_all throws instead
};

// Returns "close", "silence", "limit" or "cut": the word in the log and in JSON.
std::string_view to_string(receive_end how) noexcept;

struct receive_all_options {
    // Silence that ends it, before the first byte as well as after any; zero: wait for ever.
    std::chrono::milliseconds idle_timeout{5000};
    // The most that is taken.
    std::uint64_t max_bytes = std::numeric_limits<std::uint64_t>::max();
};

struct received {
    receive_end how;
    std::uint64_t bytes;
};

// Bytes that grow without being cleared first, and at amortised constant cost a byte.
class growing_buffer {
public:
    growing_buffer() noexcept = default;
    growing_buffer(growing_buffer&& other) noexcept;
    growing_buffer& operator=(growing_buffer&& other) noexcept;
    ~growing_buffer();

    const_bytes bytes() const noexcept { return {data_, size_}; }
    std::size_t size() const noexcept { return size_; }

    // Room behind the bytes, at least `wanted` of it, to be written and then added with commit().
    // Throws error(errc::exhausted). Invalidates bytes().
    mutable_bytes room(std::size_t wanted);
    // REQUIRES: written is at most the size of the last room().
    void commit(std::size_t written) noexcept { size_ += written; }

private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t capacity_ = 0;
};

// Reads whatever the peer sends, however long, until it closes, has been silent for the idle timeout, or has reached
// the limit. Sets the connection's read timeout. Throws what read_some throws, a time-out excepted. After a silence
// another call reads what the peer sends next.

// Hands each piece, borrowed for the call, to `consume`; what that throws ends it. `consume` may set another read
// timeout, which then applies to all further reads.
received receive_all(connection& link, const receive_all_options& options,
                     const std::function<void(const_bytes)>& consume);

// Collects everything behind what `buffer` already holds. max_bytes bounds the memory.
received receive_all(connection& link, const receive_all_options& options, growing_buffer& buffer);

}  // namespace wherry
