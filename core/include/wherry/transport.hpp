// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "wherry/bytes.hpp"
#include "wherry/error.hpp"

namespace wherry {

// A reliable, ordered stream of bytes.
// Thread-safety: one reader and one writer may run at once; otherwise lock outside.
class stream {
public:
    virtual ~stream() = default;

    // Reads 1..buffer.size() bytes; returns 0 only at the orderly end of the stream.
    // Throws error: disconnected if the peer vanished, timed_out if nothing came for the read timeout, after which
    // the stream can still be used. REQUIRES: !buffer.empty().
    virtual std::size_t read_some(mutable_bytes buffer) = 0;

    // Writes every byte of every piece, in order, or throws. The pieces are borrowed until it returns.
    virtual void write_all(std::span<const const_bytes> pieces) = 0;
    void write_all(const_bytes piece) { write_all(std::span<const const_bytes>(&piece, 1)); }
};

// A stream to one peer over a link. Closed when it is destroyed.
class connection : public stream {
public:
    using stream::write_all;

    // No more will be written; the peer reads to the end. What was written before still arrives. Over a link that
    // cannot be closed by half (RFCOMM) the other direction ends with it, and what the peer still writes is lost.
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

// A peer that discover() found. Borrowed for the call. What is not known is left out.
struct discovered_peer {
    std::string_view address;  // in the form that connect takes
    std::string_view name = {};
    std::optional<int> signal_dbm = std::nullopt;
    std::optional<bool> is_paired = std::nullopt;
    std::optional<bool> has_receiver = std::nullopt;  // whether a wherry receiver runs there
};

// The person who watches a pairing, for both sides must see or type the same. Asked from any thread, one at a time.
class pairing_agent {
public:
    virtual ~pairing_agent() = default;

    // Whether to pair; `code` is the number that the other device should show, too, or empty where the devices agree on
    // none, and nobody can tell who answers.
    virtual bool confirm(std::string_view code) = 0;
    // The code that the other device shows, or wants; none: the person has none.
    virtual std::optional<std::string> enter() = 0;
    // Shows a code that is to be typed on the other device. Returns at once.
    virtual void show(std::string_view code) = 0;
};

// A way to reach peers. Thread-safety: all functions from any thread.
class transport {
public:
    virtual ~transport() = default;

    // Throws error: bad_input for an address of the wrong form, disconnected or timed_out if the peer is not reached.
    virtual std::unique_ptr<connection> connect(const std::string& address) = 0;

    // Makes connect() throw errc::cancelled soon, now and later. Connections that there are stay. Idempotent. Does
    // nothing where a transport cannot do that.
    virtual void connect_abort() noexcept {}

    // An empty address means the transport's default.
    virtual std::unique_ptr<listener> listen(const std::string& address) = 0;

    // Looks for peers for up to `limit`, and tells each as it is found, and again when more is known of it; ends early
    // when found() returns false. Where nothing is found it may call found() now and then with an empty address, to
    // hear whether to go on. Throws errc::unsupported where a transport cannot do that.
    virtual void discover(std::chrono::milliseconds limit, const std::function<bool(const discovered_peer&)>& found) {
        (void)limit;
        (void)found;
        throw error(errc::unsupported, "this transport cannot look for peers");
    }

    // Makes this device and the one at `address` known to each other, so that the link itself can be encrypted; one
    // that is paired already stays so. Takes up to `limit`, without the time for which the agent keeps it waiting.
    // Throws error: refused if a person at either end said no; unsupported where a transport has no such thing.
    virtual void pair(const std::string& address, std::chrono::milliseconds limit, pairing_agent& agent) {
        (void)address;
        (void)limit;
        (void)agent;
        throw error(errc::unsupported, "this transport knows no pairing");
    }
};

}  // namespace wherry
