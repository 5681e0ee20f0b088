// SPDX-License-Identifier: BSD-2-Clause
// Ends the process, or keeps it from ending, in the way and in the call that its options name.
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "wherry/sdk.hpp"

namespace {

// Hangs in exit(), if the plugin's objects are destroyed before the exit guard of the program runs.
struct stubborn {
    std::atomic<bool> hangs{false};
    ~stubborn() {
        while (hangs) ::pause();
    }
} at_exit;

// In the kernel, as who waits for a disk: until its child is gone, which is when this thread is.
void stall() {
    if (::vfork() != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
}

class ending_delivery final : public wherry::delivery {
public:
    ending_delivery(std::string how, std::string where) : how_(std::move(how)), where_(std::move(where)) {}
    void write(wherry::const_bytes) override { end_in("write"); }
    void finish(wherry::response&) override { end_in("finish"); }
    void abort(partial) noexcept override { end_in("abort"); }

private:
    void end_in(const std::string& here) const {
        if (here != where_) return;
        at_exit.hangs = how_ != "fork" && how_ != "stall";
        if (how_ == "exit") std::exit(0);
        if (how_ == "quick-exit") std::quick_exit(0);
        if (how_ == "stall") stall();
        // Ends only a child process, not the program.
        if (how_ == "fork" && ::fork() == 0) std::exit(0);
        if (how_ == "thread") {
            std::thread([] { std::exit(0); }).detach();
            for (;;) ::pause();
        }
    }

    const std::string how_, where_;
};

class ending_sink final : public wherry::sink {
public:
    ending_sink(const wherry::settings& given, const wherry::host_services&)
        : how_(given.text("how")), where_(given.text("in")) {
        if (where_ == "configure_done") std::exit(0);
    }

    std::unique_ptr<wherry::delivery> begin(const wherry::offer&, const wherry::offering_peer&) override {
        return std::make_unique<ending_delivery>(how_, where_);
    }

private:
    const std::string how_, where_;
};

constexpr wherry_option options[] = {
    wherry::choice_option("how", "exit|quick-exit|thread|fork|stall", "exit",
                          "how it ends the process, or keeps it from its end"),
    wherry::choice_option("in", "configure_done|write|finish|abort", "write", "where"),
};

}  // namespace

WHERRY_PLUGIN(ending_sink, "ending", "1", "ends the process", options)
