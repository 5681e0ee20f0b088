/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sink with bad manners, or odd ones that are allowed: it keeps no state, so all its handles are null; and begin does
 * what the offered name says.
 */
#include <stdio.h>
#include <string.h>

#include "wherry/plugin.h"

static const wherry_host* host;

static void say(const char* text) { host->log(host->context, WHERRY_LOG_INFO, text); }

static wherry_status create(const wherry_host* given, void** out, wherry_error* error) {
    (void)error;
    host = given;
    say("create");
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

static void destroy(void* handle) {
    (void)handle;
    say("destroy");
}

static wherry_status begin(void* handle, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error) {
    (void)handle;
    *delivery = NULL;
    *offset = 0;
    if (strcmp(offer->name, "unknown-status") == 0) {
        snprintf(error->text, sizeof error->text, "a reason");
        return 99;
    }
    if (strcmp(offer->name, "negative-status") == 0) return -1;
    if (strcmp(offer->name, "no-text") == 0) return WHERRY_REFUSED;
    if (strcmp(offer->name, "no-end") == 0) {
        memset(error->text, 'x', sizeof error->text);
        return WHERRY_REFUSED;
    }
    if (strcmp(offer->name, "resume") == 0) *offset = 5;
    say("begin");
    return WHERRY_OK;
}

static wherry_status write_some(void* handle, const void* data, size_t length, wherry_error* error) {
    (void)handle;
    (void)data;
    (void)length;
    (void)error;
    say("write");
    return WHERRY_OK;
}

static wherry_status finish(void* handle, const wherry_response* response, wherry_error* error) {
    (void)handle;
    (void)response;
    (void)error;
    say("finish");
    return WHERRY_OK;
}

static void abort_item(void* handle, int32_t keep) {
    (void)handle;
    say(keep ? "abort keep" : "abort drop");
}

static wherry_status read_back(void* handle, uint64_t position, void* buffer, size_t capacity, size_t* length,
                               wherry_error* error) {
    (void)handle;
    (void)position;
    (void)buffer;
    (void)error;
    *length = capacity + 1;
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

__attribute__((visibility("default"))) const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_SINK,
    .option_size = sizeof(wherry_option),
    .name = "crude",
    .version = "1",
    .summary = "bad manners",
    .instance = &instance_functions,
    .functions = &sink_functions,
};
