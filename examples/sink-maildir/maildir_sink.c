/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sink-maildir: makes each delivery a mail in a Maildir, for any mail program to read, with the content attached. Plain
 * C against plugin.h, and nothing else.
 *
 * A mail grows in tmp/ and is moved to new/ once it is whole, as the Maildir format wants it: whatever happens, what
 * is in new/ is complete. The sender hears OK when the disk has both the mail and its name.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "wherry/plugin.h"

/* The sink. Read by many threads at once, so nothing in it changes once it is ready. */
typedef struct {
    char* path;
    uint64_t limit;
    int tmp, new; /* the folders, open */
} maildir;

/* One delivery, which one thread at a time uses. */
typedef struct {
    const maildir* into;
    int file;
    char name[64]; /* in tmp/, then in new/ */
    uint64_t bytes;
    unsigned char odd[3]; /* what base64 has no full group of yet */
    size_t odd_count, column;
    char text[8192]; /* the mail, up to the next write */
    size_t length;
} mail;

/* ---- Errors: each is a sentence for the sender, and the reason goes with it ---- */

static wherry_status fail(wherry_error* error, wherry_status status, const char* what) {
    error->status = status;
    error->system_error = 0;
    snprintf(error->text, sizeof error->text, "%s", what);
    return status;
}

static wherry_status fail_by_system(wherry_error* error, const char* what) {
    const int why = errno;
    const int is_full = why == ENOSPC || why == EDQUOT || why == EMFILE || why == ENFILE;
    error->status = is_full ? WHERRY_EXHAUSTED : WHERRY_IO;
    error->system_error = why;
    snprintf(error->text, sizeof error->text, "%s: %s", what, strerror(why));
    return error->status;
}

/* ---- Writing a mail ---- */

static wherry_status flush(mail* it, wherry_error* error) {
    for (size_t done = 0; done < it->length;) {
        const ssize_t count = write(it->file, it->text + done, it->length - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_by_system(error, "the mail cannot be written");
        done += (size_t)count;
    }
    it->length = 0;
    return WHERRY_OK;
}

static wherry_status put(mail* it, wherry_error* error, const char* text, size_t length) {
    if (it->length + length > sizeof it->text) {
        const wherry_status status = flush(it, error);
        if (status != WHERRY_OK) return status;
    }
    memcpy(it->text + it->length, text, length); /* never more at once than fits */
    it->length += length;
    return WHERRY_OK;
}

__attribute__((format(printf, 3, 4))) static wherry_status put_line(mail* it, wherry_error* error, const char* format,
                                                                    ...) {
    char line[1000]; /* mail allows 998 and the line's end */
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2) length = (int)sizeof line - 2; /* cut, and a line all the same */
    line[length++] = '\n';
    return put(it, error, line, (size_t)length);
}

/* The three bytes that are held, as four characters; fewer at the end of the content. */
static wherry_status put_group(mail* it, wherry_error* error) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const size_t count = it->odd_count;
    for (size_t i = count; i < 3; ++i) it->odd[i] = 0;
    char group[5] = {digits[it->odd[0] >> 2], digits[(it->odd[0] & 3) << 4 | it->odd[1] >> 4],
                     count > 1 ? digits[(it->odd[1] & 15) << 2 | it->odd[2] >> 6] : '=',
                     count > 2 ? digits[it->odd[2] & 63] : '=', '\n'};
    it->odd_count = 0;
    it->column = (it->column + 4) % 76;
    return put(it, error, group, it->column == 0 ? 5 : 4);
}

/* ---- What the peer said, made fit for a header: it could hold anything, line ends and headers of its own included. */

/* A few plain characters; the others become '_'. */
static void plain(char* out, size_t capacity, const char* from, size_t length) {
    size_t at = 0;
    for (size_t i = 0; i < length && at + 1 < capacity; ++i) {
        const unsigned char c = (unsigned char)from[i];
        out[at++] = (char)(c < 128 && (isalnum(c) || strchr(" .-+@/:", c) != NULL) ? c : '_');
    }
    out[at] = '\0';
}

/* Every byte, as RFC 5987 has it: %E2%82%AC. Of a name that is too long, the end. */
static void percent_encoded(char* out, size_t capacity, const char* from, size_t length) {
    const size_t most = (capacity - 1) / 3;
    if (length > most) from += length - most, length = most;
    for (size_t i = 0; i < length; ++i) {
        const unsigned char c = (unsigned char)from[i];
        out += sprintf(out, c < 128 && (isalnum(c) || c == '.' || c == '-') ? "%c" : "%%%02X", c);
    }
    *out = '\0';
}

