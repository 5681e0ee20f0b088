// SPDX-License-Identifier: BSD-2-Clause
// A transport within one process, over socketpair(2): what stream sockets have in common, without a network or a radio.

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "socket_connection.hpp"
#include "wherry/sdk.hpp"

namespace {

using namespace wherry;

constexpr std::size_t record_bytes = 16'384;

// Where connections wait to be accepted.
struct door {
    std::mutex mutex;
    std::deque<unique_fd> waiting;
    bool is_closed = false;
    unique_fd news{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)};  // counts what waits

    void put(unique_fd end) {
        const std::lock_guard lock(mutex);
        if (is_closed) throw error(errc::disconnected, "nobody listens there any more");
        waiting.push_back(std::move(end));
        ::eventfd_write(news.get(), 1);
    }
};

class socketpair_listener final : public listener {
public:
    socketpair_listener(std::shared_ptr<door> at, std::string address)
        : door_(std::move(at)), address_(std::move(address)) {}
    ~socketpair_listener() override {
        const std::lock_guard lock(door_->mutex);
        door_->is_closed = true;
        door_->waiting.clear();
    }

    std::unique_ptr<connection> accept() override {
        for (;;) {
            auto stop = std::make_unique<stop_signal>();
            {
                const std::lock_guard lock(door_->mutex);
                if (stop_.raised()) throw error(errc::cancelled, "listening was stopped");
                if (!door_->waiting.empty()) {
                    auto end = std::move(door_->waiting.front());
                    door_->waiting.pop_front();
                    eventfd_t one = 0;
                    ::eventfd_read(door_->news.get(), &one);
                    return std::make_unique<socket_connection>(std::move(end), std::move(stop), "pair-0", record_bytes,
                                                               closing::by_reset);
                }
            }
            wait_for(door_->news.get(), POLLIN, stop_, std::nullopt);
        }
    }
    std::string_view address() const noexcept override { return address_; }
    void abort() noexcept override { stop_.raise(); }

private:
    std::shared_ptr<door> door_;
    std::string address_;
    stop_signal stop_;
};

class socketpair_transport final : public transport {
public:
    socketpair_transport(const settings&, const host_services&) {}

    std::unique_ptr<connection> connect(const std::string& address) override {
        if (connect_stop_.raised()) throw error(errc::cancelled, "connecting was stopped");
        const auto at = find(address);
        if (!at) throw error(errc::disconnected, "nobody listens there");
        auto stop = std::make_unique<stop_signal>();
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
            throw error(errc::exhausted, "no descriptor is left");
        unique_fd here(ends[0]);
        at->put(unique_fd(ends[1]));
        return std::make_unique<socket_connection>(std::move(here), std::move(stop), address, record_bytes,
                                                   closing::by_reset);
    }

    void connect_abort() noexcept override { connect_stop_.raise(); }

    std::unique_ptr<listener> listen(const std::string& address) override {
        if (!address.empty() && find(address)) throw error(errc::bad_input, "somebody listens there already");
        const std::lock_guard lock(mutex_);
        std::erase_if(doors_, [](const auto& one) { return one.second.expired(); });
        const auto name = address.empty() ? "pair-" + std::to_string(++last_) : address;
        auto at = std::make_shared<door>();
        doors_[name] = at;
        return std::make_unique<socketpair_listener>(at, name);
    }

private:
    std::shared_ptr<door> find(const std::string& address) {
        if (!address.starts_with("pair-")) throw error(errc::bad_input, "an address is pair-N");
        const std::lock_guard lock(mutex_);
        const auto found = doors_.find(address);
        return found == doors_.end() ? nullptr : found->second.lock();
    }

    stop_signal connect_stop_;
    std::mutex mutex_;
    int last_ = 0;
    std::map<std::string, std::weak_ptr<door>> doors_;
};

}  // namespace

WHERRY_PLUGIN(socketpair_transport, "socketpair", "1", "pairs of sockets within one process", wherry::no_options)
