// transport-@NAME@: carries bytes over Unix-domain sockets, between programs of one machine. An address is a path.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "wherry/limits.hpp"
#include "wherry/sdk.hpp"
#include "wherry/unique_fd.hpp"

using namespace wherry;

// The code says what the caller can do: after disconnected and timed_out it tries again, after bad_input it does not.
[[noreturn]] void fail(const std::string& what) {
    const int why = errno;
    auto code = errc::io;
    if (why == EPIPE || why == ECONNRESET || why == ECONNREFUSED || why == ENOENT) code = errc::disconnected;
    if (why == EMFILE || why == ENFILE || why == ENOMEM || why == ENOBUFS) code = errc::exhausted;
    if (why == EAGAIN) code = errc::timed_out;
    throw error(code, what + ": " + std::generic_category().message(why), why);
}

// Checks an address. Sentences may hold what it returned for, since they are shown: without control characters.
sockaddr_un name_of(const std::string& path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    const auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
    if (!path.starts_with('/') || path.size() >= sizeof name.sun_path ||
        std::any_of(path.begin(), path.end(), is_control))
        throw error(errc::bad_input, "an address is the absolute path of a socket, of at most " +
                                         std::to_string(sizeof name.sun_path - 1) + " bytes, no control characters");
    path.copy(name.sun_path, path.size());
    return name;
}

unique_fd new_socket(int flags) {
    unique_fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
    if (!socket.is_open()) fail("no socket can be made");
    return socket;
}

// One thread reads while another writes, and abort() comes from a third. A call that it ends returns like one at the
// end of the stream, so that each looks afterwards whether it was aborted.
class socket_link final : public connection {
public:
    socket_link(unique_fd socket, std::string peer) : socket_(std::move(socket)), peer_(std::move(peer)) {}

    std::size_t read_some(mutable_bytes buffer) override {
        const auto got = uninterrupted([&] { return ::recv(socket_.get(), buffer.data(), buffer.size(), 0); });
        check_aborted();
        if (got < 0) fail("nothing can be read from " + peer_);
        return static_cast<std::size_t>(got);  // 0: the peer has written all
    }
    void write_all(std::span<const const_bytes> pieces) override {
        for (auto piece : pieces) {
            while (!piece.empty()) {
                // Without MSG_NOSIGNAL a peer that is gone would end the program.
                const auto sent =
                    uninterrupted([&] { return ::send(socket_.get(), piece.data(), piece.size(), MSG_NOSIGNAL); });
                check_aborted();
                if (sent < 0) fail("nothing can be written to " + peer_);
                piece = piece.subspan(static_cast<std::size_t>(sent));
            }
        }
    }
    void shutdown_write() override {
        const int failed = ::shutdown(socket_.get(), SHUT_WR);
        check_aborted();
        if (failed != 0) fail("writing to " + peer_ + " cannot be ended");
    }
    void set_read_timeout(std::chrono::milliseconds time) noexcept override { set_timeout(SO_RCVTIMEO, time); }
    void set_write_timeout(std::chrono::milliseconds time) noexcept override { set_timeout(SO_SNDTIMEO, time); }
    void abort() noexcept override {
        is_aborted_ = true;
        ::shutdown(socket_.get(), SHUT_RDWR);  // wakes both threads; the descriptor stays theirs until the end
    }
    std::string_view peer_address() const noexcept override { return peer_; }
    std::size_t record_bytes() const noexcept override { return limits::max_record_bytes / 4; }

private:
    void check_aborted() const {
        if (is_aborted_) throw error(errc::disconnected, "the connection was closed from this side");
    }
    void set_timeout(int which, std::chrono::milliseconds time) noexcept {
        timeval value{};  // 0 waits for ever, for the kernel as for wherry
        value.tv_sec = time.count() / 1000;
        value.tv_usec = time.count() % 1000 * 1000;
        ::setsockopt(socket_.get(), SOL_SOCKET, which, &value, sizeof value);
    }

    const unique_fd socket_;
    const std::string peer_;
    std::atomic<bool> is_aborted_{false};
};

class socket_listener final : public listener {
public:
    socket_listener(const std::string& path, int backlog) : path_(path), socket_(new_socket(0)) {
        const auto name = name_of(path);
        if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
            if (errno == EADDRINUSE)
                throw error(errc::bad_input, path + " exists already; if no receiver listens there, remove it");
            fail("cannot listen at " + path);
        }
        if (::listen(socket_.get(), backlog) != 0) ::unlink(path.c_str()), fail("cannot listen at " + path);
    }
    ~socket_listener() override { ::unlink(path_.c_str()); }

    std::unique_ptr<connection> accept() override {
        unique_fd peer(uninterrupted([&] { return ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC); }));
        if (is_aborted_) throw error(errc::cancelled, "listening at " + path_ + " was stopped");
        if (!peer.is_open()) fail("no connection can be accepted at " + path_);
        return std::make_unique<socket_link>(std::move(peer), path_);  // a client's end has no name of its own
    }
    std::string_view address() const noexcept override { return path_; }
    void abort() noexcept override {
        is_aborted_ = true;
        ::shutdown(socket_.get(), SHUT_RDWR);
    }

private:
    const std::string path_;
    const unique_fd socket_;
    std::atomic<bool> is_aborted_{false};
};

class socket_transport final : public transport {  // every function from any thread
public:
    socket_transport(const settings& options, const host_services&)
        : default_path_(std::filesystem::absolute(options.text("path"))),
          backlog_(static_cast<int>(options.integer("backlog"))),
          connect_timeout_(options.duration("connect-timeout")) {}

    std::unique_ptr<connection> connect(const std::string& path) override {
        const auto name = name_of(path);
        auto socket = new_socket(SOCK_NONBLOCK);
        const auto limit = std::chrono::steady_clock::now() + connect_timeout_;
        for (;; std::this_thread::sleep_for(std::chrono::milliseconds(10))) {
            if (is_stopped_) throw error(errc::cancelled, "connecting to " + path + " was stopped");
            if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0) break;
            // EAGAIN: as many wait there as its backlog has room for.
            if (errno != EAGAIN || std::chrono::steady_clock::now() >= limit) fail("cannot connect to " + path);
        }
        if (::fcntl(socket.get(), F_SETFL, 0) != 0) fail("cannot connect to " + path);
        return std::make_unique<socket_link>(std::move(socket), path);
    }
    void connect_abort() noexcept override { is_stopped_ = true; }

    std::unique_ptr<listener> listen(const std::string& path) override {
        return std::make_unique<socket_listener>(path.empty() ? default_path_ : path, backlog_);
    }

private:
    const std::string default_path_;
    const int backlog_;
    const std::chrono::milliseconds connect_timeout_;
    std::atomic<bool> is_stopped_{false};
};

constexpr wherry_option options[] = {
    path_option("path", "@NAME@.socket", "where to listen if no address is given"),
    integer_option("backlog", "64", "connections that may wait to be accepted", 1, 4096),
    duration_option("connect-timeout", "10s", "how long to wait where too many others do", 1, 3'600'000),
};
WHERRY_PLUGIN(socket_transport, "@NAME@", "0.1.0", "Unix-domain sockets of this machine", options)
