// SPDX-License-Identifier: BSD-2-Clause
#include "line_editor.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <histedit.h>
#include <langinfo.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <cwchar>
#include <utility>

#include "progress.hpp"
#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

constexpr std::chrono::milliseconds waiting_interval{500};

unique_fd make_wake() {
    unique_fd made(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!made.is_open()) throw error(errc::exhausted, "no descriptor can be had to wake the reading of lines", errno);
    return made;
}

void wake_up(int fd) noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto ignored = ::write(fd, &one, sizeof one);
}

// Whether there was something to hear.
bool hear(int fd) noexcept {
    std::uint64_t count = 0;
    return ::read(fd, &count, sizeof count) == sizeof count;
}

}  // namespace

// ---- A pipe ----

pipe_line_reader::pipe_line_reader(int fd, std::size_t max_bytes)
    : fd_(fd), max_bytes_(max_bytes), wake_(make_wake()) {}

void pipe_line_reader::interrupt() noexcept { wake_up(wake_.get()); }

// False at the end.
bool pipe_line_reader::fill() {
    const auto had = buffer_.size();
    buffer_.resize(had + 65536);
    for (;;) {
        const auto got = ::read(fd_, buffer_.data() + had, buffer_.size() - had);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) {
            pollfd ready{fd_, POLLIN, 0};
            ::poll(&ready, 1, -1);
            continue;
        }
        buffer_.resize(had + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
        if (got < 0) throw error(errc::io, "standard input cannot be read", errno);
        return got > 0;
    }
}

line_end pipe_line_reader::read(std::string& line) {
    std::size_t searched = position_;
    bool is_too_long = false;
    for (;;) {
        const auto end = buffer_.find('\n', searched);
        if (end != buffer_.npos || buffer_.size() - position_ > max_bytes_) {
            is_too_long = is_too_long || end - position_ > max_bytes_;
            if (!is_too_long) {
                line.assign(buffer_, position_, end - position_);
                if (line.ends_with('\r')) line.pop_back();
            }
            position_ = end == buffer_.npos ? buffer_.size() : end + 1;
            if (end != buffer_.npos) break;
        }
        buffer_.erase(0, std::exchange(position_, 0));
        searched = buffer_.size();
        pollfd ready[] = {{fd_, POLLIN, 0}, {wake_.get(), POLLIN, 0}};
        if (::poll(ready, 2, -1) < 0 && errno != EINTR) throw error(errc::io, "standard input cannot be read", errno);
        if (hear(wake_.get())) return line_end::interrupted;
        if (ready[0].revents == 0) continue;
        if (fill()) continue;
        if (buffer_.empty() && !is_too_long) return line_end::end;
        if (!is_too_long) line = buffer_;
        position_ = buffer_.size();
        break;
    }
    if (is_too_long)
        throw error(errc::bad_input,
                    fmt::format("a line of more than {} is not taken; send it as a file, or with: wherry send -",
                                human_bytes(max_bytes_)));
    return line_end::line;
}

// ---- A terminal ----

