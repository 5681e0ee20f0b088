/* SPDX-License-Identifier: BSD-2-Clause */
/* A sink whose finish_group leaves some rows as they are, and says odd things in others, by the names of the items. */
#include <stdlib.h>
#include <string.h>

#include "wherry/plugin.h"

static wherry_status create(const wherry_host* host, void** out, wherry_error* error) {
    (void)host;
    (void)error;
    *out = NULL;
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

static wherry_status begin(void* handle, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error) {
    (void)handle;
    (void)error;
    *delivery = strdup(offer->name);
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
    (void)response;
    (void)error;
    free(handle);
    return WHERRY_OK;
}

static void abort_item(void* handle, int32_t keep) {
    (void)keep;
    free(handle);
}

static void finish_group(void* handle, wherry_ending* const* endings, size_t count) {
    (void)handle;
    for (size_t i = 0; i < count; ++i) {
        wherry_ending* const row = endings[i];
        char* const name = row->delivery;
        if (strcmp(name, "done") == 0) row->status = WHERRY_OK;
        if (strcmp(name, "odd") == 0) row->status = 99;
        if (strcmp(name, "silent") == 0) {
            row->status = WHERRY_IO;
            row->error.text[0] = '\0';
        }
        if (strcmp(name, "endless") == 0) {
            row->status = WHERRY_REFUSED;
            memset(row->error.text, 'x', sizeof row->error.text);
        }
        free(name);
    }
}

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
    .finish_group = finish_group,
};

__attribute__((visibility("default"))) const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_SINK,
    .thread_model = WHERRY_THREADS_PARALLEL,
    .option_size = sizeof(wherry_option),
    .name = "forgetful",
    .version = "1",
    .summary = "forgets to say how deliveries ended",
    .instance = &instance_functions,
    .functions = &sink_functions,
};
