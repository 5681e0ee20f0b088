// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "wherry/callback_sink.hpp"
#include "wherry/clocks.hpp"
#include "wherry/endpoint.hpp"
#include "wherry/receive_all.hpp"
#include "wherry/server.hpp"

namespace wherry {

// Peers that speak no protocol; see server_protocol.
struct raw_receiving {
    receive_all_options limits;
    bool once = false;  // the end of the first delivery closes its connection
};

struct receiver_options {
    channel_options timing;
    // Senders served at once; further ones wait for one of them to end.
    std::size_t max_connections = 256;
    // Connections that one sender may use at once, 1 to limits::max_streams; see send_options::streams.
    std::size_t max_streams = limits::usual_streams;
    // With a function: how it is called, and what it gets at the most.
    calls how = calls::one_at_a_time;
    callback_limits limits;
    // Told of connections and deliveries, from their threads. May be null; else outlives the receiver.
    server_observer* observer = nullptr;
    // Told of a sender whose key is not authorised, from the thread of its connection; empty: the endpoint's log is.
    std::function<void(const identity& peer)> refused;
    // With it, all bytes that any peer sends are delivered, without a cipher and keys. Only the link vouches for them.
    std::optional<raw_receiving> raw;
};

// Accepts deliveries from senders whose keys are in authorized_keys of the endpoint's home, and checks that file for
// each delivery. Thread-safety: stop(), address() and count_keys() from any thread; the rest by one.
class receiver {
public:
    // Listens from now on, and serves from run() or start() on. `address` is "tcp://HOST:PORT"; port 0 is any that is
    // free; what is left out is the transport's default: "tcp://" listens for every host. Throws error: bad_input for
    // what is wrong with the address, the plugins or the key, and what listening throws.
    receiver(const endpoint& here, std::string_view address, delivery_callback callback, receiver_options options = {});
    // `store` outlives the receiver; it may be a plugin's.
    receiver(const endpoint& here, std::string_view address, sink& store, receiver_options options = {});
    // As stop(0), and waits for the thread of start(). REQUIRES: run() has returned where it was called.
    ~receiver();
    receiver(const receiver&) = delete;
    receiver& operator=(const receiver&) = delete;

    // Where it listens, as send() takes it, with the real port: "tcp://127.0.0.1:41234".
    const std::string& address() const noexcept;
    // Returns the number of keys in authorized_keys. Throws error if that file cannot be used.
    std::size_t count_keys() const;

    // What is in flight when it is to stop may still end within this.
    static constexpr std::chrono::milliseconds default_grace = clocks::stop_grace;

    // Serves until stop() was called, or `stopped` was, and all connections have ended. Once, unless start() was used.
    // Throws error if nobody can be listened to any more.
    void run();
    void run(std::stop_token stopped, std::chrono::milliseconds grace = default_grace);

    // Serves on a thread of its own.
    void start();
    // Waits until that has ended, and throws what run() would have.
    void wait();

    // Accepts no more, lets what is in flight end for up to `grace`, and then cuts it. Returns at once. From any
    // thread, also from the callback; not from a signal handler.
    void stop(std::chrono::milliseconds grace = default_grace) noexcept;

private:
    struct implementation;
    std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry
