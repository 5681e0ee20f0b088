// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <system_error>

#include "wherry/unique_fd.hpp"

// An address at which nobody listens, nor will while this lives: whoever connects is refused. A port that is only free
// is soon another program's.
class unused_address {
public:
    unused_address() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in place{};
        place.sin_family = AF_INET;
        place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof place;
        auto* const generic = reinterpret_cast<sockaddr*>(&place);
        if (::bind(socket_.get(), generic, size) != 0 || ::getsockname(socket_.get(), generic, &size) != 0)
            throw std::system_error(errno, std::generic_category(), "no port can be held");
        text_ = "tcp://127.0.0.1:" + std::to_string(ntohs(place.sin_port));
    }

    const std::string& text() const { return text_; }
    // From now on somebody may listen there.
    void release() { socket_.reset(); }

private:
    wherry::unique_fd socket_;
    std::string text_;
};
