// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "wherry/serving.hpp"
#include "wherry/sink.hpp"
#include "wherry/transport.hpp"

namespace wherry {

// Serves many senders at once, each on a thread of its own.
class server {
public:
    // All references outlive the server. The constructor reads the process's limit of descriptors.
    server(listener& listener, sink& sink, server_protocol protocol, server_options options, server_observer& observer);
    ~server();
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    // Returns a sentence for the operator if the limit of descriptors lowered options.max_connections, else nothing.
    std::string shortage() const;

    // Accepts until stop(), then returns when every connection has ended. Throws if the listener failed.
    void run();

    // From any thread. Accepts no more, lets what is in flight end for up to `grace`, then cuts it. Called again: the
    // earlier of the deadlines holds, so a grace of 0 cuts at once. A raw connection without a delivery under way ends
    // after a second, or the idle timeout, of silence.
    void stop(std::chrono::milliseconds grace) noexcept;

private:
    struct implementation;
    std::unique_ptr<implementation> implementation_;
};

}  // namespace wherry
