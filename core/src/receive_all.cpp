// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/receive_all.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace wherry {

namespace {

// As much as a fast link has ready at once; more would only spoil the cache.
constexpr std::size_t piece_bytes = std::size_t{256} << 10;

// The loop that both forms share. `place(n)` gives room for up to n bytes, `took(bytes)` takes what was read there.
template <class Place, class Took>
received read_until_end(connection& link, const receive_all_options& options, Place&& place, Took&& took) {
    link.set_read_timeout(options.idle_timeout);
    received so_far{receive_end::closed, 0};
    // Nothing if the peer was silent. Only around the read: a sink that times out is no silent peer.
    const auto read = [&](mutable_bytes room) -> std::optional<std::size_t> {
        try {
            return link.read_some(room);
        } catch (const error& e) {
            if (e.code() != errc::timed_out) throw;
            so_far.how = receive_end::idle;
            return std::nullopt;
        }
    };
    while (so_far.bytes < options.max_bytes) {
        const auto wanted = std::min<std::uint64_t>(piece_bytes, options.max_bytes - so_far.bytes);
        const mutable_bytes room = place(static_cast<std::size_t>(wanted));
        const auto got = read(room);
        if (!got || *got == 0) return so_far;
        so_far.bytes += *got;
        took(room.first(*got));
    }
    // Exactly the limit is within it: what tells is whether the peer has more to say.
    std::byte extra;
    const auto got = read({&extra, 1});
    if (got && *got > 0) so_far.how = receive_end::limit;
    return so_far;
}

}  // namespace

std::string_view to_string(receive_end how) noexcept {
    switch (how) {
        case receive_end::closed: return "close";
        case receive_end::idle: return "silence";
        case receive_end::limit: return "limit";
        case receive_end::cut: return "cut";
    }
    return "unknown";
}

growing_buffer::growing_buffer(growing_buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

growing_buffer& growing_buffer::operator=(growing_buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
}

growing_buffer::~growing_buffer() { std::free(data_); }

mutable_bytes growing_buffer::room(std::size_t wanted) {
    if (capacity_ - size_ < wanted) {
        const bool is_countable = wanted <= std::numeric_limits<std::size_t>::max() - size_;
        const auto larger = is_countable ? std::max(size_ + wanted, capacity_ * 2) : 0;
        // realloc moves pages rather than bytes once the buffer is large.
        void* const moved = is_countable ? std::realloc(data_, larger) : nullptr;
        if (!moved) throw error(errc::exhausted, "out of memory for what the peer sends; set a smaller limit");
        data_ = static_cast<std::byte*>(moved);
        capacity_ = larger;
    }
    return {data_ + size_, capacity_ - size_};
}

received receive_all(connection& link, const receive_all_options& options,
                     const std::function<void(const_bytes)>& consume) {
    const auto piece = std::make_unique_for_overwrite<std::byte[]>(piece_bytes);
    return read_until_end(
        link, options, [&](std::size_t wanted) { return mutable_bytes(piece.get(), wanted); },
        [&](const_bytes got) { consume(got); });
}

received receive_all(connection& link, const receive_all_options& options, growing_buffer& buffer) {
    return read_until_end(
        link, options, [&](std::size_t wanted) { return buffer.room(wanted).first(wanted); },
        [&](const_bytes got) { buffer.commit(got.size()); });
}

}  // namespace wherry
