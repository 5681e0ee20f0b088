// SPDX-License-Identifier: BSD-2-Clause
#include "socket_connection.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <climits>
#include <system_error>

namespace wherry {

namespace {

[[noreturn]] void fail_aborted() { throw error(errc::disconnected, "the connection was closed from this side"); }

[[noreturn]] void fail_transfer(int code, const std::string& peer) {
    const auto why = system_text(code);
    switch (code) {
        case ECONNRESET:
        case EPIPE:
        case ECONNABORTED:
        case ENOTCONN:
            throw error(errc::disconnected, fmt::format("the peer closed the connection abruptly ({})", why), code);
        case ETIMEDOUT:
            throw error(errc::disconnected, fmt::format("the peer {} stopped answering ({})", peer, why), code);
        case ENETDOWN:
        case ENETUNREACH:
        case ENETRESET:
        case EHOSTDOWN:
        case EHOSTUNREACH: throw error(errc::disconnected, fmt::format("the link to {} failed ({})", peer, why), code);
        case ENOMEM:
        case ENOBUFS:
            throw error(errc::exhausted,
                        fmt::format("the system has no memory for the connection to {} ({})", peer, why), code);
        default: throw error(errc::io, fmt::format("the connection to {} failed ({})", peer, why), code);
    }
}

bool would_block(int code) noexcept { return code == EAGAIN || code == EWOULDBLOCK; }

// The pieces that are still to be sent, as sendmsg wants them.
class remaining_pieces {
public:
    explicit remaining_pieces(std::span<const const_bytes> pieces) noexcept : pieces_(pieces) { skip_empty(); }

    bool empty() const noexcept { return pieces_.empty(); }

    std::span<iovec> next_batch() noexcept {
        std::size_t count = 0;
        std::size_t skip = sent_;
        for (const auto piece : pieces_) {
            if (count == batch_.size()) break;
            const auto rest = piece.subspan(skip);
            skip = 0;
            if (rest.empty()) continue;
            batch_[count++] = {const_cast<std::byte*>(rest.data()), rest.size()};
        }
        return std::span(batch_).first(count);
    }

    void advance(std::size_t bytes) noexcept {
        while (bytes > 0) {
            const auto step = std::min(bytes, pieces_.front().size() - sent_);
            sent_ += step;
            bytes -= step;
            skip_empty();
        }
    }

private:
    void skip_empty() noexcept {
        while (!pieces_.empty() && sent_ == pieces_.front().size()) {
            pieces_ = pieces_.subspan(1);
            sent_ = 0;
        }
    }

    std::span<const const_bytes> pieces_;
    std::size_t sent_ = 0;           // of the first piece
    std::array<iovec, 64> batch_{};  // below IOV_MAX; more would only be rebuilt more often
};

}  // namespace

stop_signal::stop_signal() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!event_.is_open()) {
        const int code = errno;
        throw error(errc::exhausted,
                    fmt::format("no file descriptor is left for another connection ({})", system_text(code)), code);
    }
}

void stop_signal::raise() noexcept {
    raised_.store(true, std::memory_order_release);
    const std::uint64_t one = 1;
    // It fails only when the counter is full, and then it is readable anyway.
    [[maybe_unused]] const auto ignored = uninterrupted([&] { return ::write(event_.get(), &one, sizeof one); });
}

deadline deadline_after(std::chrono::milliseconds timeout) noexcept {
    if (timeout.count() == 0) return std::nullopt;
    return std::chrono::steady_clock::now() + timeout;
}

int poll_timeout(const deadline& until) noexcept {
    if (!until) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - std::chrono::steady_clock::now()).count();
    return static_cast<int>(std::clamp<decltype(left)>(left, 0, INT_MAX));
}

