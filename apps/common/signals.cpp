// SPDX-License-Identifier: BSD-2-Clause
#include "signals.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include "last_resort.hpp"
#include "wherry/error.hpp"

namespace wherry::app {

namespace {

// A signal's handler can reach nothing but what is global.
std::atomic<int> wake_fd{-1};

// Bytes in the pipe that are not numbers of signals.
constexpr char stop_watching = 0, nothing_new = 127;

// More unhandled signals than these are dropped, because a third one has no further effect.
constexpr std::size_t most_waiting = 64;

void on_signal(int signal) {
    const char signal_came = static_cast<char>(signal);
    const int saved = errno;
    const int fd = wake_fd.load();
    if (fd >= 0) {
        [[maybe_unused]] const auto ignored = ::write(fd, &signal_came, 1);
    }
    errno = saved;
}

void handle(int signal, void (*handler)(int)) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
}

// Returns the next byte from the pipe; nothing_new if none comes in time.
char next_from(int pipe, std::chrono::steady_clock::time_point until) {
    using clock = std::chrono::steady_clock;
    int timeout = -1;
    if (until != clock::time_point::max()) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
        timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000));
    }
    pollfd news{pipe, POLLIN, 0};
    char what = nothing_new;
    if (::poll(&news, 1, timeout) == 1 && ::read(pipe, &what, 1) != 1) what = nothing_new;
    return what;
}

}  // namespace

signal_watcher::signal_watcher(std::function<void(unsigned)> otherwise) : otherwise_(std::move(otherwise)) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw error(errc::exhausted, "no pipe can be made to watch signals with", errno);
    read_end_.reset(ends[0]);
    write_end_.reset(ends[1]);
    ::fcntl(write_end_.get(), F_SETFL, O_NONBLOCK);
    wake_fd = write_end_.get();
    waiting_.reserve(most_waiting);
    handling_thread_ = std::jthread([this] { handle_all(); });
    try {
        watching_thread_ = std::jthread([this] { watch(); });
    } catch (...) {
        stop_handling();
        throw;
    }
    handle(SIGPIPE, SIG_IGN);
    // Ignored, so that a write beyond the limit of a file's size (ulimit -f) fails with EFBIG and ends nothing else.
    handle(SIGXFSZ, SIG_IGN);
    // One that was ignored at the start stays so, as for nohup, or a script's command with & behind it.
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction before {};
        ::sigaction(signal, nullptr, &before);
        if (before.sa_handler != SIG_IGN) handle(signal, on_signal);
    }
}

signal_watcher::~signal_watcher() {
    // Whoever holds Ctrl-C while the program ends by itself is not to change how it ends.
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction before {};
        ::sigaction(signal, nullptr, &before);
        if (before.sa_handler == on_signal) handle(signal, SIG_IGN);
    }
    stop_handling();
    wake_fd = -1;
    // The pipe may be full of signals; then the thread is reading it.
    while (::write(write_end_.get(), &stop_watching, 1) < 0 && (errno == EINTR || errno == EAGAIN))
        std::this_thread::yield();
    watching_thread_.join();
}

unsigned signal_watcher::count() const {
    const mutex_lock lock(mutex_);
    return count_;
}

void signal_watcher::end_within(std::chrono::milliseconds grace) noexcept {
    const auto end = (clock::now() + grace).time_since_epoch().count();
    auto known = end_at_.load();
    while (end < known && !end_at_.compare_exchange_weak(known, end)) {
    }
    // If the pipe is full, the thread is awake and sees the new end.
    [[maybe_unused]] const auto ignored = ::write(write_end_.get(), &nothing_new, 1);
}

// Waits for no lock that a hung plugin, or a full output, can hold.
void signal_watcher::watch() {
    ending_watch ending, stuck;
    std::uint64_t stuck_in = 0;
    auto next_look = clock::time_point::max();
    bool has_heard = false;
    for (;;) {
        const char what = next_from(read_end_.get(), next_look);
        if (what == stop_watching) return;
        has_heard = has_heard || what != nothing_new;
        bool is_stuck = false;
        {
            const mutex_lock lock(waiting_mutex_);
            if (what != nothing_new && waiting_.size() < most_waiting) waiting_.push_back(what);
            is_stuck = is_handling_ && !waiting_.empty();
            if (!is_stuck || stuck_in != handled_) stuck = {};
            stuck_in = handled_;
        }
        has_news_.notify_all();

        const auto now = clock::now();
        const clock::time_point end{clock::duration(end_at_.load())};
        const bool is_to_have_ended = now >= end;
        if (now >= next_look) {
            if (is_stuck) stuck.look(ending_watch::keeper::handler);
            if (is_to_have_ended)
                ending.look(has_heard ? ending_watch::keeper::anything : ending_watch::keeper::plugin);
            next_look = clock::time_point::max();
        }
        next_look = std::min(next_look, is_to_have_ended || is_stuck ? now + ending_watch::interval : end);
    }
}

void signal_watcher::handle_all() {
    for (;;) {
        int signal = 0;
        {
            mutex_lock news(waiting_mutex_);
            is_handling_ = false;
            has_news_.wait(news, [this]() WHERRY_REQUIRES(waiting_mutex_) { return is_over_ || !waiting_.empty(); });
            if (is_over_) return;
            signal = waiting_.front();
            waiting_.erase(waiting_.begin());
            is_handling_ = true;
            ++handled_;
        }
        const mutex_lock lock(mutex_);
        latest_ = signal;
        ++count_;
        if (handler_)
            handler_(++count_in_scope_);
        else if (end_at_ != clock::time_point::max().time_since_epoch().count())
            end_within(std::chrono::milliseconds(0));
        else
            otherwise_(count_);
    }
}

void signal_watcher::stop_handling() {
    {
        const mutex_lock lock(waiting_mutex_);
        is_over_ = true;
    }
    has_news_.notify_all();
    handling_thread_.join();
}

signal_watcher::scope::scope(signal_watcher& watcher, std::function<void(unsigned)> handler) : watcher_(watcher) {
    const mutex_lock lock(watcher_.mutex_);
    watcher_.handler_ = std::move(handler);
    watcher_.count_in_scope_ = 0;
    if (watcher_.count_ > 0) watcher_.handler_(watcher_.count_in_scope_ = watcher_.count_);
}

signal_watcher::scope::~scope() {
    const mutex_lock lock(watcher_.mutex_);
    watcher_.handler_ = nullptr;
}

}  // namespace wherry::app
