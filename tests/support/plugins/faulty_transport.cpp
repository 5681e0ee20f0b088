// SPDX-License-Identifier: BSD-2-Clause
// A transport with one fault: the one that `here` names. Without one ("none") it is as it should be:
// local sockets without a file, reached at "@N". For the tests of the conformance kit.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "wherry/plugin.h"

enum class fault {
    none,
    loses_bytes,
    turns_pieces_around,
    takes_few_pieces,
    waits_for_more,
    ends_too_early,
    forgets_the_end,
    writes_after_the_end,
    closes_as_a_whole,
    ignores_the_read_timeout,
    ignores_the_write_timeout,
    times_out_too_early,
    wakes_no_read,
    wakes_no_write,
    raises_a_signal,
    wakes_no_accept,
    works_after_abort,
    mistakes_bad_addresses,
    calls_it_refused,
    connects_after_an_abort,
    calls_an_abort_the_peers,
    has_no_address,
    has_tiny_records,
    tells_too_much,
    touches_the_connection,
    leaks_descriptors,
    leaks_memory,
};

// Each plugin is this file, compiled once for all, and a number of its own (CMakeLists.txt).
extern "C" const fault here;

namespace {

wherry_status fail(wherry_error* error, wherry_status status, const char* text) {
    error->status = status;
    error->system_error = 0;
    std::snprintf(error->text, sizeof error->text, "%s", text);
    return status;
}

wherry_status fail_with_errno(wherry_error* error, const char* what) {
    const bool is_lack = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    const bool is_gone = errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED;
    const auto number = errno;
    const auto text = std::string(what) + ": " + std::strerror(number);
    const auto status = fail(error,
                             is_lack   ? WHERRY_EXHAUSTED
                             : is_gone ? WHERRY_DISCONNECTED
                                       : WHERRY_IO,
                             text.c_str());
    error->system_error = number;
    return status;
}

struct end {
    int fd = -1;
    int stop = -1;  // readable from abort on
    std::atomic<std::uint32_t> read_ms{0}, write_ms{0};
    std::atomic<bool> is_shut{false}, is_aborted{false};
    std::size_t count = 0;
    std::string address;
};

end* make_end(int fd, const std::string& address, wherry_error* error) {
    const int stop = fd < 0 ? -1 : ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop < 0) {
        fail_with_errno(error, "cannot make a socket");
        if (fd >= 0) ::close(fd);
        return nullptr;
    }
    auto* const it = new end;
    it->fd = fd;
    it->stop = stop;
    it->address = here == fault::has_no_address ? "" : address;
    return it;
}

void close_end(void* self) {
    auto* const it = static_cast<end*>(self);
    ::close(it->fd);
    if (here != fault::leaks_descriptors) ::close(it->stop);
    if (here != fault::leaks_memory) delete it;
}

void abort_end(void* self) {
    auto& it = *static_cast<end*>(self);
    if (here == fault::works_after_abort) return;
    it.is_aborted = true;
    if (here != fault::wakes_no_read && here != fault::wakes_no_write && here != fault::wakes_no_accept)
        ::eventfd_write(it.stop, 1);
}

// 1: ready; 0: timed out; -1: aborted.
int wait_for(const end& it, short events, std::uint32_t ms) {
    for (;;) {
        pollfd both[] = {{it.fd, events, 0}, {it.stop, POLLIN, 0}};
        const int got = ::poll(both, 2, ms == 0 ? -1 : static_cast<int>(ms));
        if (got < 0 && errno == EINTR) continue;
        if (it.is_aborted) return -1;
        return got <= 0 ? 0 : 1;
    }
}

// "@N" as the name of a socket.
bool name_of(const char* address, sockaddr_un& name, socklen_t& length, wherry_error* error) {
    const std::string text = address;
    if (text.size() < 2 || text.size() > 20 || text[0] != '@' || text.find_first_not_of("0123456789", 1) != text.npos) {
        fail(error, here == fault::mistakes_bad_addresses ? WHERRY_IO : WHERRY_BAD_INPUT, "an address is @N");
        return false;
    }
    const auto whole = "wherry-faulty-" + std::to_string(::getpid()) + text;
    name = {};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path + 1, whole.data(), whole.size());
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + whole.size());
    return true;
}

