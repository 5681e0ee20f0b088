// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <string>

#include "messages.hpp"
#include "wherry/transport.hpp"

// Messages on the stream.
namespace wherry::hybrid {

// Header and body as one piece, which is what the transcript takes, too.
byte_vector framed(message_type type, const_bytes body);

// Reads one message of this type, header included, and not a byte more. Throws error: protocol for another type or a
// length out of bounds, disconnected at the end of the stream, and what an alert in its place means.
byte_vector read_message(stream& link, message_type expected);

inline const_bytes body_of(const_bytes message) noexcept { return message.subspan(message_header_bytes); }

// Best effort: this side fails already for a reason of its own.
void send_alert(stream& link, const alert& what) noexcept;

// What both sides are told when they have no version, KEM or AEAD in common. REQUIRES: that is what the alert says.
std::string nothing_in_common(const alert& what);

}  // namespace wherry::hybrid
