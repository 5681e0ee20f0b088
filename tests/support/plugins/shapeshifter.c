/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One plugin for the many ways in which a descriptor can be wrong, or unusual: when it is loaded it takes the shape
 * that WHERRY_TEST_SHAPE names, words with commas between them. Without it, it is a good sink. A test copies the file
 * for each shape, since an object that is loaded already is not loaded again.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wherry/plugin.h"

static void trap(void) { abort(); }

static const wherry_host* host;

static wherry_status create(const wherry_host* given, void** out, wherry_error* error) {
    static int one;
    (void)error;
    host = given;
    *out = &one;
    return WHERRY_OK;
}

static wherry_status configure(void* handle, const char* name, const char* value, wherry_error* error) {
    (void)handle;
    (void)name;
    (void)value;
    (void)error;
    return WHERRY_OK;
}

static wherry_status configure_done(void* handle, wherry_error* error) {
    (void)handle;
    (void)error;
    return WHERRY_OK;
}

static void destroy(void* handle) { (void)handle; }

/* ---- sink: claims to have three bytes ---- */

static wherry_status begin(void* handle, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error) {
    (void)offer;
    (void)error;
    *delivery = handle;
    *offset = 3;
    return WHERRY_OK;
}

static wherry_status write_some(void* handle, const void* data, size_t length, wherry_error* error) {
    (void)handle;
    (void)data;
    (void)length;
    (void)error;
    return WHERRY_OK;
}

static wherry_status finish(void* handle, const wherry_response* response, wherry_error* error) {
    (void)handle;
    (void)response;
    (void)error;
    return WHERRY_OK;
}

static void abort_item(void* handle, int32_t keep) {
    (void)handle;
    (void)keep;
}

/* ---- transport: has no address, and reads more than it has room for ---- */

static wherry_status connect_to(void* handle, const char* address, void** connection, wherry_error* error) {
    (void)address;
    (void)error;
    *connection = handle;
    return WHERRY_OK;
}

static wherry_status accept_one(void* handle, void** connection, wherry_error* error) {
    (void)error;
    *connection = handle;
    return WHERRY_OK;
}

static const char* no_address(void* handle) {
    (void)handle;
    return NULL;
}

static void nothing(void* handle) { (void)handle; }

static wherry_status read_too_much(void* handle, void* buffer, size_t capacity, size_t* length, wherry_error* error) {
    (void)handle;
    (void)buffer;
    (void)error;
    *length = capacity + 1;
    return WHERRY_OK;
}

static wherry_status write_all(void* handle, const wherry_piece* pieces, size_t count, wherry_error* error) {
    (void)handle;
    (void)pieces;
    (void)count;
    (void)error;
    return WHERRY_OK;
}

static wherry_status shutdown_write(void* handle, wherry_error* error) {
    (void)handle;
    (void)error;
    return WHERRY_OK;
}

static void set_timeout(void* handle, uint32_t milliseconds) {
    (void)handle;
    (void)milliseconds;
}

static uint32_t record_bytes(void* handle) {
    (void)handle;
    return 0;
}

static uint32_t unknown_exchange(void* handle) {
    (void)handle;
    return 7;
}

static void close_connection(void* handle) {
    (void)handle;
    host->log(host->context, WHERRY_LOG_INFO, "close");
}

/* ---- cipher: says nothing of itself or the peer, and opens to more than was sealed ---- */

static wherry_status handshake(void* handle, const wherry_handshake* how, const wherry_stream* stream, void** session,
                               wherry_error* error) {
    (void)how;
    (void)stream;
    (void)error;
    *session = handle;
    return WHERRY_OK;
}

static wherry_status finish_handshake(void* session, const wherry_stream* stream, wherry_error* error) {
    (void)session;
    (void)stream;
    (void)error;
    return WHERRY_OK;
}

static uint32_t overhead_bytes = 4;