struct whole {
    std::atomic<bool> is_connect_aborted{false};
};

wherry_status create(const wherry_host*, void** out, wherry_error*) {
    *out = new whole;
    return WHERRY_OK;
}
wherry_status configure(void*, const char*, const char*, wherry_error*) { return WHERRY_OK; }
wherry_status configure_done(void*, wherry_error*) { return WHERRY_OK; }
void destroy(void* self) { delete static_cast<whole*>(self); }

constexpr int kind = SOCK_STREAM | SOCK_CLOEXEC;

void connect_abort(void* self) {
    if (here != fault::connects_after_an_abort) static_cast<whole*>(self)->is_connect_aborted = true;
}

wherry_status connect_to(void* self, const char* address, void** out, wherry_error* error) {
    sockaddr_un name;
    socklen_t length = 0;
    if (static_cast<whole*>(self)->is_connect_aborted)
        return fail(error, here == fault::calls_an_abort_the_peers ? WHERRY_DISCONNECTED : WHERRY_CANCELLED,
                    "connecting was stopped");
    if (here == fault::touches_the_connection) *out = error;
    if (!name_of(address, name, length, error)) return error->status;
    auto* const it = make_end(::socket(AF_UNIX, kind, 0), address, error);
    if (it == nullptr) return error->status;
    if (::connect(it->fd, reinterpret_cast<const sockaddr*>(&name), length) != 0) {
        const auto status = here == fault::calls_it_refused ? fail(error, WHERRY_REFUSED, "nobody is there")
                                                            : fail_with_errno(error, "cannot connect");
        close_end(it);
        return status;
    }
    *out = it;
    return WHERRY_OK;
}

wherry_status listen_at(void*, const char* address, void** out, wherry_error* error) {
    static std::atomic<int> last{0};
    const auto real = *address == '\0' ? "@" + std::to_string(++last) : std::string(address);
    sockaddr_un name;
    socklen_t length = 0;
    if (!name_of(real.c_str(), name, length, error)) return error->status;
    auto* const it = make_end(::socket(AF_UNIX, kind | SOCK_NONBLOCK, 0), real, error);
    if (it == nullptr) return error->status;
    if (::bind(it->fd, reinterpret_cast<const sockaddr*>(&name), length) != 0 || ::listen(it->fd, 100) != 0) {
        const auto status = fail_with_errno(error, "cannot listen");
        close_end(it);
        return status;
    }
    *out = it;
    return WHERRY_OK;
}