namespace {

// For handlers of signals, which can reach nothing else.
std::atomic<int> editor_wake{-1};
std::atomic<bool> was_resized{false}, was_continued{false};

void on_signal(int signal) {
    const int saved = errno;
    (signal == SIGWINCH ? was_resized : was_continued) = true;
    if (const int fd = editor_wake.load(); fd >= 0) wake_up(fd);
    errno = saved;
}

class signal_handler {
public:
    explicit signal_handler(int signal) : signal_(signal) {
        struct sigaction action {};
        action.sa_handler = on_signal;
        action.sa_flags = SA_RESTART;
        ::sigaction(signal, &action, &before_);
    }
    ~signal_handler() { ::sigaction(signal_, &before_, nullptr); }
    signal_handler(const signal_handler&) = delete;
    signal_handler& operator=(const signal_handler&) = delete;

private:
    const int signal_;
    struct sigaction before_ {};
};

// Characters are those of the environment's locale; where it knows none but ASCII, which is hardly ever what the
// terminal is about, those of UTF-8.
void choose_characters() {
    std::setlocale(LC_CTYPE, "");
    if (std::strcmp(::nl_langinfo(CODESET), "ANSI_X3.4-1968") == 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

}  // namespace

struct line_editor::implementation {
    implementation(console& on, line_editor_options given)
        : terminal(on), options(std::move(given)), wake(make_wake()) {
        choose_characters();
        edit = el_init("wherry", stdin, stdout, stderr);
        if (edit == nullptr) throw error(errc::exhausted, "the terminal cannot be set up for typing; try it in a pipe");
        past = history_init();
        el_set(edit, EL_CLIENTDATA, this);
        el_set(edit, EL_PROMPT, &implementation::prompt_of);
        el_set(edit, EL_EDITOR, "emacs");
        el_set(edit, EL_BIND, "^W", "ed-delete-prev-word", nullptr);
        el_set(edit, EL_BIND, "^R", "em-inc-search-prev", nullptr);
        HistEvent event;
        history(past, &event, H_SETSIZE, static_cast<int>(options.history_lines));
        history(past, &event, H_SETUNIQUE, 1);
        el_set(edit, EL_HIST, ::history, past);
        for (const auto& line : options.history) history(past, &event, H_ENTER, line.c_str());
        el_source(edit, nullptr);  // the user's own ~/.editrc
        el_set(edit, EL_ADDFN, "wherry-complete", "completes a command or a path", &implementation::on_complete);
        el_set(edit, EL_BIND, "^I", "wherry-complete", nullptr);
        el_set(edit, EL_GETCFN, &implementation::on_read);
        el_set(edit, EL_SIGNAL, 0);
        editor_wake = wake.get();
    }

    ~implementation() {
        editor_wake = -1;
        el_end(edit);
        history_end(past);
    }

    static implementation& editor_of(EditLine* edit) {
        void* self = nullptr;
        el_get(edit, EL_CLIENTDATA, &self);
        return *static_cast<implementation*>(self);
    }

    static char* prompt_of(EditLine* edit) { return editor_of(edit).options.prompt.data(); }

    static int on_read(EditLine* edit, wchar_t* result) { return editor_of(edit).next_character(result); }

    static unsigned char on_complete(EditLine* edit, int) { return editor_of(edit).complete(); }

    line_end read(std::string& line) {
        character = {};
        terminal.hold([this] { wake_up(wake.get()); });
        // Before the prompt, else what is typed at once is echoed twice, and a Ctrl-D lost.
        el_set(edit, EL_PREP_TERM, 1);
        int length = 0;
        const char* const got = el_gets(edit, &length);
        if (got != nullptr && length > 0) {
            line.assign(got, static_cast<std::size_t>(length));
            terminal.release();
            if (line.ends_with('\n')) line.pop_back();
            if (options.keeps_history && !line.empty()) {
                HistEvent event;
                history(past, &event, H_ENTER, line.c_str());
                entered.push_back(line);
            }
            return line_end::line;
        }
        // The cursor is still behind the line that is given up.
        const bool was_interrupted = is_interrupted.exchange(false);
        std::fputs(was_interrupted ? "^C\n" : "\n", stdout);
        std::fflush(stdout);
        terminal.release();
        return was_interrupted ? line_end::interrupted : line_end::end;
    }

    // As libedit wants it: 1, or something else if there is none.
    int next_character(wchar_t* result) {
        for (;;) {
            pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {wake.get(), POLLIN, 0}};
            const int count = ::poll(ready, 2, static_cast<int>(waiting_interval.count()));
            if (count < 0 && errno != EINTR) return -1;
            if (hear(wake.get()) && !go_on_after_wake()) return -1;
            if (options.while_waiting) options.while_waiting();
            if (count <= 0 || ready[0].revents == 0) continue;
            char byte = 0;
            const auto got = ::read(STDIN_FILENO, &byte, 1);
            if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
            if (got <= 0) return got < 0 ? -1 : 0;
            switch (std::mbrtowc(result, &byte, 1, &character)) {
                case static_cast<std::size_t>(-2): continue;  // more of it comes
                case static_cast<std::size_t>(-1): character = {}; continue;
                default: return 1;
            }
        }
    }

    bool go_on_after_wake() {
        if (is_interrupted) return false;
        if (was_resized.exchange(false)) {
            // Drawn anew: libedit then knows nothing of what is there.
            el_resize(edit);
            std::fputs("\r\x1b[J", stdout);
            el_set(edit, EL_REFRESH);
        }
        if (was_continued.exchange(false)) {
            // The shell has had the terminal meanwhile.
            el_set(edit, EL_PREP_TERM, 1);
            el_set(edit, EL_REFRESH);
        }
        if (terminal.show_held()) el_set(edit, EL_REFRESH);
        return true;
    }

    unsigned char complete() {
        const auto* const line = el_line(edit);
        const std::string before(line->buffer, static_cast<std::size_t>(line->cursor - line->buffer));
        const auto found = options.complete(before);
        if (!found.insert.empty()) {
            el_insertstr(edit, found.insert.c_str());
            return CC_REFRESH;
        }
        if (found.candidates.empty()) return CC_REFRESH_BEEP;
        list(found.candidates);
        return CC_REDISPLAY;
    }

    void list(const std::vector<std::string>& names) {
        constexpr std::size_t most = 200;
        std::size_t widest = 0;
        for (const auto& name : names) widest = std::max(widest, display_width(name));
        const auto per_line = std::max<std::size_t>(1, terminal.columns() / (widest + 2));
        std::string text = "\n";
        for (std::size_t i = 0; i < names.size() && i < most; ++i) {
            text += names[i];
            const bool ends_line = (i + 1) % per_line == 0 || i + 1 == names.size() || i + 1 == most;
            text += ends_line ? "\n" : std::string(widest + 2 - display_width(names[i]), ' ');
        }
        if (names.size() > most) text += fmt::format("and {} more\n", names.size() - most);
        std::fputs(text.c_str(), stdout);
        std::fflush(stdout);
    }

    console& terminal;
    line_editor_options options;
    const unique_fd wake;
    EditLine* edit = nullptr;
    History* past = nullptr;
    std::mbstate_t character{};  // what has come of one
    std::atomic<bool> is_interrupted{false};
    std::vector<std::string> entered;
    const signal_handler resized{SIGWINCH}, continued{SIGCONT};
};

line_editor::line_editor(console& terminal, line_editor_options options)
    : implementation_(std::make_unique<implementation>(terminal, std::move(options))) {}

line_editor::~line_editor() = default;

line_end line_editor::read(std::string& line) { return implementation_->read(line); }

void line_editor::interrupt() noexcept {
    implementation_->is_interrupted = true;
    wake_up(implementation_->wake.get());
}

const std::vector<std::string>& line_editor::entered() const noexcept { return implementation_->entered; }

}  // namespace wherry::app
