/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plugin made against a later minor version of plugin.h, in which every structure has grown at its end. What is
 * there beyond this version's fields must neither be called nor move what is known.
 */
#include <stdlib.h>
#include <string.h>

#include "wherry/plugin.h"

static void trap(void) { abort(); }

typedef struct {
    wherry_plugin known;
    void (*later)(void);
    uint64_t even_later[5];
} future_plugin;

typedef struct {
    wherry_option known;
    const char* unit;
    uint64_t more[3];
} future_option;

typedef struct {
    wherry_instance_functions known;
    void (*later)(void);
} future_instance_functions;

typedef struct {
    wherry_sink_functions known;
    void (*later)(void);
} future_sink_functions;

static char configured[128];

static wherry_status create(const wherry_host* host, void** out, wherry_error* error) {
    (void)error;
    if (host->struct_size < sizeof(wherry_host)) trap();
    configured[0] = '\0';
    *out = configured;
    return WHERRY_OK;
}

static wherry_status configure(void* handle, const char* name, const char* value, wherry_error* error) {
    (void)error;
    strcat(handle, name);
    strcat(handle, "=");
    strcat(handle, value);
    strcat(handle, ";");
    return WHERRY_OK;
}

static wherry_status configure_done(void* handle, wherry_error* error) {
    (void)handle;
    (void)error;
    return WHERRY_OK;
}

static void destroy(void* handle) { (void)handle; }

static wherry_status begin(void* handle, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error) {
    (void)error;
    if (offer->struct_size < sizeof(wherry_offer) || offer->peer->struct_size < sizeof(wherry_identity)) trap();
    *delivery = handle;
    *offset = 0;
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
    if (response->struct_size < sizeof(wherry_response)) trap();
    return response->append(response->context, handle, strlen(handle), error);
}

static void abort_item(void* handle, int32_t keep) {
    (void)handle;
    (void)keep;
}

static const future_option options[] = {
    {{"first", WHERRY_OPTION_INTEGER, 0, "1", "the first", NULL, 0, 10}, "parsecs", {~0ull, ~0ull, ~0ull}},
    {{"second", WHERRY_OPTION_CHOICE, 0, "b", "the second", "a|b", 0, 0}, "parsecs", {~0ull, ~0ull, ~0ull}},
    /* A flag that only the future knows. */
    {{"third", WHERRY_OPTION_SIZE, 1u << 30, "2KiB", "the third", NULL, 0, 0}, NULL, {~0ull, ~0ull, ~0ull}},
};

static const future_instance_functions instance_functions = {
    .known =
        {
            .struct_size = sizeof(future_instance_functions),
            .create = create,
            .configure = configure,
            .configure_done = configure_done,
            .destroy = destroy,
        },
    .later = trap,
};

static const future_sink_functions sink_functions = {
    .known =
        {
            .struct_size = sizeof(future_sink_functions),
            .begin = begin,
            .write = write_some,
            .finish = finish,
            .abort = abort_item,
        },
    .later = trap,
};

__attribute__((visibility("default"))) const future_plugin wherry_plugin_v1 = {
    .known =
        {
            .magic = WHERRY_PLUGIN_MAGIC,
            .abi_major = WHERRY_ABI_MAJOR,
            .struct_size = sizeof(future_plugin),
            .kind = WHERRY_KIND_SINK,
            .option_count = sizeof options / sizeof *options,
            .option_size = sizeof *options,
            .name = "future",
            .version = "99",
            .summary = "from a later version",
            .options = &options[0].known,
            .instance = &instance_functions.known,
            .functions = &sink_functions,
        },
    .later = trap,
    .even_later = {~0ull, ~0ull, ~0ull, ~0ull, ~0ull},
};
