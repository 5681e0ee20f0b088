// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <thread>

// Waits for what another thread does. It sleeps meanwhile: a thread that only asks again and again holds the lock that
// the other one wants, and on a machine with few processors the other one may then never come to its turn.
template <typename Condition>
void wait_until(Condition condition) {
    while (!condition()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}
