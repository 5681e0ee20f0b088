// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "wherry/transport.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry {

// A flag that is raised once, from any thread, and that wakes whoever waits with wait_for() below.
class stop_signal {
public:
    // Throws error(errc::exhausted) where no descriptor is left.
    stop_signal();

    void raise() noexcept;
    bool raised() const noexcept { return raised_.load(std::memory_order_acquire); }
    // Readable once raised.
    int descriptor() const noexcept { return event_.get(); }

private:
    unique_fd event_;
    std::atomic<bool> raised_{false};
};

using deadline = std::optional<std::chrono::steady_clock::time_point>;

// Now plus `timeout`; none for a timeout of zero.
deadline deadline_after(std::chrono::milliseconds timeout) noexcept;

// What is left until then, for poll(2): -1 without a deadline, 0 when it has passed.
int poll_timeout(const deadline& until) noexcept;

// `hung_up`: both directions have ended, or the socket has failed; what has come can still be read.
enum class wake { ready, hung_up, timed_out, stopped };

// Sleeps until poll(2) reports `events`, an error or the end on the socket.
wake wait_for(int socket, short events, const stop_signal& stop, const deadline& until);

// Where accept(2) stores the name of a peer; nothing is asked for where it is null.
struct peer_name_space {
    sockaddr* name = nullptr;
    socklen_t* length = nullptr;
};

// Waits for the next connection and returns its socket, which never blocks. An errno of which concerns_one(errno) is
// true is trouble of the one connection that was next, which has left the queue. `address` is where it listens, for
// sentences. Throws error: cancelled once the signal was raised; exhausted if a descriptor or memory was lacking.
unique_fd accept_next(int listening, const stop_signal& stop, const std::string& address, bool (*concerns_one)(int),
                      peer_name_space peer = {});

// "30 s", "500 ms"
std::string shown(std::chrono::milliseconds duration);

// The system's words for an errno.
std::string system_text(int code);

// How a family of sockets tells that the peer has closed.
enum class closing {
    in_order,  // the end comes behind the last byte, and an abrupt one as a failure
    by_reset   // ECONNRESET, once, is the end, whether it was meant or not (RFCOMM)
};

// A connected, non-blocking stream socket of any family as a connection.
class socket_connection final : public connection {
public:
    // The stop signal comes from outside so that a lack of descriptors shows before the socket is there.
    // `let_go`, if there is one, runs when the socket has been closed.
    socket_connection(unique_fd socket, std::unique_ptr<stop_signal> stop, std::string peer_address,
                      std::size_t record_bytes, closing habit = closing::in_order,
                      std::function<void()> let_go = nullptr)
        : socket_(std::move(socket)),
          stop_(std::move(stop)),
          peer_address_(std::move(peer_address)),
          record_bytes_(record_bytes),
          habit_(habit),
          let_go_(std::move(let_go)) {}
    ~socket_connection() override;

    std::size_t read_some(mutable_bytes buffer) override;
    using connection::write_all;
    // A write that timed out before its first byte may be repeated; one that was cut short is final for writing.
    void write_all(std::span<const const_bytes> pieces) override;
    void shutdown_write() override;
    void set_read_timeout(std::chrono::milliseconds timeout) noexcept override { read_timeout_ = timeout; }
    void set_write_timeout(std::chrono::milliseconds timeout) noexcept override { write_timeout_ = timeout; }
    void abort() noexcept override { stop_->raise(); }
    std::string_view peer_address() const noexcept override { return peer_address_; }
    std::size_t record_bytes() const noexcept override { return record_bytes_; }

private:
    enum class writing { open, shut, torn };

    void check_writable() const;
    // What a failure that some call has fetched from the socket means for a read: its end, or that failure.
    std::size_t end_of_reading(int code);
    [[noreturn]] void fail_writing(int code);

    unique_fd socket_;
    std::unique_ptr<stop_signal> stop_;
    std::string peer_address_;
    std::size_t record_bytes_;
    closing habit_;
    std::function<void()> let_go_;
    // The socket tells its failure to one call only; the other direction's thread learns it from here.
    std::atomic<int> failure_{0};
    bool is_read_out_ = false;                    // the reading thread's, as the next
    bool is_emptied_ = false;                     // the last read took all there was
    std::chrono::milliseconds read_timeout_{0};   // the reading thread's
    std::chrono::milliseconds write_timeout_{0};  // the writing thread's, as the next
    writing writing_ = writing::open;
};

}  // namespace wherry
