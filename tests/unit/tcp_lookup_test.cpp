// SPDX-License-Identifier: BSD-2-Clause
// The plugin may go while a lookup that was left behind still hangs in the system's resolver, which is this file's
// here.
#include <gmock/gmock.h>
#include <netdb.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <string>
#include <thread>

#include "error_of.hpp"
#include "wait_until.hpp"
#include "wherry/plugin_host.hpp"

namespace {

std::atomic<int> lookup_task{0};  // the number of the thread that looks something up
std::atomic<bool> is_released{false};

}  // namespace

// Exported, so that the plugin calls it.
extern "C" __attribute__((visibility("default"))) int getaddrinfo(const char*, const char*, const addrinfo* hints,
                                                                  addrinfo**) {
    if ((hints->ai_flags & AI_NUMERICHOST) != 0) return EAI_NONAME;
    lookup_task = static_cast<int>(::syscall(SYS_gettid));
    wait_until([&] { return is_released.load(); });
    return EAI_AGAIN;
}

namespace wherry {
namespace {

TEST(tcp_lookup, ends_when_its_plugin_has_gone) {
    {
        const plugin_host host({WHERRY_TEST_PLUGIN_DIRECTORY},
                               {"/nowhere", [](host_environment::level, const std::string&) {}, nullptr, nullptr});
        const auto tcp =
            host.load(plugin_kind::transport, "tcp")->make_transport(option_values{{"connect-timeout", "1h"}});
        auto waiting =
            std::async(std::launch::async, [&] { return test::error_of([&] { tcp->connect("lab-pc:1"); }); });
        wait_until([&] { return lookup_task != 0; });
        tcp->connect_abort();
        EXPECT_EQ(waiting.get().code(), errc::cancelled);
    }
    const auto task = "/proc/self/task/" + std::to_string(lookup_task);
    EXPECT_TRUE(std::filesystem::exists(task));
    is_released = true;
    wait_until([&] { return !std::filesystem::exists(task); });
}

}  // namespace
}  // namespace wherry