static wherry_status put_headers(mail* it, const wherry_offer* offer, wherry_error* error) {
    static const char* const kinds[] = {"item", "message", "file", "data", "folder"};
    const char* const kind = kinds[offer->kind <= WHERRY_FOLDER ? offer->kind : 0];
    /* What is behind the last '/': a mail program makes it the attachment's file name. */
    const char* const slash = memrchr(offer->name, '/', offer->name_bytes);
    const char* const last = slash != NULL ? slash + 1 : offer->name;
    char subject[256], sender[128], label[128], file[700], date[64];
    plain(subject, sizeof subject, offer->name, offer->name_bytes);
    plain(sender, sizeof sender, offer->peer->fingerprint, strlen(offer->peer->fingerprint));
    plain(label, sizeof label, offer->peer->label, strlen(offer->peer->label));
    percent_encoded(file, sizeof file, last, offer->name_bytes - (size_t)(last - offer->name));
    const time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &utc);

    wherry_status status = put_line(it, error, "Date: %s", date);
    if (status == WHERRY_OK) status = put_line(it, error, "From: \"%s\" <wherry@localhost>", label);
    if (status == WHERRY_OK) status = put_line(it, error, "Subject: %s %s", kind, subject);
    if (status == WHERRY_OK) status = put_line(it, error, "Message-ID: <%s@wherry.invalid>", it->name);
    if (status == WHERRY_OK) status = put_line(it, error, "X-Wherry-Sender: %s", sender);
    if (status == WHERRY_OK) status = put_line(it, error, "MIME-Version: 1.0");
    if (status == WHERRY_OK)
        status = offer->kind == WHERRY_MESSAGE ? put_line(it, error, "Content-Type: text/plain; charset=utf-8")
                                               : put_line(it, error,
                                                          "Content-Type: application/octet-stream\n"
                                                          "Content-Disposition: attachment; filename*=UTF-8''%s",
                                                          file);
    if (status == WHERRY_OK) status = put_line(it, error, "Content-Transfer-Encoding: base64\n");
    return status;
}

/* ---- A delivery: begin, write..., then finish or abort ---- */

/* Gives back what the delivery has. Its file goes with it, unless that has moved to new/. */
static void end(mail* it) {
    close(it->file);
    unlinkat(it->into->tmp, it->name, 0);
    free(it);
}

