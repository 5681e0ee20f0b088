/* sink-@NAME@: stores each delivery as a file of its own, and answers with that file's name. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wherry/plugin.h"

/* The sink. Deliveries only read it, for begin() runs on many threads at once. */
typedef struct {
    char* folder;
} store;

/* One delivery on its way in. One thread at a time uses it. */
typedef struct {
    const store* into;
    int file;
    char hidden[]; /* FOLDER/.XXXXXX, until it is whole */
} incoming;

/* Fills what every failing function owes the host. It goes to the sender, who need not learn of paths here. */
static wherry_status fail(wherry_error* error, wherry_status status, const char* what, int why) {
    error->status = status;
    error->system_error = why;
    if (why != 0)
        snprintf(error->text, sizeof error->text, "%s: %s", what, strerror(why));
    else
        snprintf(error->text, sizeof error->text, "%s", what);
    return status;
}

static wherry_status create(const wherry_host* host, void** instance, wherry_error* error) {
    (void)host;
    *instance = calloc(1, sizeof(store));
    return *instance != NULL ? WHERRY_OK : fail(error, WHERRY_EXHAUSTED, "out of memory", 0);
}

/* Called with each option that has a value, its default included, after the host has checked it. */
static wherry_status configure(void* instance, const char* name, const char* value, wherry_error* error) {
    store* const self = instance;
    (void)name; /* there is only one */
    free(self->folder);
    self->folder = strdup(value);
    return self->folder != NULL ? WHERRY_OK : fail(error, WHERRY_EXHAUSTED, "out of memory", 0);
}

static wherry_status configure_done(void* instance, wherry_error* error) {
    const store* const self = instance;
    if (mkdir(self->folder, 0700) == 0 || errno == EEXIST) return WHERRY_OK;
    return fail(error, WHERRY_IO, "the folder cannot be made", errno);
}

static void destroy(void* instance) {
    store* const self = instance;
    free(self->folder);
    free(self);
}

/* To return WHERRY_OK is to accept; any other status refuses, and its text goes to the sender. */
static wherry_status begin(void* instance, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error) {
    const store* const self = instance;
    (void)offer;
    incoming* const it = malloc(sizeof *it + strlen(self->folder) + sizeof "/.XXXXXX");
    if (it == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory", 0);
    it->into = self;
    sprintf(it->hidden, "%s/.XXXXXX", self->folder);
    it->file = mkostemp(it->hidden, O_CLOEXEC);
    if (it->file < 0) {
        const int why = errno;
        free(it);
        return fail(error, WHERRY_IO, "no file can be made", why);
    }
    *delivery = it;
    *offset = 0;
    return WHERRY_OK;
}

static wherry_status write_bytes(void* delivery, const void* data, size_t length, wherry_error* error) {
    const incoming* const it = delivery;
    const char* from = data;
    while (length > 0) {
        const ssize_t count = write(it->file, from, length);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return fail(error, WHERRY_IO, "it cannot be written", errno);
        from += count;
        length -= (size_t)count;
    }
    return WHERRY_OK;
}

/* Ends a delivery: what is hidden goes, what has its name stays. */
static void end(incoming* it) {
    close(it->file);
    unlink(it->hidden);
    free(it);
}

/* WHERRY_OK is the promise that the disk has it. Whatever finish returns, the delivery is over. */
static wherry_status finish(void* delivery, const wherry_response* response, wherry_error* error) {
    incoming* const it = delivery;
    const char* const name = it->hidden + strlen(it->into->folder) + 2;
    wherry_status status = WHERRY_OK;
    char text[64];
    const int length = snprintf(text, sizeof text, "stored as %s", name);
    const int folder = open(it->into->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fsync(it->file) != 0) {
        status = fail(error, WHERRY_IO, "it cannot be stored", errno);
    } else if ((status = response->append(response->context, text, (size_t)length, error)) != WHERRY_OK) {
        /* It has no name yet, and append has said why. */
    } else if (linkat(AT_FDCWD, it->hidden, folder, name, 0) != 0) {
        status = fail(error, WHERRY_IO, "it cannot be given its name", errno);
    } else if (fsync(folder) != 0) {
        status = fail(error, WHERRY_IO, "its name cannot be stored", errno);
        unlinkat(folder, name, 0);
    }
    if (folder >= 0) close(folder);
    end(it);
    return status;
}

/* Nothing more will come: the link was cut, or write failed. */
static void abort_delivery(void* delivery, int32_t keep) {
    (void)keep; /* this sink offers no resume */
    end(delivery);
}

static const wherry_option options[] = {
    {.name = "directory",
     .type = WHERRY_OPTION_PATH,
     .default_value = "@NAME@-deliveries",
     .help = "folder for what comes"},
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
__attribute__((visibility("default"))) const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_SINK,
    .thread_model = WHERRY_THREADS_PARALLEL,
    .option_count = sizeof options / sizeof *options,
    .option_size = sizeof *options,
    .name = "@NAME@",
    .version = "0.1.0",
    .summary = "stores each delivery as a file of its own",
    .options = options,
    .instance = &instance_functions,
    .functions = &sink_functions,
};
