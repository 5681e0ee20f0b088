/* SPDX-License-Identifier: BSD-2-Clause */
/* A transport over TCP on this machine. An address is "127.0.0.1:PORT". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "old_plugin.h"

/* A connection or a listener. */
typedef struct {
    int descriptor;
    int is_aborted;
    uint32_t record_bytes;
    char address[64];
} end;

typedef struct {
    uint32_t record_bytes;
} transport;

/* ---- Instance ---- */

static wherry_status create(const wherry_host* host, void** instance, wherry_error* error) {
    (void)host;
    *instance = calloc(1, sizeof(transport));
    return *instance ? WHERRY_OK : fail(error, WHERRY_EXHAUSTED, "out of memory");
}

static wherry_status configure(void* instance, const char* name, const char* value, wherry_error* error) {
    if (strcmp(name, "record") != 0) return fail(error, WHERRY_INTERNAL, "an option that the table does not have");
    ((transport*)instance)->record_bytes = (uint32_t)strtoul(value, NULL, 10);
    return WHERRY_OK;
}

static wherry_status configure_done(void* instance, wherry_error* error) {
    return ((transport*)instance)->record_bytes ? WHERRY_OK : fail(error, WHERRY_INTERNAL, "the default never came");
}

/* ---- Addresses ---- */

static wherry_status parse(const char* text, struct sockaddr_in* address, wherry_error* error) {
    unsigned short port = 0;
    char rest;
    memset(address, 0, sizeof *address);
    if (*text && sscanf(text, "127.0.0.1:%hu%c", &port, &rest) != 1)
        return fail(error, WHERRY_BAD_INPUT, "an address is 127.0.0.1:PORT");
    address->sin_family = AF_INET;
    address->sin_port = htons(port);
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return WHERRY_OK;
}

/* Takes the descriptor, also where it fails. */
static wherry_status make_end(int descriptor, const struct sockaddr_in* address, uint32_t record_bytes, void** made,
                              wherry_error* error) {
    end* const it = calloc(1, sizeof *it);
    if (it == NULL) {
        close(descriptor);
        return fail(error, WHERRY_EXHAUSTED, "out of memory");
    }
    const int at_once = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    it->descriptor = descriptor;
    it->record_bytes = record_bytes;
    snprintf(it->address, sizeof it->address, "127.0.0.1:%d", ntohs(address->sin_port));
    *made = it;
    return WHERRY_OK;
}