wake wait_for(int socket, short events, const stop_signal& stop, const deadline& until) {
    std::array<pollfd, 2> watched = {{{socket, events, 0}, {stop.descriptor(), POLLIN, 0}}};
    const int ready = uninterrupted([&] { return ::poll(watched.data(), watched.size(), poll_timeout(until)); });
    if (ready < 0) throw error(errc::io, fmt::format("cannot wait for the connection ({})", system_text(errno)), errno);
    if (watched[1].revents != 0) return wake::stopped;
    if (ready == 0) return wake::timed_out;
    return (watched[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0 ? wake::hung_up : wake::ready;
}

unique_fd accept_next(int listening, const stop_signal& stop, const std::string& address, bool (*concerns_one)(int),
                      peer_name_space peer) {
    const socklen_t room = peer.length ? *peer.length : 0;
    for (;;) {
        if (stop.raised()) throw error(errc::cancelled, fmt::format("listening at {} was stopped", address));
        if (peer.length) *peer.length = room;
        unique_fd socket(
            uninterrupted([&] { return ::accept4(listening, peer.name, peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC); }));
        if (socket.is_open()) return socket;
        const int code = errno;
        if (would_block(code)) {
            wait_for(listening, POLLIN, stop, std::nullopt);
            continue;
        }
        if (concerns_one(code)) continue;
        switch (code) {
            case EMFILE:
            case ENFILE:
            case ENOMEM:
            case ENOBUFS:
                throw error(
                    errc::exhausted,
                    fmt::format("no descriptor or memory is left for another connection ({})", system_text(code)),
                    code);
            default: throw error(errc::io, fmt::format("cannot accept at {} ({})", address, system_text(code)), code);
        }
    }
}

std::string shown(std::chrono::milliseconds duration) {
    const auto count = duration.count();
    return count % 1000 == 0 ? fmt::format("{} s", count / 1000) : fmt::format("{} ms", count);
}

std::string system_text(int code) { return std::generic_category().message(code); }

socket_connection::~socket_connection() {
    socket_.reset();
    if (let_go_) let_go_();
}

std::size_t socket_connection::end_of_reading(int code) {
    if (habit_ == closing::by_reset && (code == 0 || code == ECONNRESET)) {
        is_read_out_ = true;
        return 0;
    }
    fail_transfer(code == 0 ? ECONNRESET : code, peer_address_);
}

std::size_t socket_connection::read_some(mutable_bytes buffer) {
    deadline until;
    bool has_hung_up = false;
    for (;;) {
        if (stop_->raised()) fail_aborted();
        if (is_read_out_) return 0;
        // Tried before any poll: where data flow, one system call does. Not where the last read took all there was.
        if (!is_emptied_) {
            const auto got = uninterrupted([&] { return ::recv(socket_.get(), buffer.data(), buffer.size(), 0); });
            if (got >= 0) {
                is_emptied_ = got > 0 && static_cast<std::size_t>(got) < buffer.size();
                return static_cast<std::size_t>(got);
            }
            const int code = errno;
            if (!would_block(code)) {
                failure_ = code;
                return end_of_reading(code);
            }
            // Nothing is left, and nothing will come: the other direction's thread has fetched the reason.
            if (has_hung_up) return end_of_reading(failure_);
        }
        is_emptied_ = false;
        if (!until) until = deadline_after(read_timeout_);
        const auto woken = wait_for(socket_.get(), POLLIN, *stop_, until);
        if (woken == wake::timed_out)
            throw error(errc::timed_out,
                        fmt::format("nothing came from {} for {}", peer_address_, shown(read_timeout_)));
        has_hung_up = woken == wake::hung_up;
    }
}

void socket_connection::check_writable() const {
    if (stop_->raised()) fail_aborted();
    if (writing_ == writing::torn)
        throw error(errc::disconnected,
                    fmt::format("an earlier write to {} was cut short; connect again", peer_address_));
    if (writing_ == writing::shut)
        throw error(errc::internal, fmt::format("a write to {} after the end of what is to be written", peer_address_));
}

void socket_connection::write_all(std::span<const const_bytes> pieces) {
    check_writable();
    remaining_pieces rest(pieces);
    deadline until;
    bool has_hung_up = false;
    while (!rest.empty()) {
        if (stop_->raised()) fail_aborted();
        const auto batch = rest.next_batch();
        msghdr message{};
        message.msg_iov = batch.data();
        message.msg_iovlen = batch.size();
        const auto sent = uninterrupted([&] { return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL); });
        if (sent >= 0) {
            rest.advance(static_cast<std::size_t>(sent));
            // From here on a failure leaves the peer with half of what was meant.
            writing_ = writing::torn;
            until.reset();
            has_hung_up = false;
            continue;
        }
        const int code = errno;
        if (!would_block(code)) fail_writing(code);
        // It takes no more, ever: the other direction's thread has fetched the reason.
        if (has_hung_up) fail_writing(failure_ == 0 ? ECONNRESET : failure_.load());
        if (!until) until = deadline_after(write_timeout_);
        const auto woken = wait_for(socket_.get(), POLLOUT, *stop_, until);
        if (woken == wake::timed_out)
            throw error(errc::timed_out,
                        fmt::format("the peer {} took nothing for {}", peer_address_, shown(write_timeout_)));
        has_hung_up = woken == wake::hung_up;
    }
    writing_ = writing::open;
}

void socket_connection::fail_writing(int code) {
    failure_ = code;
    fail_transfer(code, peer_address_);
}

void socket_connection::shutdown_write() {
    if (stop_->raised()) fail_aborted();
    if (::shutdown(socket_.get(), SHUT_WR) != 0) fail_transfer(errno, peer_address_);
    writing_ = writing::shut;
}

}  // namespace wherry