/* On many threads at once. Whatever it returns but WHERRY_OK refuses the delivery. */
static wherry_status begin(void* instance, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error) {
    static atomic_uint counter;
    const maildir* const self = instance;
    if (offer->kind == WHERRY_FOLDER)
        return fail(error, WHERRY_REFUSED, "a folder is no mail; send the files in it, or an archive");
    if ((offer->flags & WHERRY_OFFER_HAS_SIZE) && offer->size > self->limit)
        return fail(error, WHERRY_REFUSED, "it is larger than the mails that are taken here; send it in parts");

    mail* const it = calloc(1, sizeof *it);
    if (it == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory");
    it->into = self;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(it->name, sizeof it->name, "%" PRId64 ".M%09ldP%dQ%u.wherry", (int64_t)now.tv_sec, now.tv_nsec,
             (int)getpid(), atomic_fetch_add(&counter, 1));
    it->file = openat(self->tmp, it->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (it->file < 0) {
        fail_by_system(error, "no mail can be made");
        free(it);
        return error->status;
    }
    const wherry_status status = put_headers(it, offer, error);
    if (status != WHERRY_OK) {
        end(it);
        return status;
    }
    *delivery = it;
    *offset = 0; /* nothing is kept of a delivery that was cut */
    return WHERRY_OK;
}

/* Pieces end anywhere, and may be empty. After a failure the host calls abort. */
static wherry_status write_bytes(void* delivery, const void* data, size_t length, wherry_error* error) {
    mail* const it = delivery;
    const unsigned char* const from = data;
    if (length > it->into->limit - it->bytes) /* nobody has to keep to the size that was offered, if one was */
        return fail(error, WHERRY_REFUSED, "it is larger than the mails that are taken here; send it in parts");
    it->bytes += length;
    for (size_t i = 0; i < length; ++i) {
        it->odd[it->odd_count++] = from[i];
        if (it->odd_count < 3) continue;
        const wherry_status status = put_group(it, error);
        if (status != WHERRY_OK) return status;
    }
    return WHERRY_OK;
}

static wherry_status store(mail* it, wherry_error* error) {
    wherry_status status = WHERRY_OK;
    if (it->odd_count > 0) status = put_group(it, error);
    if (status == WHERRY_OK) status = put(it, error, "\n", 1);
    if (status == WHERRY_OK) status = flush(it, error);
    if (status != WHERRY_OK) return status;
    if (fsync(it->file) != 0) return fail_by_system(error, "the mail cannot be written");
    /* A link, for a move would replace a mail that has the name already. */
    if (linkat(it->into->tmp, it->name, it->into->new, it->name, 0) != 0)
        return fail_by_system(error, "the mail cannot be put into new/");
    if (fsync(it->into->new) == 0) return WHERRY_OK;
    fail_by_system(error, "the mail cannot be put into new/");
    unlinkat(it->into->new, it->name, 0); /* what failed must not look delivered */
    return error->status;
}

/* Ends the delivery, whatever it returns. WHERRY_OK promises that nothing can take it away any more. */
static wherry_status finish(void* delivery, const wherry_response* response, wherry_error* error) {
    mail* const it = delivery;
    wherry_status status = store(it, error);
    if (status == WHERRY_OK) {
        /* It is delivered, whether there is room to say more or not. */
        wherry_error ignored;
        response->append(response->context, it->name, strlen(it->name), &ignored);
        response->set_outcome(response->context, "mailed", &ignored);
    }
    end(it);
    return status;
}

static void abort_delivery(void* delivery, int32_t keep) {
    (void)keep;
    end(delivery);
}

/* ---- An instance: create, configure for each option, configure_done, destroy ---- */

static wherry_status create(const wherry_host* host, void** instance, wherry_error* error) {
    (void)host;
    maildir* const self = calloc(1, sizeof *self);
    if (self == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory");
    self->tmp = self->new = -1;
    *instance = self;
    return WHERRY_OK;
}

static wherry_status configure(void* instance, const char* name, const char* value, wherry_error* error) {
    maildir* const self = instance;
    if (strcmp(name, "limit") == 0) {
        self->limit = strtoull(value, NULL, 10); /* checked by the host, and in bytes */
    } else {
        free(self->path);
        self->path = strdup(value);
        if (self->path == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory");
    }
    return WHERRY_OK;
}

/* Makes the folder `name` in `at` if it is not there, and opens it. */
static int open_folder(int at, const char* name) {
    if (mkdirat(at, name, 0700) != 0 && errno != EEXIST) return -1;
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static wherry_status configure_done(void* instance, wherry_error* error) {
    maildir* const self = instance;
    const int folder = open_folder(AT_FDCWD, self->path);
    const int cur = folder >= 0 ? open_folder(folder, "cur") : -1;
    if (cur >= 0) self->tmp = open_folder(folder, "tmp");
    if (self->tmp >= 0) self->new = open_folder(folder, "new");
    /* The new folders' own names are to last, too. */
    wherry_status status = WHERRY_OK;
    if (self->new < 0 || fsync(folder) != 0) status = fail_by_system(error, "the Maildir cannot be opened or made");
    if (cur >= 0) close(cur);
    if (folder >= 0) close(folder);
    return status;
}

static void destroy(void* instance) {
    maildir* const self = instance;
    if (self->tmp >= 0) close(self->tmp);
    if (self->new >= 0) close(self->new);
    free(self->path);
    free(self);
}

/* ---- What the host is told ---- */

static const wherry_option options[] = {
    {.name = "directory",
     .type = WHERRY_OPTION_PATH,
     .default_value = "Maildir",
     .help = "the Maildir; made if missing"},
    {.name = "limit",
     .type = WHERRY_OPTION_SIZE,
     .default_value = "25MB",
     .help = "largest delivery that is taken",
     .minimum = 1,
     .maximum = INT64_C(1) << 40},
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
    .name = "maildir",
    .version = "1.0.0",
    .summary = "makes each delivery a mail in a Maildir",
    .options = options,
    .instance = &instance_functions,
    .functions = &sink_functions,
};
