// SPDX-License-Identifier: BSD-2-Clause
#include "console.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "wherry/error.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::app {

namespace {

// Takes away what status() showed: its last line is the cursor's.
std::string eraser(std::string_view status) {
    const auto above = std::count(status.begin(), status.end(), '\n');
    if (above == 0) return "\r\x1b[K";
    return fmt::format("\r\x1b[{}A\x1b[J", above);
}

bool is_redrawable(int fd) {
    if (::isatty(fd) == 0) return false;
    const char* kind = std::getenv("TERM");
    return kind != nullptr && *kind != '\0' && std::strcmp(kind, "dumb") != 0;
}

// False if nobody reads `fd` any more.
bool write_all(int fd, std::string_view text) noexcept {
    while (!text.empty()) {
        const auto written = ::write(fd, text.data(), text.size());
        if (written >= 0) {
            text.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno == EAGAIN) {
            ::usleep(1000);  // somebody made it non-blocking; there is nothing else to do meanwhile
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}

// The terminal whose echo ask_secret turned off; -1: none. A watcher of signals must be able to put it right.
std::atomic<int> silenced_terminal{-1};
termios settings_before{};

class silence {
public:
    explicit silence(int terminal) {
        if (::tcgetattr(terminal, &settings_before) != 0) return;
        termios quiet = settings_before;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        quiet.c_lflag |= ECHONL;
        silenced_terminal = terminal;
        ::tcsetattr(terminal, TCSAFLUSH, &quiet);
    }
    ~silence() { restore_terminal(); }
    silence(const silence&) = delete;
    silence& operator=(const silence&) = delete;
};

}  // namespace

console::console() : shows_status_(is_redrawable(STDERR_FILENO)) {}

console::~console() { status({}); }

void console::erase_status() {
    if (!status_.empty()) write_all(STDERR_FILENO, eraser(status_));
}

bool console::write_text(int fd, std::string_view text) {
    const bool is_written = write_all(fd, text);
    if (!is_written && fd == STDOUT_FILENO) output_is_gone_ = true;
    return is_written;
}

bool console::write_line(int fd, std::string_view line) {
    std::string text(line);
    text += '\n';
    const mutex_lock lock(mutex_);
    if (wake_) {
        held_.emplace_back(fd, std::move(text));
        wake_();
        return true;
    }
    erase_status();
    const bool is_written = write_text(fd, text);
    write_all(STDERR_FILENO, status_);
    return is_written;
}

void console::hold(std::function<void()> wake) {
    const mutex_lock lock(mutex_);
    erase_status();
    status_.clear();
    wake_ = std::move(wake);
}

bool console::show_held() {
    const mutex_lock lock(mutex_);
    if (held_.empty()) return false;
    write_all(STDOUT_FILENO, "\r\x1b[J");
    for (const auto& [fd, text] : std::exchange(held_, {})) write_text(fd, text);
    return true;
}

void console::release() {
    const mutex_lock lock(mutex_);
    wake_ = nullptr;
    for (const auto& [fd, text] : std::exchange(held_, {})) write_text(fd, text);
}

bool console::result(std::string_view line) { return !output_is_gone_ && write_line(STDOUT_FILENO, line); }

void console::note(std::string_view line) { write_line(STDERR_FILENO, line); }

void console::status(std::string_view text) {
    if (!shows_status_) return;
    const mutex_lock lock(mutex_);
    if (wake_ || text == status_) return;
    // In one write, so that it does not flicker.
    auto drawn = eraser(status_);
    drawn += text;
    status_ = text;
    write_all(STDERR_FILENO, drawn);
}

std::size_t console::columns() const noexcept {
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

std::size_t console::rows() const noexcept {
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) return size.ws_row;
    return 24;
}

bool console::is_output_terminal() const noexcept { return ::isatty(STDOUT_FILENO) != 0; }

bool can_ask() { return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0; }

std::string ask_line(const std::string& prompt) {
    write_all(STDERR_FILENO, prompt);
    std::string line;
    char next = 0;
    // Byte by byte: what follows the line belongs to whoever reads standard input next.
    for (;;) {
        const auto got = ::read(STDIN_FILENO, &next, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            write_all(STDERR_FILENO, "\n");
            return line;
        }
        if (next == '\n') return line;
        line += next;
    }
}

std::size_t ask_secret(const std::string& prompt, std::span<char> answer) {
    const unique_fd terminal(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal.is_open() || ::isatty(STDERR_FILENO) == 0)
        throw error(errc::unsupported, "there is no terminal to ask on");
    const silence quiet(terminal.get());
    write_all(terminal.get(), prompt);
    std::size_t length = 0;
    char next = 0;
    bool fits = true;
    for (;;) {
        const auto got = ::read(terminal.get(), &next, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || next == '\n') break;
        if (length < answer.size())
            answer[length++] = next;
        else
            fits = false;
    }
    ::explicit_bzero(&next, 1);
    if (!fits) {
        ::explicit_bzero(answer.data(), answer.size());
        throw error(errc::bad_input, fmt::format("the answer is longer than {} bytes", answer.size()));
    }
    return length;
}

void restore_terminal() noexcept {
    const int terminal = silenced_terminal.exchange(-1);
    if (terminal >= 0) ::tcsetattr(terminal, TCSAFLUSH, &settings_before);
}

}  // namespace wherry::app
