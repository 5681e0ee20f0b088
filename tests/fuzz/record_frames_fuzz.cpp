// SPDX-License-Identifier: BSD-2-Clause
// The frames of one opened record.
#include <algorithm>
#include <array>

#include "frame.hpp"
#include "fuzz.hpp"

using namespace wherry;

namespace {

void decode(const frame& got) {
    switch (got.type) {
        case frame_type::offer: decode_offer(got.payload); break;
        case frame_type::accept: decode_accept(got.payload); break;
        case frame_type::end: decode_end(got.payload); break;
        case frame_type::result:
        case frame_type::cancel: decode_result(got.payload); break;
        default: break;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto record = fuzz::bytes_of(data, size);
    byte_reader frames(record, "a record");
    while (frames.remaining() > 0) {
        const auto at = record.size() - frames.remaining();
        try {
            const auto got = take_frame(frames);
            std::array<std::byte, frame_header_bytes> header;
            store_frame_header(header, got.type, got.flags, got.transfer, got.payload.size());
            fuzz::require(std::ranges::equal(header, record.subspan(at, header.size())));
            fuzz::require(got.payload.data() == record.data() + at + header.size());
            try {
                decode(got);
            } catch (const error& e) {
                fuzz::require(e.code() == errc::protocol || e.code() == errc::unsupported || e.code() == errc::refused);
            }
        } catch (const error& e) {
            fuzz::require(e.code() == errc::protocol);
            break;
        }
    }
    return 0;
}
