/* SPDX-License-Identifier: BSD-2-Clause */
/* The same in C. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <wherry/plugin.h>

static int the_only_instance;

static wherry_status create(const wherry_host* host, void** instance, wherry_error* error) {
    (void)host, (void)error;
    *instance = &the_only_instance;
    return WHERRY_OK;
}

static wherry_status configure(void* instance, const char* name, const char* value, wherry_error* error) {
    (void)instance, (void)name, (void)value, (void)error;
    return WHERRY_OK;
}

static wherry_status configure_done(void* instance, wherry_error* error) {
    (void)instance, (void)error;
    return WHERRY_OK;
}

static void destroy(void* instance) { (void)instance; }

static wherry_status begin(void* instance, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error) {
    (void)instance, (void)offer;
    uint64_t* const count = calloc(1, sizeof *count);
    if (count == NULL) {
        error->status = WHERRY_EXHAUSTED;
        snprintf(error->text, sizeof error->text, "out of memory");
        return WHERRY_EXHAUSTED;
    }
    *delivery = count;
    *offset = 0;
    return WHERRY_OK;
}

static wherry_status write_some(void* delivery, const void* data, size_t length, wherry_error* error) {
    (void)data, (void)error;
    *(uint64_t*)delivery += length;
    return WHERRY_OK;
}

static wherry_status finish(void* delivery, const wherry_response* response, wherry_error* error) {
    char text[64];
    const int length = snprintf(text, sizeof text, "weighed %" PRIu64 " bytes", *(uint64_t*)delivery);
    free(delivery);
    return response->append(response->context, text, (size_t)length, error);
}

static void abort_delivery(void* delivery, int32_t keep) {
    (void)keep;
    free(delivery);
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
    .abort = abort_delivery,
};

__attribute__((visibility("default"))) const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_SINK,
    .thread_model = WHERRY_THREADS_PARALLEL,
    .option_size = sizeof(wherry_option),
    .name = "weigh",
    .version = "1.0.0",
    .summary = "counts what comes, in C",
    .instance = &instance_functions,
    .functions = &sink_functions,
};
