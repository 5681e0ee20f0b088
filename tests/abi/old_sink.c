/* SPDX-License-Identifier: BSD-2-Clause */
/* A sink that keeps the N-th delivery as DIRECTORY/N, and what it was told of it as DIRECTORY/N.offer, a line for each.
 */
#include <inttypes.h>

#include "old_plugin.h"

typedef struct {
    const wherry_host* host;
    char* directory;
    int count;
} sink;

typedef struct {
    FILE* file;
    uint64_t bytes;
} delivery;

/* ---- Instance ---- */

static wherry_status create(const wherry_host* host, void** instance, wherry_error* error) {
    sink* const self = calloc(1, sizeof *self);
    if (self == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory");
    self->host = host;
    *instance = self;
    return WHERRY_OK;
}

static wherry_status configure(void* instance, const char* name, const char* value, wherry_error* error) {
    if (strcmp(name, "directory") != 0) return fail(error, WHERRY_INTERNAL, "an option that the table does not have");
    ((sink*)instance)->directory = strdup(value);
    return ((sink*)instance)->directory ? WHERRY_OK : fail(error, WHERRY_EXHAUSTED, "out of memory");
}

static wherry_status configure_done(void* instance, wherry_error* error) {
    const sink* const self = instance;
    if (self->directory == NULL) return fail(error, WHERRY_INTERNAL, "what is required never came");
    self->host->log(self->host->context, WHERRY_LOG_WARNING, "this sink is an old one");
    return WHERRY_OK;
}

static void destroy(void* instance) {
    free(((sink*)instance)->directory);
    free(instance);
}

/* ---- Deliveries ---- */

static FILE* open_file(const sink* self, int number, const char* ending) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%d%s", self->directory, number, ending);
    return fopen(path, "wxe");
}

static int write_offer(FILE* file, const wherry_offer* offer) {
    fprintf(file, "kind %" PRIu32 "\nflags %" PRIu32 "\nmode %" PRIo32 "\n", offer->kind, offer->flags, offer->mode);
    fprintf(file, "name %.*s\nsize %" PRIu64 "\n", (int)offer->name_bytes, offer->name, offer->size);
    fprintf(file, "mtime %" PRId64 ".%09" PRIu32 "\n", offer->mtime_seconds, offer->mtime_nanoseconds);
    fprintf(file, "peer_address %s\n", offer->peer_address);
    fprintf(file, "algorithm %s\npublic_key %s\n", offer->peer->algorithm, offer->peer->public_key);
    fprintf(file, "fingerprint %s\nlabel %s\n", offer->peer->fingerprint, offer->peer->label);
    return fclose(file);
}

static wherry_status begin(void* instance, const wherry_offer* offer, void** made, uint64_t* offset,
                           wherry_error* error) {
    sink* const self = instance;
    static const char unwelcome[] = "unwelcome";
    if (offer->name_bytes == strlen(unwelcome) && memcmp(offer->name, unwelcome, offer->name_bytes) == 0)
        return fail(error, WHERRY_REFUSED, "this name is not welcome");
    const int number = __atomic_add_fetch(&self->count, 1, __ATOMIC_RELAXED);
    FILE* const description = open_file(self, number, ".offer");
    if (description == NULL || write_offer(description, offer) != 0)
        return fail_by_system(error, WHERRY_IO, "the offer cannot be kept");
    delivery* const it = calloc(1, sizeof *it);
    if (it == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory");
    it->file = open_file(self, number, "");
    if (it->file == NULL) {
        free(it);
        return fail_by_system(error, WHERRY_IO, "there is no file for it");
    }
    *made = it;
    *offset = 0;
    return WHERRY_OK;
}

static wherry_status write_bytes(void* handle, const void* data, size_t length, wherry_error* error) {
    delivery* const it = handle;
    it->bytes += length;
    return fwrite(data, 1, length, it->file) == length ? WHERRY_OK
                                                       : fail_by_system(error, WHERRY_IO, "it does not fit");
}

static wherry_status finish(void* handle, const wherry_response* response, wherry_error* error) {
    delivery* const it = handle;
    char answer[64];
    const int length = snprintf(answer, sizeof answer, "kept %" PRIu64 " bytes", it->bytes);
    const int failed = fclose(it->file);
    free(it);
    if (failed) return fail_by_system(error, WHERRY_IO, "it cannot be written");
    return response->append(response->context, answer, (size_t)length, error);
}

static void abort_delivery(void* handle, int32_t keep) {
    (void)keep;
    fclose(((delivery*)handle)->file);
    free(handle);
}

static const wherry_option options[] = {
    {"number", WHERRY_OPTION_INTEGER, 0, NULL, "nothing, before the row that is needed", NULL, 1, 9},
    {"directory", WHERRY_OPTION_PATH, WHERRY_OPTION_REQUIRED, NULL, "where deliveries go", NULL, 0, 0},
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
    .write = write_bytes,
    .finish = finish,
    .abort = abort_delivery,
};

EXPORTED const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_SINK,
    .option_count = sizeof options / sizeof *options,
    .option_size = sizeof(wherry_option),
    .name = "old",
    .version = "1",
    .summary = "keeps each delivery and its offer, for an older wherry",
    .options = options,
    .instance = &instance_functions,
    .functions = &sink_functions,
};