static int open_socket(void) { return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

static wherry_status connect_to(void* instance, const char* text, void** connection, wherry_error* error) {
    struct sockaddr_in address;
    const wherry_status status = parse(text, &address, error);
    if (status != WHERRY_OK) return status;
    const int descriptor = open_socket();
    if (descriptor < 0) return fail_by_system(error, WHERRY_EXHAUSTED, "there is no socket");
    if (connect(descriptor, (struct sockaddr*)&address, sizeof address) != 0) {
        fail_by_system(error, WHERRY_DISCONNECTED, "nobody listens there");
        close(descriptor);
        return error->status;
    }
    return make_end(descriptor, &address, ((transport*)instance)->record_bytes, connection, error);
}

/* ---- Listener ---- */

static wherry_status listen_at(void* instance, const char* text, void** listener, wherry_error* error) {
    struct sockaddr_in address;
    const wherry_status status = parse(text, &address, error);
    if (status != WHERRY_OK) return status;
    const int descriptor = open_socket();
    if (descriptor < 0) return fail_by_system(error, WHERRY_EXHAUSTED, "there is no socket");
    socklen_t length = sizeof address;
    if (bind(descriptor, (struct sockaddr*)&address, sizeof address) != 0 || listen(descriptor, 16) != 0 ||
        getsockname(descriptor, (struct sockaddr*)&address, &length) != 0) {
        fail_by_system(error, WHERRY_IO, "it cannot listen there");
        close(descriptor);
        return error->status;
    }
    return make_end(descriptor, &address, ((transport*)instance)->record_bytes, listener, error);
}

static wherry_status accept_next(void* listener, void** connection, wherry_error* error) {
    end* const it = listener;
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    const int descriptor = accept4(it->descriptor, (struct sockaddr*)&address, &length, SOCK_CLOEXEC);
    if (descriptor >= 0) return make_end(descriptor, &address, it->record_bytes, connection, error);
    if (__atomic_load_n(&it->is_aborted, __ATOMIC_ACQUIRE)) return fail(error, WHERRY_CANCELLED, "it listens no more");
    return fail_by_system(error, WHERRY_IO, "it cannot accept");
}

/* ---- Either ---- */

static const char* address_of(void* either) { return ((end*)either)->address; }

static void abort_end(void* either) {
    end* const it = either;
    __atomic_store_n(&it->is_aborted, 1, __ATOMIC_RELEASE);
    shutdown(it->descriptor, SHUT_RDWR);
}

static void close_end(void* either) {
    close(((end*)either)->descriptor);
    free(either);
}

/* ---- Connection ---- */

static wherry_status fail_by_link(wherry_error* error) {
    const int is_late = errno == EAGAIN || errno == EWOULDBLOCK;
    return fail_by_system(error, is_late ? WHERRY_TIMED_OUT : WHERRY_DISCONNECTED,
                          is_late ? "the peer is silent" : "the peer is gone");
}

static wherry_status read_some(void* connection, void* buffer, size_t capacity, size_t* length, wherry_error* error) {
    end* const it = connection;
    const ssize_t count = recv(it->descriptor, buffer, capacity, 0);
    if (__atomic_load_n(&it->is_aborted, __ATOMIC_ACQUIRE)) return fail(error, WHERRY_DISCONNECTED, "it was aborted");
    if (count < 0) return fail_by_link(error);
    *length = (size_t)count;
    return WHERRY_OK;
}

static wherry_status write_all(void* connection, const wherry_piece* pieces, size_t count, wherry_error* error) {
    const int descriptor = ((end*)connection)->descriptor;
    for (size_t i = 0; i < count; ++i)
        for (size_t done = 0; done < pieces[i].length;) {
            const ssize_t sent =
                send(descriptor, (const char*)pieces[i].data + done, pieces[i].length - done, MSG_NOSIGNAL);
            if (sent < 0) return fail_by_link(error);
            done += (size_t)sent;
        }
    return WHERRY_OK;
}

static wherry_status shutdown_write(void* connection, wherry_error* error) {
    return shutdown(((end*)connection)->descriptor, SHUT_WR) == 0 ? WHERRY_OK : fail_by_link(error);
}

static void set_timeout(void* connection, int option, uint32_t milliseconds) {
    const struct timeval time = {milliseconds / 1000, milliseconds % 1000 * 1000};
    setsockopt(((end*)connection)->descriptor, SOL_SOCKET, option, &time, sizeof time);
}

static void set_read_timeout(void* connection, uint32_t milliseconds) {
    set_timeout(connection, SO_RCVTIMEO, milliseconds);
}

static void set_write_timeout(void* connection, uint32_t milliseconds) {
    set_timeout(connection, SO_SNDTIMEO, milliseconds);
}

static uint32_t record_bytes(void* connection) { return ((end*)connection)->record_bytes; }

/* ---- Discovery ---- */

static wherry_status discover(void* instance, uint32_t milliseconds, void* context,
                              int32_t (*found)(void* context, const wherry_discovered* peer), wherry_error* error) {
    (void)instance;
    (void)milliseconds;
    (void)error;
    const wherry_discovered peer = {
        .struct_size = sizeof(wherry_discovered), .address = "127.0.0.1:1", .name = "Somebody"};
    found(context, &peer);
    return WHERRY_OK;
}

static const wherry_option options[] = {
    {"record", WHERRY_OPTION_SIZE, 0, "32KiB", "bytes in a record", NULL, 1024, 65536},
};

static const wherry_instance_functions instance_functions = {
    .struct_size = sizeof(wherry_instance_functions),
    .create = create,
    .configure = configure,
    .configure_done = configure_done,
    .destroy = free,
};

static const wherry_transport_functions transport_functions = {
    .struct_size = sizeof(wherry_transport_functions),
    .connect = connect_to,
    .listen = listen_at,
    .accept = accept_next,
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
    .discover = discover,
};

EXPORTED const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_TRANSPORT,
    .option_count = sizeof options / sizeof *options,
    .option_size = sizeof(wherry_option),
    .name = "old",
    .version = "1",
    .summary = "TCP on this machine, for an older wherry",
    .options = options,
    .instance = &instance_functions,
    .functions = &transport_functions,
};
