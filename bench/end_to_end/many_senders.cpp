// SPDX-License-Identifier: BSD-2-Clause
// many_senders HOME TO COUNT FILE...: so many senders at once of one process, each with a connection of its own and its
// share of the files, to a `wherry receive` that runs already; prints the seconds from the first connection until the
// last answer. For bench/report.
//
// HOME has the keys, as for the program; a receiver's key is remembered at first contact. Whatever is not delivered
// ends it with 1.

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <exception>
#include <future>
#include <latch>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "wherry/wherry.hpp"

namespace {

using stopwatch = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& why) { throw wherry::error(wherry::errc::io, why); }

wherry::endpoint endpoint_of(const char* home) {
    wherry::endpoint_options options;
    options.home = home;
    return wherry::endpoint(std::move(options));
}

void deliver(const wherry::endpoint& here, const char* to, const std::vector<wherry::item>& items) {
    wherry::send_options options;
    options.new_peer = wherry::first_contact::remember;
    for (const auto& one : wherry::send(here, to, items, options).failures)
        fail(one.name + " was not delivered: " + one.text);
}

void send_from_many(const char* home, const char* to, std::size_t count, const std::vector<std::string>& files) {
    const auto here = endpoint_of(home);
    std::vector<std::vector<wherry::item>> shares(count);
    for (std::size_t i = 0; i < files.size(); ++i) shares[i % count].push_back(wherry::file(files[i]));

    std::atomic<std::size_t> failed{0};
    std::string first_failure;
    std::mutex mutex;
    std::latch all_are_there(static_cast<std::ptrdiff_t>(count) + 1),
        all_have_ended(static_cast<std::ptrdiff_t>(count));
    // A thread that ends gives its stack back, which is nothing of the transfer's.
    std::promise<void> time_is_taken;
    const auto until_then = time_is_taken.get_future().share();
    std::vector<std::thread> senders;
    for (const auto& share : shares)
        senders.emplace_back([&, &mine = share] {
            all_are_there.arrive_and_wait();
            try {
                deliver(here, to, mine);
            } catch (const std::exception& e) {
                const std::lock_guard lock(mutex);
                if (failed++ == 0) first_failure = e.what();
            }
            all_have_ended.count_down();
            until_then.wait();
        });
    all_are_there.arrive_and_wait();
    const auto begin = stopwatch::now();
    all_have_ended.wait();
    const std::chrono::duration<double> took = stopwatch::now() - begin;
    time_is_taken.set_value();
    for (auto& one : senders) one.join();
    if (failed > 0) fail(std::to_string(failed) + " of " + std::to_string(count) + " senders: " + first_failure);
    std::printf("%.6f\n", took.count());
}

}  // namespace

// A connection takes several descriptors, and the usual limit for programs that did not ask is 1,024.
static void allow_many_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char** argv) try {
    const std::size_t count = argc < 5 ? 0 : std::stoul(argv[3]);
    if (count == 0) {
        std::fprintf(stderr, "usage: many_senders HOME TO COUNT FILE...\n");
        return 2;
    }
    allow_many_descriptors();
    send_from_many(argv[1], argv[2], count, {argv + 4, argv + argc});
    return 0;
} catch (const std::exception& e) {
    std::fprintf(stderr, "many_senders: %s\n", wherry::printable(e.what()).c_str());
    return 1;
}
