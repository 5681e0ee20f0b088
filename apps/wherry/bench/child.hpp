// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "wherry/mutex.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::app::bench {

// Another process of this program, in a process group of its own, so that a Ctrl-C at the terminal is this one's to
// deal with. Its standard output is read here; its standard error is this program's. It ends with this process.
// Used by one thread, but for signal(). Must be made by a thread that outlives it.
class child_process {
public:
    // `environment` is all of it: "NAME=VALUE" each. Throws error(errc::exhausted) if there can be no other process.
    child_process(const std::vector<std::string>& arguments, const std::vector<std::string>& environment);
    // Kills it if it has not been waited for.
    ~child_process();
    child_process(const child_process&) = delete;
    child_process& operator=(const child_process&) = delete;

    // The next line that it says, without its end; nothing once it has closed its output.
    std::optional<std::string> next_line();
    // Reads and drops the rest of its output on a thread of its own: a full pipe would make it wait. Call once, and
    // next_line() no more. Throws error(errc::exhausted) if no thread can be started.
    void drop_output();
    // Its exit status; 128 and the signal for one that a signal ended.
    int wait();
    // From any thread; nothing happens once it has been waited for.
    void signal(int number) noexcept;

private:
    unique_fd output_;
    std::string read_;  // behind the last line
    mutex mutex_;
    pid_t pid_ = -1;  // -1: it has been waited for
    std::jthread dropping_;
};

}  // namespace wherry::app::bench
