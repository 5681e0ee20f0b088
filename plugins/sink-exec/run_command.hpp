// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace wherry::exec {

struct command_call {
    std::string program;  // absolute path
    std::vector<std::string> words;
    std::vector<std::string> environment;  // "NAME=value", all there is
    std::string directory;                 // to run in; "": this process's
    int input = -1;                        // becomes standard input; borrowed
};

struct run_limits {
    std::chrono::milliseconds timeout{0};   // zero: none
    std::chrono::milliseconds grace{2000};  // between SIGTERM and SIGKILL
    std::size_t max_output_bytes = 0;
    std::size_t max_complaint_bytes = 0;
    int stop = -1;  // a descriptor: once it can be read, the command is to end; -1: none
};

struct ended_command {
    enum class cause { exited, signalled, timed_out, stopped };
    cause why = cause::exited;
    int number = 0;      // the exit status or the signal
    std::string output;  // the first of standard output
    bool is_output_cut = false;
    std::string complaints;  // the first of standard error
    std::uint64_t more_complaint_bytes = 0;
};

// Runs a command and waits for its end. It gets a session of its own, standard input, output and error and no other
// descriptor, and no ignored or blocked signals. What it writes is read to the end, and dropped beyond the limits. A
// process that it leaves behind is let be, and not waited for, whatever it has open. At the time limit, and when it is
// to stop, its process group gets SIGTERM and, if that does not end it within the grace, SIGKILL.
// Throws error if it cannot be started. Thread-safety: from any thread. REQUIRES: SIGCHLD is not ignored.
ended_command run_command(const command_call& call, const run_limits& limits);

}  // namespace wherry::exec
