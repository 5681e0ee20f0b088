// SPDX-License-Identifier: BSD-2-Clause
#include "answer.hpp"

#include "frame.hpp"

namespace wherry {

namespace {

// A response goes out in pieces that each fit a record that is small enough for any link.
constexpr std::size_t response_piece_bytes = 4096;

}  // namespace

void put_answer(link_writer& writer, record_buffer& record, transfer_id id, const delivery_result& result) {
    const_bytes rest = result.response;
    while (rest.size() > response_piece_bytes) {
        const auto piece = rest.first(response_piece_bytes);
        writer.put(record, frame_type::result, frame_flag::more, id,
                   encode(result_frame{result.failure, "", {piece.begin(), piece.end()}, ""}));
        rest = rest.subspan(response_piece_bytes);
    }
    writer.put(record, frame_type::result, 0, id,
               encode(result_frame{result.failure, result.text, {rest.begin(), rest.end()}, result.outcome}));
}

}  // namespace wherry