static uint32_t overhead(void* session) {
    (void)session;
    return overhead_bytes;
}

static wherry_status seal(void* session, void* record, size_t length, wherry_error* error) {
    (void)session;
    (void)record;
    (void)length;
    (void)error;
    return WHERRY_OK;
}

static wherry_status open_to_too_much(void* session, void* record, size_t length, size_t* plain, wherry_error* error) {
    (void)session;
    (void)record;
    (void)error;
    *plain = length + 1;
    return WHERRY_OK;
}

static void no_peer(void* session, wherry_identity* identity) {
    (void)session;
    (void)identity;
}

/* ---- The tables ---- */

static wherry_instance_functions instance_functions = {
    .struct_size = sizeof(wherry_instance_functions),
    .create = create,
    .configure = configure,
    .configure_done = configure_done,
    .destroy = destroy,
};

static wherry_sink_functions sink_functions = {
    .struct_size = sizeof(wherry_sink_functions),
    .begin = begin,
    .write = write_some,
    .finish = finish,
    .abort = abort_item,
};

static wherry_transport_functions transport_functions = {
    .struct_size = sizeof(wherry_transport_functions),
    .connect = connect_to,
    .listen = connect_to,
    .accept = accept_one,
    .listener_address = no_address,
    .listener_abort = nothing,
    .listener_close = close_connection,
    .read_some = read_too_much,
    .write_all = write_all,
    .shutdown_write = shutdown_write,
    .set_read_timeout = set_timeout,
    .set_write_timeout = set_timeout,
    .abort = nothing,
    .peer_address = no_address,
    .record_bytes = record_bytes,
    .connection_close = close_connection,
};

static wherry_cipher_functions cipher_functions = {
    .struct_size = sizeof(wherry_cipher_functions),
    .handshake = handshake,
    .finish_handshake = finish_handshake,
    .overhead = overhead,
    .seal = seal,
    .open = open_to_too_much,
    .peer = no_peer,
    .describe = no_address,
    .session_close = close_connection,
    .key_exchange = unknown_exchange,
};

static wherry_option options[2] = {
    {"it", WHERRY_OPTION_INTEGER, 0, NULL, "an option", NULL, 0, 0},
    {"other", WHERRY_OPTION_INTEGER, 0, NULL, "another option", NULL, 0, 0},
};

__attribute__((visibility("default"))) wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_SINK,
    .option_count = 2,
    .option_size = sizeof(wherry_option),
    .name = "shapeshifter",
    .version = "1",
    .summary = "what it is told to be",
    .options = options,
    .instance = &instance_functions,
    .functions = &sink_functions,
};

/* The number behind a word that begins like this, or -1. */
static int number_in(const char* word, const char* prefix) {
    const size_t length = strlen(prefix);
    return strncmp(word, prefix, length) == 0 ? atoi(word + length) : -1;
}

/* Every table is its size and then pointers to functions. */
static void remove_function(const void* table, int index) {
    const void* const none = NULL;
    memcpy((char*)table + offsetof(wherry_sink_functions, begin) + (size_t)index * sizeof none, &none, sizeof none);
}

