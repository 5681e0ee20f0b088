#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "wherry/bytes.hpp"

namespace wherry {

// A reliable, ordered stream of bytes.
// Thread-safety: one reader and one writer may run at once; otherwise lock outside.
class stream {
public:
    virtual ~stream() = default;

    // Reads 1..into.size() bytes; returns 0 only at the orderly end of the stream.
    // Throws error: disconnected if the peer vanished, timed_out if nothing came for the read timeout, after which
    // the stream can still be used. REQUIRES: !into.empty().
    virtual std::size_t read_some(mutable_bytes into) = 0;

    // Writes every byte of every piece, in order, or throws. The pieces are borrowed until it returns.
    virtual void write_all(std::span<const const_bytes> pieces) = 0;
    void write_all(const_bytes piece) { write_all(std::span<const const_bytes>(&piece, 1)); }
};

// A stream to one peer over a link. Closed when it is destroyed.
class connection : public stream {
public:
    using stream::write_all;

    // No more will be written; the peer reads to the end. What was written before still arrives.
    virtual void shutdown_write() = 0;

    // How long a read waits for the first byte, and a write for any byte to move; zero: for ever.
    virtual void set_read_timeout(std::chrono::milliseconds timeout) noexcept = 0;
    virtual void set_write_timeout(std::chrono::milliseconds timeout) noexcept = 0;

    // Makes blocked and later calls fail with errc::disconnected. From any thread, until destruction; idempotent.
    virtual void abort() noexcept = 0;

    // In the form that transport::connect takes. Lives as long as the connection.
    virtual std::string_view peer_address() const noexcept = 0;

    // The size of a record, its overhead included, that suits the link.
    virtual std::size_t record_bytes() const noexcept = 0;
};

// Waits for peers. Closed when it is destroyed; connections that it gave live on.
class listener {
public:
    virtual ~listener() = default;

    // The next connection. Throws error: cancelled after abort(); exhausted if a descriptor or memory was lacking,
    // after which it can be called again.
    virtual std::unique_ptr<connection> accept() = 0;

    // The real address (a port of 0 replaced by the port), in the form that transport::connect takes.
    virtual std::string_view address() const noexcept = 0;

    // Makes accept() throw errc::cancelled, now and later. From any thread, until destruction; idempotent.
    virtual void abort() noexcept = 0;
};

// A peer that discover() found. Borrowed for the call.
struct discovered_peer {
    std::string_view address;
    std::string_view name;  // may be empty
};

// A way to reach peers. Thread-safety: all functions from any thread.
class transport {
public:
    virtual ~transport() = default;

    // Throws error: bad_input for an address of the wrong form, disconnected or timed_out if the peer is not reached.
    virtual std::unique_ptr<connection> connect(const std::string& address) = 0;

    // An empty address means the transport's default.
    virtual std::unique_ptr<listener> listen(const std::string& address) = 0;

    // Looks for peers for up to `limit`, and tells each as it is found; ends early when found() returns false.
    // Throws errc::unsupported where a transport cannot do that.
    virtual void discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) {
        (void)limit;
        (void)found;
        throw error(errc::unsupported, "this transport cannot look for peers");
    }
};

}  // namespace wherry
