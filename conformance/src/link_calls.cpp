// SPDX-License-Identifier: BSD-2-Clause
#include "link_calls.hpp"

#include <algorithm>

namespace wherry::conformance {

running_connection::~running_connection() {
    call_plain("connection_close", [&] { from_.transport.connection_close(handle_); });
}

failed running_connection::read_some(mutable_bytes into, std::size_t& length) {
    const lent_memory room(into.size());
    const lent<std::size_t> got(0);
    auto failure = call(
        "read_some",
        [&](wherry_error* e) { return from_.transport.read_some(handle_, room.data(), room.size(), got.get(), e); },
        waiting::allowed);
    length = *got.get();
    if (failure) {
        require(length == 0, "read_some() failed, and yet stored a length");
        return failure;
    }
    require(length <= into.size(), "read_some() told " + std::to_string(length) + " bytes where there was room for " +
                                       std::to_string(into.size()));
    std::copy_n(room.data(), length, into.data());
    return std::nullopt;
}

failed running_connection::write_all(std::span<const const_bytes> pieces) {
    std::vector<std::byte> all;
    for (const auto piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
    const lent_memory bytes{const_bytes(all)};
    const lent_memory table(pieces.size() * sizeof(wherry_piece));
    auto* const rows = reinterpret_cast<wherry_piece*>(table.data());
    std::size_t at = 0;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        // A piece without bytes may be anywhere.
        rows[i] = {pieces[i].empty() ? nullptr : bytes.data() + at, pieces[i].size()};
        at += pieces[i].size();
    }
    table.protect();
    return call(
        "write_all", [&](wherry_error* e) { return from_.transport.write_all(handle_, rows, pieces.size(), e); },
        waiting::allowed);
}

failed running_connection::shutdown_write() {
    return call("shutdown_write", [&](wherry_error* e) { return from_.transport.shutdown_write(handle_, e); });
}

void running_connection::set_read_timeout(std::chrono::milliseconds time) {
    call_plain("set_read_timeout",
               [&] { from_.transport.set_read_timeout(handle_, static_cast<std::uint32_t>(time.count())); });
}

void running_connection::set_write_timeout(std::chrono::milliseconds time) {
    call_plain("set_write_timeout",
               [&] { from_.transport.set_write_timeout(handle_, static_cast<std::uint32_t>(time.count())); });
}

void running_connection::abort() {
    call_plain("abort", [&] { from_.transport.abort(handle_); });
}

std::string running_connection::peer_address() {
    return returned_text("peer_address",
                         call_plain("peer_address", [&] { return from_.transport.peer_address(handle_); }));
}

std::size_t running_connection::record_bytes() {
    return call_plain("record_bytes", [&] { return from_.transport.record_bytes(handle_); });
}

running_listener::~running_listener() {
    call_plain("listener_close", [&] { from_.transport.listener_close(handle_); });
}

running_listener::accepted running_listener::accept() {
    void* handle = nullptr;
    auto failure = call(
        "accept", [&](wherry_error* e) { return from_.transport.accept(handle_, &handle, e); }, waiting::allowed);
    if (failure) {
        require(handle == nullptr, "accept() failed, and yet stored a connection");
        return {nullptr, std::move(failure)};
    }
    return {std::make_unique<running_connection>(from_, handle), std::nullopt};
}

std::string running_listener::address() {
    return returned_text("listener_address",
                         call_plain("listener_address", [&] { return from_.transport.listener_address(handle_); }));
}

void running_listener::abort() {
    call_plain("listener_abort", [&] { from_.transport.listener_abort(handle_); });
}

running_listener::accepted connect(const context& from, instance& of, const std::string& address) {
    const lent_text given(address);
    void* handle = nullptr;
    auto failure = call(
        "connect", [&](wherry_error* e) { return from.transport.connect(of.handle(), given.c_str(), &handle, e); },
        waiting::allowed);
    if (failure) {
        require(handle == nullptr, "connect() failed, and yet stored a connection");
        return {nullptr, std::move(failure)};
    }
    return {std::make_unique<running_connection>(from, handle), std::nullopt};
}

void connect_abort(const context& from, instance& of) {
    call_plain("connect_abort", [&] { from.transport.connect_abort(of.handle()); });
}

listening listen(const context& from, instance& of, const std::string& address) {
    const lent_text given(address);
    void* handle = nullptr;
    auto failure =
        call("listen", [&](wherry_error* e) { return from.transport.listen(of.handle(), given.c_str(), &handle, e); });
    if (failure) {
        require(handle == nullptr, "listen() failed, and yet stored a listener");
        return {nullptr, std::move(failure)};
    }
    return {std::make_unique<running_listener>(from, handle), std::nullopt};
}

}  // namespace wherry::conformance
