#include "signals.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <stdexcept>

#include "wherry/error.hpp"

namespace wherry::app {

namespace {

// A signal's handler can reach nothing but what is global.
std::atomic<int> wake_fd{-1};

constexpr char stop_watching = 0;

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

}  // namespace

signal_watcher::signal_watcher(std::function<void(unsigned)> otherwise) : otherwise_(std::move(otherwise)) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw error(errc::exhausted, "no pipe can be made to hear signals with", errno);
    read_end_.reset(ends[0]);
    write_end_.reset(ends[1]);
    ::fcntl(write_end_.get(), F_SETFL, O_NONBLOCK);
    wake_fd = write_end_.get();
    thread_ = std::thread([this] { watch(); });
    handle(SIGPIPE, SIG_IGN);
    // A write beyond the limit of a file's size (ulimit -f) fails with EFBIG instead, and only it.
    handle(SIGXFSZ, SIG_IGN);
    handle(SIGINT, on_signal);
    handle(SIGTERM, on_signal);
    // Of a closed terminal; nohup has it ignored, and so it stays.
    struct sigaction before {};
    ::sigaction(SIGHUP, nullptr, &before);
    if (before.sa_handler == SIG_DFL) handle(SIGHUP, on_signal);
}

signal_watcher::~signal_watcher() {
    // Whoever holds Ctrl-C while the program ends by itself is not to change how it ends.
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        struct sigaction before {};
        ::sigaction(signal, nullptr, &before);
        if (before.sa_handler == on_signal) handle(signal, SIG_IGN);
    }
    wake_fd = -1;
    // The pipe may be full of signals; then the watcher is awake and will make room.
    while (::write(write_end_.get(), &stop_watching, 1) < 0 && (errno == EINTR || errno == EAGAIN))
        std::this_thread::yield();
    thread_.join();
}

unsigned signal_watcher::count() const {
    const std::lock_guard lock(mutex_);
    return count_;
}

void signal_watcher::watch() {
    char what = 0;
    for (;;) {
        const auto got = ::read(read_end_.get(), &what, 1);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || what == stop_watching) return;
        const std::lock_guard lock(mutex_);
        latest_ = what;
        ++count_;
        if (handler_)
            handler_(++count_in_scope_);
        else
            otherwise_(count_);
    }
}

signal_watcher::scope::scope(signal_watcher& watcher, std::function<void(unsigned)> handler) : watcher_(watcher) {
    const std::lock_guard lock(watcher_.mutex_);
    watcher_.handler_ = std::move(handler);
    watcher_.count_in_scope_ = 0;
    if (watcher_.count_ > 0) watcher_.handler_(watcher_.count_in_scope_ = watcher_.count_);
}

signal_watcher::scope::~scope() {
    const std::lock_guard lock(watcher_.mutex_);
    watcher_.handler_ = nullptr;
}

}  // namespace wherry::app
