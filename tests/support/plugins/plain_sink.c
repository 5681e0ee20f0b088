/* SPDX-License-Identifier: BSD-2-Clause */
/* A sink in plain C, written against plugin.h alone. It logs each call that it gets. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tell_tale.h"
#include "wherry/plugin.h"

typedef struct {
    const wherry_host* host;
} instance;

typedef struct {
    const wherry_host* host;
    uint64_t bytes;
} item;

static void say(const wherry_host* host, const char* text) { host->log(host->context, WHERRY_LOG_INFO, text); }

static wherry_status fail(wherry_error* error, wherry_status status, const char* text) {
    error->status = status;
    error->system_error = 0;
    snprintf(error->text, sizeof error->text, "%s", text);
    return status;
}

static wherry_status create(const wherry_host* host, void** out, wherry_error* error) {
    instance* const self = malloc(sizeof *self);
    if (self == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory");
    self->host = host;
    say(host, "create");
    *out = self;
    return WHERRY_OK;
}

static wherry_status configure(void* handle, const char* name, const char* value, wherry_error* error) {
    const instance* const self = handle;
    char text[128];
    snprintf(text, sizeof text, "configure %s=%s", name, value);
    say(self->host, text);
    if (strcmp(value, "13") == 0) return fail(error, WHERRY_BAD_INPUT, "thirteen brings bad luck");
    return WHERRY_OK;
}

static wherry_status configure_done(void* handle, wherry_error* error) {
    const instance* const self = handle;
    (void)error;
    say(self->host, "configure_done");
    return WHERRY_OK;
}

static void destroy(void* handle) {
    instance* const self = handle;
    say(self->host, "destroy");
    free(self);
}

static wherry_status begin(void* handle, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error) {
    const instance* const self = handle;
    char text[512];
    snprintf(text, sizeof text, "begin %.*s from %s", (int)offer->name_bytes, offer->name, offer->peer_address);
    say(self->host, text);
    if (strncmp(offer->name, "unwelcome", offer->name_bytes) == 0)
        return fail(error, WHERRY_REFUSED, "this name is not welcome");
    item* const it = malloc(sizeof *it);
    if (it == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory");
    it->host = self->host;
    it->bytes = 0;
    *delivery = it;
    *offset = 0;
    return WHERRY_OK;
}

static wherry_status write_some(void* handle, const void* data, size_t length, wherry_error* error) {
    item* const it = handle;
    (void)data;
    (void)error;
    it->bytes += length;
    return WHERRY_OK;
}

static wherry_status finish(void* handle, const wherry_response* response, wherry_error* error) {
    item* const it = handle;
    char text[64];
    const int length = snprintf(text, sizeof text, "got %" PRIu64 " bytes", it->bytes);
    say(it->host, "finish");
    free(it);
    return response->append(response->context, text, (size_t)length, error);
}

static void abort_item(void* handle, int32_t keep) {
    item* const it = handle;
    say(it->host, keep ? "abort keep" : "abort drop");
    free(it);
}

static const wherry_option options[] = {
    {"number", WHERRY_OPTION_INTEGER, 0, "7", "a number", NULL, 1, 99},
    {"size", WHERRY_OPTION_SIZE, 0, "64KiB", "a size", NULL, 0, 0},
    {"note", WHERRY_OPTION_STRING, 0, NULL, "a note without a default", NULL, 0, 0},
};

static const wherry_instance_functions instance_functions = {
    .struct_size = sizeof(wherry_instance_functions),
    .create = create,
    .configure = configure,
    .configure_done = configure_done,
    .destroy = destroy,
};

static const wherry_sink_functions sink_functions = {
    .struct_size = sizeof(wherry_sink_functions),
    .begin = begin,
    .write = write_some,
    .finish = finish,
    .abort = abort_item,
};

__attribute__((visibility("default"))) const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_SINK,
    .thread_model = WHERRY_THREADS_PARALLEL,
    .option_count = sizeof options / sizeof *options,
    .option_size = sizeof *options,
    .name = "plain",
    .version = "1.2.3",
    .summary = "a sink in plain C",
    .options = options,
    .instance = &instance_functions,
    .functions = &sink_functions,
};
