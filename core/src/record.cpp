// SPDX-License-Identifier: BSD-2-Clause
#include "record.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "wherry/limits.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

// What is asked for beyond the record at hand: enough for the head of the next one, or for a run of small ones, and
// little to move to the front of the buffer.
constexpr std::size_t read_ahead_bytes = 4096;
constexpr std::size_t least_read_bytes = std::size_t{64} << 10;
// The same while next to nothing is to be held.
constexpr std::size_t bare_read_bytes = 512;

}  // namespace

record_buffer::record_buffer(std::size_t record_bytes, std::size_t overhead, numbering how)
    : capacity_(record_bytes - record_length_bytes - overhead),
      overhead_(overhead),
      reserved_(how == numbering::ordered ? order_frame_bytes : 0) {}

void record_buffer::append(frame_type type, std::uint8_t flags, std::uint32_t transfer, const_bytes payload) {
    if (!fits(payload.size())) throw error(errc::internal, "a frame does not fit its record");
    store_frame_header({body() + used_, frame_header_bytes}, type, flags, transfer, payload.size());
    if (!payload.empty()) std::memcpy(body() + used_ + frame_header_bytes, payload.data(), payload.size());
    used_ += frame_header_bytes + payload.size();
}

mutable_bytes record_buffer::data_room() {
    return {body() + used_ + frame_header_bytes, capacity_ - used_ - frame_header_bytes};
}

void record_buffer::commit(frame_type type, std::uint8_t flags, std::uint32_t transfer,
                           std::size_t payload_bytes) noexcept {
    store_frame_header({body() + used_, frame_header_bytes}, type, flags, transfer, payload_bytes);
    used_ += frame_header_bytes + payload_bytes;
}

void record_buffer::take_over(record_buffer& other) {
    if (other.used_ > capacity_) throw error(errc::internal, "a record does not fit another");
    if (capacity_ == other.capacity_)
        std::swap(bytes_, other.bytes_);
    else
        std::memcpy(body() + reserved_, other.body() + reserved_, other.used_ - reserved_);
    used_ = std::exchange(other.used_, other.reserved_);
}

const_bytes record_buffer::seal(cipher_session& session) {
    const std::size_t sealed = used_ + overhead_;
    session.seal({body(), sealed}, used_);
    used_ = reserved_;
    store_big_endian<std::uint32_t>({bytes(), record_length_bytes}, static_cast<std::uint32_t>(sealed));
    return {bytes(), record_length_bytes + sealed};
}

record_reader::record_reader(connection& link, cipher_session& session, std::chrono::milliseconds record_timeout,
                             std::shared_ptr<last_heard> heard) noexcept
    : link_(link), session_(session), record_timeout_(record_timeout), heard_(std::move(heard)) {}

std::optional<std::size_t> record_reader::next_length(read_size how) {
    if (!fill(record_length_bytes, how)) return std::nullopt;
    const std::size_t sealed = load_big_endian<std::uint32_t>({buffer_.get() + begin_, record_length_bytes});
    // A record without a frame says nothing; it would only keep us busy.
    if (sealed > limits::max_record_bytes || sealed < session_.overhead() + frame_header_bytes)
        throw error(errc::integrity,
                    fmt::format("a record announces {} bytes, which is out of bounds: it was damaged on "
                                "the way, or the peer is faulty; send again over a new connection",
                                sealed));
    return sealed;
}

std::optional<const_bytes> record_reader::next() {
    const auto sealed = next_length(read_size::comfortable);
    if (!sealed) return std::nullopt;
    fill(record_length_bytes + *sealed);
    const auto opened = session_.open({buffer_.get() + begin_ + record_length_bytes, *sealed});
    begin_ += record_length_bytes + *sealed;
    return opened;
}

bool record_reader::is_next_short(std::size_t sealed_bytes) {
    const auto sealed = next_length(read_size::bare);
    if (!sealed || *sealed > sealed_bytes) return false;
    fill(record_length_bytes + *sealed, read_size::bare);
    return true;
}

bool record_reader::fill(std::size_t wanted, read_size how) {
    if (end_ - begin_ >= wanted) return true;
    if (begin_ == end_) begin_ = end_ = 0;
    const bool is_bare = how == read_size::bare;
    const std::size_t comfortable =
        is_bare ? std::max(wanted, bare_read_bytes) : std::max(wanted + read_ahead_bytes, least_read_bytes);
    if (buffer_.capacity() - begin_ < wanted || (!is_bare && buffer_.capacity() < least_read_bytes)) {
        // Only the head of one record is ever here, so this moves little.
        if (buffer_.capacity() < comfortable) {
            record_memory larger(comfortable);
            if (end_ > begin_) std::memcpy(larger.get(), buffer_.get() + begin_, end_ - begin_);
            buffer_ = std::move(larger);
        } else {
            std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
        }
        end_ -= begin_;
        begin_ = 0;
    }
    const auto begun = clock::now();
    while (end_ - begin_ < wanted) {
        const std::size_t target = std::min(buffer_.capacity(), begin_ + comfortable);
        const auto got = link_.read_some({buffer_.get() + end_, target - end_});
        if (got == 0) {
            if (end_ == begin_) return false;
            throw error(errc::disconnected, "the link was cut in the middle of a record");
        }
        end_ += got;
        if (heard_) *heard_ = clock::now();
        const bool has_begun = end_ - begin_ > record_length_bytes;
        if (has_begun && end_ - begin_ < wanted && record_timeout_.count() > 0 &&
            clock::now() - begun > record_timeout_)
            throw error(errc::timed_out,
                        "a record did not come to its end in time; the link is too slow or damages data");
    }
    return true;
}

}  // namespace wherry
