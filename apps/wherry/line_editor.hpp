// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat_line.hpp"
#include "console.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::app {

// How the reading of a line ended.
enum class line_end {
    line,         // with a line
    end,          // there are no more
    interrupted,  // a person gave the line up
};

// Where lines come from.
// Thread-safety: read() by one thread; interrupt() from any.
class line_reader {
public:
    virtual ~line_reader() = default;

    // Throws error(errc::io) if the input cannot be read.
    virtual line_end read(std::string& line) = 0;

    // Ends a read that waits.
    virtual void interrupt() noexcept = 0;
};

// Lines of a pipe or a file, each of any bytes, without its end: LF or CR LF. The last one need not have one.
class pipe_line_reader final : public line_reader {
public:
    // `fd` is borrowed. A line that is longer than `max_bytes` throws error(errc::bad_input), and the reading goes on
    // behind it.
    pipe_line_reader(int fd, std::size_t max_bytes);

    line_end read(std::string& line) override;
    void interrupt() noexcept override;

private:
    bool fill();

    const int fd_;
    const std::size_t max_bytes_;
    unique_fd wake_;
    std::string buffer_;
    std::size_t position_ = 0;
};

// What a terminal's editor is made with.
struct line_editor_options {
    std::string prompt;
    std::function<line_completion(std::string_view before_cursor)> complete;
    // Called now and then while a person is typing, or is not.
    std::function<void()> while_waiting;
    bool keeps_history = true;
    std::vector<std::string> history;  // the oldest first
    std::size_t history_lines = 1000;
};

// Lines that a person types at the terminal, with editing, history and completion, by libedit. What others write to
// the console meanwhile is shown above the line.
// One at a time. REQUIRES: standard input and standard output are terminals.
class line_editor final : public line_reader {
public:
    // `terminal` outlives it.
    line_editor(console& terminal, line_editor_options options);
    ~line_editor() override;

    line_end read(std::string& line) override;
    void interrupt() noexcept override;

    // The lines that came by, without those of `history`.
    const std::vector<std::string>& entered() const noexcept;

private:
    struct implementation;
    std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry::app
