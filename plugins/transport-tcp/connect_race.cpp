// SPDX-License-Identifier: BSD-2-Clause
#include "connect_race.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>

#include "socket_setup.hpp"

namespace wherry::tcp {

namespace {

using namespace std::chrono_literals;

// How long an address may keep quiet before the next one of the same name is tried beside it (RFC 8305, section 5).
constexpr auto next_attempt_after = 250ms;

// Of several failures the one that tells a person most: an answer, even a no, says more than silence.
int telling(int code) noexcept {
    switch (code) {
        case ECONNREFUSED: return 4;
        case EACCES:
        case EPERM: return 3;
        case ETIMEDOUT: return 2;
        case EAFNOSUPPORT:
        case EADDRNOTAVAIL: return 0;
        default: return 1;
    }
}

}  // namespace

unique_fd connect_race::run(const deadline& until) {
    for (;;) {
        if (stop_.raised()) {
            failure_ = ECANCELED;
            return {};
        }
        if (auto socket = start_next(); socket.is_open()) return socket;
        if (pending_.empty() && next_ == addresses_.size()) return {};
        if (auto socket = wait(until); socket.is_open()) return socket;
        if (until && std::chrono::steady_clock::now() >= *until) {
            note(ETIMEDOUT);
            return {};
        }
    }
}

// Goes on until one is under way; returns one that was connected at once.
unique_fd connect_race::start_next() {
    for (bool started = false; !started && next_ < addresses_.size();) {
        const auto& address = addresses_[next_++];
        auto socket = open_socket(address.family());
        if (!socket.is_open()) {
            note(errno);
            continue;
        }
        set_buffers(socket.get(), options_);
        // Not repeated upon EINTR: the attempt goes on by itself, and poll tells its end.
        if (::connect(socket.get(), address.raw(), address.length) == 0) {
            if (usable(socket.get())) return socket;
        } else if (errno == EINPROGRESS || errno == EINTR) {
            pending_.push_back(std::move(socket));
            started = true;
        } else {
            note(errno);
        }
    }
    return {};
}

unique_fd connect_race::wait(const deadline& until) {
    std::vector<pollfd> watched;
    for (const auto& socket : pending_) watched.push_back({socket.get(), POLLOUT, 0});
    watched.push_back({stop_.descriptor(), POLLIN, 0});
    auto limit = until;
    if (next_ < addresses_.size()) {
        const auto step = std::chrono::steady_clock::now() + next_attempt_after;
        limit = until ? std::min(*until, step) : step;
    }
    if (pending_.empty()) return {};
    const int ready = uninterrupted([&] { return ::poll(watched.data(), watched.size(), poll_timeout(limit)); });
    if (ready < 0) {
        note(errno);
        pending_.clear();
        return {};
    }
    for (std::size_t i = pending_.size(); i-- > 0;) {
        if (watched[i].revents == 0) continue;
        auto socket = std::move(pending_[i]);
        pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
        int code = 0;
        socklen_t length = sizeof code;
        if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &code, &length) != 0) code = errno;
        if (code != 0)
            note(code);
        else if (usable(socket.get()))
            return socket;
    }
    return {};
}

// A port of this machine that nobody listens on may connect to itself, when the system happens to choose that very
// port for this end.
bool connect_race::usable(int socket) {
    socket_address peer;
    if (::getpeername(socket, peer.raw(), &peer.length) != 0) {
        note(errno);
        return false;
    }
    if (to_string(local_address(socket)) != to_string(peer)) return true;
    note(ECONNREFUSED);
    return false;
}

void connect_race::note(int code) noexcept {
    if (failure_ == 0 || telling(code) > telling(failure_)) failure_ = code;
}

}  // namespace wherry::tcp
