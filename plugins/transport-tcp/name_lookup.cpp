// SPDX-License-Identifier: BSD-2-Clause
#include "name_lookup.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <atomic>
#include <exception>
#include <memory>
#include <system_error>
#include <thread>

#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::tcp {

namespace {

// Threads that still look something up, though nobody waits for them.
constexpr int most_left_behind = 4;
std::atomic<int> left_behind{0};

// What a thread that may outlive connect(), and the transport, works with. That the thread's code stays, too, is due to
// `-z nodelete` in CMakeLists.txt.
struct lookup {
    lookup(const endpoint& host, const resolver& how) : where(host), find(how) {}

    const endpoint where;
    const resolver find;
    stop_signal over;  // raised behind the result
    std::vector<socket_address> found;
    std::exception_ptr failure;
    std::atomic<bool> has_lost_a_side{false};  // the thread has ended, or its caller has left: the second one counts
};

void run(lookup& one) noexcept {
    try {
        one.found = one.find(one.where);
    } catch (...) {
        one.failure = std::current_exception();
    }
    if (one.has_lost_a_side.exchange(true)) --left_behind;
    one.over.raise();
}

void leave_behind(std::thread thread, lookup& one) {
    ++left_behind;
    if (one.has_lost_a_side.exchange(true)) --left_behind;
    thread.detach();
}

}  // namespace

std::vector<socket_address> look_up(const endpoint& where, const resolver& find, const stop_signal& stop,
                                    const deadline& until, std::chrono::milliseconds limit) {
    if (const auto number = numeric_address(where)) return {*number};
    const auto name = printable(where.host);
    if (left_behind >= most_left_behind)
        throw error(errc::exhausted,
                    fmt::format("the name '{}' is not looked up, because {} earlier lookups still hang; try again "
                                "later, or give the address as a number",
                                name, most_left_behind));
    const auto one = std::make_shared<lookup>(where, find);
    std::thread thread;
    try {
        thread = std::thread([one] { run(*one); });
    } catch (const std::system_error&) {
        return find(where);  // no thread can be had
    }
    auto woken = wake::stopped;
    try {
        woken = wait_for(one->over.descriptor(), POLLIN, stop, until);
    } catch (const error&) {
        leave_behind(std::move(thread), *one);
        throw;
    }
    if (woken == wake::ready || woken == wake::hung_up) {
        thread.join();
        if (one->failure) std::rethrow_exception(one->failure);
        return std::move(one->found);
    }
    leave_behind(std::move(thread), *one);
    if (woken == wake::stopped) throw error(errc::cancelled, fmt::format("looking up the name '{}' was stopped", name));
    throw error(errc::timed_out,
                fmt::format("the name '{}' was not looked up within {}; check the network and its name server, or "
                            "give the address as a number",
                            name, shown(limit)));
}

}  // namespace wherry::tcp