static void become(const char* word) {
    wherry_plugin* const it = &wherry_plugin_v1;
    if (strcmp(word, "magic") == 0) it->magic = 0x12345678;
    if (number_in(word, "abi-") >= 0) it->abi_major = (uint32_t)number_in(word, "abi-");
    if (number_in(word, "struct-") >= 0) it->struct_size = (uint32_t)number_in(word, "struct-");
    if (number_in(word, "kind-") >= 0) it->kind = (uint32_t)number_in(word, "kind-");
    if (strcmp(word, "transport") == 0) {
        it->kind = WHERRY_KIND_TRANSPORT;
        it->functions = &transport_functions;
    }
    if (strcmp(word, "cipher") == 0) {
        it->kind = WHERRY_KIND_CIPHER;
        it->functions = &cipher_functions;
    }
    if (strcmp(word, "no-name") == 0) it->name = NULL;
    if (strcmp(word, "no-version") == 0) it->version = NULL;
    if (strcmp(word, "no-summary") == 0) it->summary = NULL;
    if (strcmp(word, "other-name") == 0) it->name = "wolf\033[2J";
    if (number_in(word, "threads-") >= 0) it->thread_model = (uint32_t)number_in(word, "threads-");
    if (strcmp(word, "no-instance") == 0) it->instance = NULL;
    if (strcmp(word, "no-functions") == 0) it->functions = NULL;
    if (number_in(word, "instance-lacks-") >= 0) remove_function(it->instance, number_in(word, "instance-lacks-"));
    if (number_in(word, "lacks-") >= 0) remove_function(it->functions, number_in(word, "lacks-"));
    if (number_in(word, "table-") >= 0) {
        const uint32_t size = (uint32_t)number_in(word, "table-");
        memcpy((void*)it->functions, &size, sizeof size);
    }
    /* Tables from before the last function, with something else behind their end. */
    if (strcmp(word, "short-table") == 0) {
        sink_functions.struct_size = offsetof(wherry_sink_functions, read_back);
        transport_functions.struct_size = offsetof(wherry_transport_functions, discover);
        cipher_functions.struct_size = offsetof(wherry_cipher_functions, is_insecure);
        void (*const something)(void) = trap;
        memcpy(&sink_functions.read_back, &something, sizeof something);
        memcpy(&transport_functions.discover, &something, sizeof something);
        memcpy(&cipher_functions.is_insecure, &something, sizeof something);
    }

    if (number_in(word, "overhead-") >= 0) overhead_bytes = (uint32_t)number_in(word, "overhead-");

    if (strcmp(word, "option-table-null") == 0) it->options = NULL;
    if (number_in(word, "option-count-") >= 0) it->option_count = (uint32_t)number_in(word, "option-count-");
    if (number_in(word, "option-size-") >= 0) it->option_size = (uint32_t)number_in(word, "option-size-");
    wherry_option* const option = &options[1];
    if (strcmp(word, "option-nameless") == 0) option->name = NULL;
    if (strcmp(word, "option-name-empty") == 0) option->name = "";
    if (strcmp(word, "option-name-upper") == 0) option->name = "Other";
    if (strcmp(word, "option-name-dot") == 0) option->name = "a.b";
    if (strcmp(word, "option-name-twice") == 0) option->name = options[0].name;
    if (strcmp(word, "option-type-9") == 0) option->type = 9;
    if (strcmp(word, "option-required") == 0) option->flags |= WHERRY_OPTION_REQUIRED;
    if (strcmp(word, "option-limits") == 0) option->minimum = 1, option->maximum = 5;
    if (strcmp(word, "option-limits-crossed") == 0) option->minimum = 5, option->maximum = 1;
    if (strcmp(word, "option-default-3") == 0) option->default_value = "3";
    if (strcmp(word, "option-default-6") == 0) option->default_value = "6";
    if (strcmp(word, "option-default-word") == 0) option->default_value = "many";
    if (strcmp(word, "option-choice") == 0) option->type = WHERRY_OPTION_CHOICE;
    if (strcmp(word, "option-choices-empty") == 0) option->choices = "";
    if (strcmp(word, "option-choices-gap") == 0) option->choices = "a||b";
    if (strcmp(word, "option-choices") == 0) option->choices = "a|b";
    if (strcmp(word, "option-helpless") == 0) option->help = NULL;
}

__attribute__((constructor)) static void shift(void) {
    const char* const shape = getenv("WHERRY_TEST_SHAPE");
    if (shape == NULL) return;
    char words[256];
    snprintf(words, sizeof words, "%s", shape);
    for (char* word = strtok(words, ","); word != NULL; word = strtok(NULL, ",")) become(word);
}
