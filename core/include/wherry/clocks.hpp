// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>

// Every time that this side waits, and what it waits for. Options of the program and of plugins have their own.
//
// clang-format off
// Waits that depend on each other:
//   silent_pings * ping_interval < io_timeout   A newer connection takes over before the older one gives up.
//   join_wait < leave_wait                      The peer still waits for BYE while extra connections join.
//   last_words_wait <= close_wait               A side that says why it ends keeps the link open while the other reads.
//   cancel_grace < leave_wait                   A cancelled sender cuts the link before it would wait for BYE in vain.
//   unproved_grace < handshake_timeout          A stranger can be evicted before its handshake is overdue.
// clang-format on
namespace wherry::clocks {

// ---- A connection ----

// For the preface and the handshake as a whole.
inline constexpr std::chrono::seconds handshake_timeout{20};
// Silence after which the peer counts as gone.
inline constexpr std::chrono::seconds io_timeout{60};
// A side that has had nothing to say for this long says PING.
inline constexpr std::chrono::seconds ping_interval{5};
// A connection that is silent for so many of its peer's pings seems dead to a newer one.
inline constexpr int silent_pings = 3;

// ---- Its end ----

// After a failed write: until the reader has what the peer said about it. Also where one of several connections failed.
inline constexpr std::chrono::seconds last_words_wait{2};
// After both sides said BYE, or this one said why it ends: until the peer closes the connection.
inline constexpr std::chrono::seconds close_wait{2};
// After BYE: until the peer says BYE.
inline constexpr std::chrono::seconds leave_wait{5};
// Before BYE: until extra connections that are just being opened have joined.
inline constexpr std::chrono::seconds join_wait{1};
// After CANCEL of everything: until the receiver has answered.
inline constexpr std::chrono::seconds cancel_grace{3};
// After a receiver is told to stop: until what is in flight has ended.
inline constexpr std::chrono::seconds stop_grace{10};

// ---- Deliveries ----

// An answer waits so long for others that go out with it.
inline constexpr std::chrono::milliseconds answer_delay{20};
// A delivery that came whole waits so long for the one before it to be finished.
inline constexpr std::chrono::milliseconds finish_patience{20};
// A delivery waits so long for descriptors before it is refused, and asks again at this interval.
inline constexpr std::chrono::seconds descriptor_timeout{10};
inline constexpr std::chrono::milliseconds descriptor_retry_interval{10};
// How long how a delivery ended is remembered, and how often what is older is dropped.
inline constexpr std::chrono::hours result_lifetime{24};
inline constexpr std::chrono::hours tidying_interval{1};

// ---- Many peers ----

// Extra connections may join a receiver for so long.
inline constexpr std::chrono::minutes join_lifetime{5};
// No stranger is evicted sooner. A sender starts the handshake as soon as it is connected, and proves its key one round
// trip later.
inline constexpr std::chrono::milliseconds unproved_grace{250};
// Peers that come at the same moment wait so long for those before them.
inline constexpr std::chrono::milliseconds rush_time{25};
// Descriptors or threads have run out: a connection that ends may bring some back, and so may other programs.
inline constexpr std::chrono::milliseconds exhausted_pause{50};

// ---- A peer that speaks no protocol (--raw) ----

// A silent connection notices within this time that it should end.
inline constexpr std::chrono::milliseconds raw_attention{1000};
// The read timeout for bytes that have arrived already.
inline constexpr std::chrono::milliseconds raw_glance{1};

static_assert(silent_pings * ping_interval < io_timeout);
static_assert(join_wait < leave_wait);
static_assert(last_words_wait <= close_wait);
static_assert(cancel_grace < leave_wait);
static_assert(unproved_grace < handshake_timeout);

}  // namespace wherry::clocks
