// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wherry/mutex.hpp"

namespace wherry::app {

// Standard output and standard error, shared by everything that writes to them, so that lines stay whole and a progress
// bar never runs into one. A reader of standard output that goes away is no failure: what comes after is dropped.
// Thread-safety: all functions from any thread.
class console {
public:
    console();
    ~console();
    console(const console&) = delete;
    console& operator=(const console&) = delete;

    // One whole line (or several) to standard output; the line end is added. Results and events. False if nobody reads
    // it any more.
    bool result(std::string_view line);
    // The same to standard error. Logs, errors and notes.
    void note(std::string_view line);

    // Shows `text`, a line or several, below everything else, in place of what was there before; "" takes it away. Each
    // line has to be narrower than columns(), and they fewer than rows(). Only where shows_status().
    void status(std::string_view text);

    // While something else draws on the terminal, from hold() to release(), nothing is written, and no status shown:
    // `wake` is called, from any thread, when there is something to write, and show_held() writes it, in place of the
    // line that the cursor is in; false if there was nothing. release() writes what is still held.
    void hold(std::function<void()> wake);
    bool show_held();
    void release();

    // True if standard error is a terminal that can redraw a line.
    bool shows_status() const noexcept { return shows_status_; }
    // Columns of that terminal, read again at each call, so that a resized window counts at once; 80 if unknown.
    std::size_t columns() const noexcept;
    // The same for its lines; 24 if unknown.
    std::size_t rows() const noexcept;
    // True if standard output is a terminal.
    bool is_output_terminal() const noexcept;

private:
    bool write_line(int fd, std::string_view line);
    bool write_text(int fd, std::string_view text) WHERRY_REQUIRES(mutex_);
    void erase_status() WHERRY_REQUIRES(mutex_);

    mutex mutex_;
    std::string status_ WHERRY_GUARDED_BY(mutex_);
    std::function<void()> wake_ WHERRY_GUARDED_BY(mutex_);                     // null: nothing is held
    std::vector<std::pair<int, std::string>> held_ WHERRY_GUARDED_BY(mutex_);  // where to, what
    const bool shows_status_;
    std::atomic<bool> output_is_gone_{false};
};

// True if a person can be asked: standard input and standard error are terminals.
bool can_ask();

// Asks on the terminal and returns the line that was typed, without its end; nothing typed at the end of input gives
// "". REQUIRES: can_ask().
std::string ask_line(const std::string& prompt);

// Asks without echo, on the terminal that controls this process, even where standard input is a pipe. Writes the
// answer to `answer` and returns its length. Throws error: unsupported where there is no terminal, bad_input if the
// answer does not fit.
std::size_t ask_secret(const std::string& prompt, std::span<char> answer);

// Undoes what ask_secret did to the terminal, from any thread and in the middle of it; for a program that is to end.
void restore_terminal() noexcept;

}  // namespace wherry::app