wherry_status accept_one(void* self, void** out, wherry_error* error) {
    auto& door = *static_cast<end*>(self);
    for (;;) {
        if (wait_for(door, POLLIN, 0) < 0) return fail(error, WHERRY_CANCELLED, "listening was stopped");
        const int fd = ::accept4(door.fd, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        auto* const it = make_end(fd, "@0", error);
        if (it == nullptr) return error->status;
        *out = it;
        return WHERRY_OK;
    }
}

const char* address_of(void* self) { return static_cast<end*>(self)->address.c_str(); }

wherry_status read_some(void* self, void* buffer, std::size_t capacity, std::size_t* length, wherry_error* error) {
    auto& it = *static_cast<end*>(self);
    std::size_t got = 0;
    auto ms = it.read_ms.load();
    if (here == fault::ignores_the_read_timeout) ms = 0;
    if (here == fault::times_out_too_early) ms /= 4;
    for (;;) {
        const int ready = wait_for(it, POLLIN, ms);
        if (ready < 0) return fail(error, WHERRY_DISCONNECTED, "the connection was aborted");
        if (ready == 0) return fail(error, WHERRY_TIMED_OUT, "nothing came");
        const auto now = ::recv(it.fd, static_cast<char*>(buffer) + got, capacity - got, MSG_DONTWAIT);
        if (now < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (now < 0) return fail_with_errno(error, "cannot read");
        got += static_cast<std::size_t>(now);
        if (here == fault::waits_for_more && now > 0 && got < capacity) continue;
        break;
    }
    if (here == fault::forgets_the_end && got == 0 && it.count++ > 0)
        return fail(error, WHERRY_DISCONNECTED, "the end was told already");
    if (here == fault::ends_too_early && (it.count += got) > 50'000) got = 0;
    *length = here == fault::tells_too_much ? capacity + 1 : got;
    return WHERRY_OK;
}

wherry_status write_one(end& it, const char* data, std::size_t length, wherry_error* error) {
    while (length > 0) {
        const int ready = wait_for(it, POLLOUT, here == fault::ignores_the_write_timeout ? 0 : it.write_ms.load());
        if (ready < 0) return fail(error, WHERRY_DISCONNECTED, "the connection was aborted");
        if (ready == 0) return fail(error, WHERRY_TIMED_OUT, "nobody reads");
        const auto now =
            ::send(it.fd, data, length, MSG_DONTWAIT | (here == fault::raises_a_signal ? 0 : MSG_NOSIGNAL));
        if (now < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (now < 0) return fail_with_errno(error, "cannot write");
        data += now;
        length -= static_cast<std::size_t>(now);
    }
    return WHERRY_OK;
}

wherry_status write_all(void* self, const wherry_piece* pieces, std::size_t count, wherry_error* error) {
    auto& it = *static_cast<end*>(self);
    if (it.is_aborted) return fail(error, WHERRY_DISCONNECTED, "the connection was aborted");
    if (it.is_shut && here == fault::writes_after_the_end) return WHERRY_OK;
    if (here == fault::takes_few_pieces) count = std::min<std::size_t>(count, 16);
    for (std::size_t i = 0; i < count; ++i) {
        const auto& piece = pieces[here == fault::turns_pieces_around ? count - 1 - i : i];
        auto length = piece.length;
        if (here == fault::loses_bytes && length > 10'000) --length;
        const auto status = write_one(it, static_cast<const char*>(piece.data), length, error);
        if (status != WHERRY_OK) return status;
    }
    return WHERRY_OK;
}

wherry_status shutdown_write(void* self, wherry_error* error) {
    auto& it = *static_cast<end*>(self);
    if (it.is_aborted) return fail(error, WHERRY_DISCONNECTED, "the connection was aborted");
    it.is_shut = true;
    if (::shutdown(it.fd, here == fault::closes_as_a_whole ? SHUT_RDWR : SHUT_WR) != 0)
        return fail_with_errno(error, "cannot end");
    return WHERRY_OK;
}

void set_read_timeout(void* self, std::uint32_t ms) { static_cast<end*>(self)->read_ms = ms; }
void set_write_timeout(void* self, std::uint32_t ms) { static_cast<end*>(self)->write_ms = ms; }
std::uint32_t record_bytes(void*) { return here == fault::has_tiny_records ? 100 : 16'384; }

const wherry_instance_functions instance_functions = {
    .struct_size = sizeof(wherry_instance_functions),
    .create = create,
    .configure = configure,
    .configure_done = configure_done,
    .destroy = destroy,
};

const wherry_transport_functions transport_functions = {
    .struct_size = sizeof(wherry_transport_functions),
    .connect = connect_to,
    .listen = listen_at,
    .accept = accept_one,
    .listener_address = address_of,
    .listener_abort = abort_end,
    .listener_close = close_end,
    .read_some = read_some,
    .write_all = write_all,
    .shutdown_write = shutdown_write,
    .set_read_timeout = set_read_timeout,
    .set_write_timeout = set_write_timeout,
    .abort = abort_end,
    .peer_address = address_of,
    .record_bytes = record_bytes,
    .connection_close = close_end,
    .discover = nullptr,
    .pair = nullptr,
    .connect_abort = connect_abort,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const wherry_plugin wherry_plugin_v1;
extern "C" const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_TRANSPORT,
    .thread_model = WHERRY_THREADS_PARALLEL,
    .option_count = 0,
    .option_size = sizeof(wherry_option),
    .reserved = 0,
    .name = "faulty",
    .version = "1",
    .summary = "has one fault",
    .options = nullptr,
    .instance = &instance_functions,
    .functions = &transport_functions,
};
