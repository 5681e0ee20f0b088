// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include "link_writer.hpp"
#include "wherry/error.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// Puts the RESULT frames of one transfer into a record, which the writer transmits when it is full.
void put_answer(link_writer& writer, record_buffer& record, transfer_id id, const delivery_result& result);

// The same whatever was altered, so that nobody who alters records learns more than that they do not open.
inline error damaged_on_the_way() {
    return error(errc::integrity, "what arrived was damaged on the way; send it again");
}

inline error shutting_down() { return error(errc::disconnected, "the receiver is shutting down; send it again later"); }

}  // namespace wherry
