/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tells whether calls overlap: each call stays inside for a while, to be met by another. Its thread model is serial,
 * unless WHERRY_TEST_PARALLEL is set when it is loaded.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wherry/plugin.h"

static atomic_int inside = 0;
static atomic_int has_met = 0;

/* Long enough that calls of threads that are let in together do meet; over at once when they have met. */
static void stay(void) {
    if (atomic_fetch_add(&inside, 1) > 0) atomic_store(&has_met, 1);
    for (int i = 0; i < 40 && !atomic_load(&has_met); ++i) usleep(500);
    atomic_fetch_sub(&inside, 1);
}

static wherry_status create(const wherry_host* host, void** out, wherry_error* error) {
    static int one;
    (void)host;
    (void)error;
    atomic_store(&has_met, 0);
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

static wherry_status begin(void* handle, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error) {
    (void)offer;
    (void)error;
    stay();
    *delivery = handle;
    *offset = 0;
    return WHERRY_OK;
}

static wherry_status write_some(void* handle, const void* data, size_t length, wherry_error* error) {
    (void)handle;
    (void)data;
    (void)length;
    (void)error;
    stay();
    return WHERRY_OK;
}

static wherry_status finish(void* handle, const wherry_response* response, wherry_error* error) {
    (void)handle;
    stay();
    const char* const text = atomic_load(&has_met) ? "met" : "alone";
    return response->append(response->context, text, strlen(text), error);
}

static void abort_item(void* handle, int32_t keep) {
    (void)handle;
    (void)keep;
    stay();
}

static wherry_status read_back(void* handle, uint64_t position, void* buffer, size_t capacity, size_t* length,
                               wherry_error* error) {
    (void)handle;
    (void)position;
    (void)buffer;
    (void)capacity;
    (void)error;
    stay();
    *length = 0;
    return WHERRY_OK;
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
    .read_back = read_back,
};

/* Not constant, for the variable to have a say. */
__attribute__((visibility("default"))) wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_SINK,
    .thread_model = WHERRY_THREADS_SERIAL,
    .option_size = sizeof(wherry_option),
    .name = "threads",
    .version = "1",
    .summary = "tells whether calls overlap",
    .instance = &instance_functions,
    .functions = &sink_functions,
};

__attribute__((constructor)) static void choose_model(void) {
    if (getenv("WHERRY_TEST_PARALLEL") != NULL) wherry_plugin_v1.thread_model = WHERRY_THREADS_PARALLEL;
}
