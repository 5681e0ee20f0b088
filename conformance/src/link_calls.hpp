// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <future>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "calls.hpp"

// Calls of a transport's C functions, checked as in calls.hpp.
namespace wherry::conformance {

class running_connection {
public:
    running_connection(const context& from, void* handle) : from_(from), handle_(handle) {}
    ~running_connection();
    running_connection(const running_connection&) = delete;
    running_connection& operator=(const running_connection&) = delete;

    failed read_some(mutable_bytes into, std::size_t& length);
    failed write_all(std::span<const const_bytes> pieces);
    failed write_all(const_bytes piece) { return write_all({&piece, 1}); }
    failed shutdown_write();
    void set_read_timeout(std::chrono::milliseconds time);
    void set_write_timeout(std::chrono::milliseconds time);
    void abort();
    std::string peer_address();
    std::size_t record_bytes();

private:
    const context& from_;
    void* const handle_;
};

class running_listener {
public:
    running_listener(const context& from, void* handle) : from_(from), handle_(handle) {}
    ~running_listener();
    running_listener(const running_listener&) = delete;
    running_listener& operator=(const running_listener&) = delete;

    struct accepted {
        std::unique_ptr<running_connection> it;
        failed failure;
    };
    accepted accept();
    std::string address();
    void abort();

private:
    const context& from_;
    void* const handle_;
};

running_listener::accepted connect(const context& from, instance& of, const std::string& address);
// REQUIRES: the plugin has the function.
void connect_abort(const context& from, instance& of);

struct listening {
    std::unique_ptr<running_listener> it;
    failed failure;
};
listening listen(const context& from, instance& of, const std::string& address);

}  // namespace wherry::conformance
