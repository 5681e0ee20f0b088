// SPDX-License-Identifier: BSD-2-Clause
// The plugin may go while a lookup that was left behind still hangs in the system's resolver, which is this file's
// here.
#include <gmock/gmock.h>
#include <netdb.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <iterator>
#include <thread>

#include "error_of.hpp"
#include "wherry/plugin_host.hpp"

namespace {

std::atomic<bool> is_begun{false}, is_released{false};

}  // namespace

// Exported, so that the plugin calls it.
extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char*, const char*, const addrinfo* hints,
                                                                  addrinfo**) {
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) return EAI_NONAME;
    is_begun = true;
    while (!is_released) std::this_thread::yield();
    return EAI_AGAIN;
}

namespace wherry {
namespace {

std::ptrdiff_t count_threads() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

TEST(tcp_lookup, ends_when_its_plugin_has_gone) {
    const auto before = count_threads();
    {
        const plugin_host host({WHERRY_TEST_PLUGIN_DIRECTORY},
                               {"/nowhere", [](host_environment::level, const std::string&) {}, nullptr, nullptr});
        const auto tcp =
            host.load(plugin_kind::transport, "tcp")->make_transport(option_values{{"connect-timeout", "1h"}});
        auto waiting =
            std::async(std::launch::async, [&] { return test::error_of([&] { tcp->connect("lab-pc:1"); }); });
        while (!is_begun) std::this_thread::yield();
        tcp->connect_abort();
        EXPECT_EQ(waiting.get().code(), errc::cancelled);
    }
    EXPECT_EQ(count_threads(), before + 1);
    is_released = true;
    while (count_threads() > before) std::this_thread::yield();
}

}  // namespace
}  // namespace wherry
