/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A cipher that protects nothing. Each side sends its public key, which it does not prove, and the host is asked as if
 * it did. Records are mixed with one byte, which comes from the option and from what both sides said before.
 */
#include "old_plugin.h"

#define LINE_BYTES 1024

typedef struct {
    const wherry_host* host;
    unsigned char mixed_with;
    char own_line[LINE_BYTES]; /* with its line end */
} cipher;

typedef struct {
    uint32_t role;
    unsigned char mixed_with;
    char algorithm[32], public_key[LINE_BYTES], label[WHERRY_LABEL_BYTES];
} session;

/* ---- Instance ---- */

static wherry_status create(const wherry_host* host, void** instance, wherry_error* error) {
    cipher* const self = calloc(1, sizeof *self);
    if (self == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory");
    self->host = host;
    *instance = self;
    return WHERRY_OK;
}

static wherry_status configure(void* instance, const char* name, const char* value, wherry_error* error) {
    if (strcmp(name, "mixed-with") != 0) return fail(error, WHERRY_INTERNAL, "an option that the table does not have");
    ((cipher*)instance)->mixed_with = (unsigned char)atoi(value);
    return WHERRY_OK;
}

static wherry_status configure_done(void* instance, wherry_error* error) {
    cipher* const self = instance;
    char path[4096];
    snprintf(path, sizeof path, "%s/identity.pub", self->host->home);
    FILE* const file = fopen(path, "re");
    const char* const line = file ? fgets(self->own_line, sizeof self->own_line, file) : NULL;
    if (file) fclose(file);
    if (line == NULL || strchr(line, '\n') == NULL)
        return fail_by_system(error, WHERRY_BAD_INPUT, "there is no public key in the home");
    return WHERRY_OK;
}

static int32_t is_insecure(void* instance) {
    (void)instance;
    return 1;
}

/* ---- Handshake ---- */

static wherry_status write_line(const wherry_stream* stream, const char* line, wherry_error* error) {
    const size_t half = strlen(line) / 2;
    const wherry_piece pieces[] = {{line, half}, {line + half, strlen(line) - half}};
    return stream->write_all(stream->context, pieces, 2, error);
}

/* Up to the line end, which is stored, too; nothing behind it. */
static wherry_status read_line(const wherry_stream* stream, char* line, wherry_error* error) {
    for (size_t count = 0; count + 1 < LINE_BYTES; ++count) {
        size_t length = 0;
        const wherry_status status = stream->read_some(stream->context, line + count, 1, &length, error);
        if (status != WHERRY_OK) return status;
        if (length == 0) return fail(error, WHERRY_DISCONNECTED, "the peer left during the handshake");
        line[count + 1] = '\0';
        if (line[count] == '\n') return WHERRY_OK;
    }
    return fail(error, WHERRY_PROTOCOL, "the peer's line does not end");
}

static void describe_peer(session* it, wherry_identity* peer) {
    peer->struct_size = sizeof *peer;
    peer->algorithm = it->algorithm;
    peer->public_key = it->public_key;
    peer->fingerprint = "SHA256:unknown";
    peer->label = it->label;
}

static wherry_status run_handshake(const cipher* self, const wherry_handshake* request, const wherry_stream* stream,
                                   session* it, wherry_error* error) {
    char line[LINE_BYTES], encoded[LINE_BYTES - sizeof it->algorithm];
    wherry_status status = WHERRY_OK;
    it->role = request->role;
    it->mixed_with = self->mixed_with;
    for (size_t i = 0; i < request->prologue_bytes; ++i) it->mixed_with ^= ((const unsigned char*)request->prologue)[i];

    if (it->role == WHERRY_INITIATOR) status = write_line(stream, self->own_line, error);
    if (status == WHERRY_OK) status = read_line(stream, line, error);
    if (status != WHERRY_OK) return status;
    if (sscanf(line, "%31s %900s", it->algorithm, encoded) != 2)
        return fail(error, WHERRY_PROTOCOL, "the peer sent no key");
    snprintf(it->public_key, sizeof it->public_key, "%s %s", it->algorithm, encoded);

    wherry_identity peer;
    describe_peer(it, &peer);
    status = request->verify_peer(request->context, &peer, it->label, sizeof it->label, error);
    if (status == WHERRY_OK && it->role == WHERRY_RESPONDER) status = write_line(stream, self->own_line, error);
    if (status == WHERRY_OK && it->role == WHERRY_RESPONDER) status = write_line(stream, "welcome\n", error);
    return status;
}

static wherry_status handshake(void* instance, const wherry_handshake* request, const wherry_stream* stream,
                               void** made, wherry_error* error) {
    session* const it = calloc(1, sizeof *it);
    if (it == NULL) return fail(error, WHERRY_EXHAUSTED, "out of memory");
    const wherry_status status = run_handshake(instance, request, stream, it, error);
    if (status == WHERRY_OK)
        *made = it;
    else
        free(it);
    return status;
}

static wherry_status finish_handshake(void* handle, const wherry_stream* stream, wherry_error* error) {
    char line[LINE_BYTES];
    if (((session*)handle)->role == WHERRY_RESPONDER) return WHERRY_OK;
    const wherry_status status = read_line(stream, line, error);
    if (status != WHERRY_OK) return status;
    return strcmp(line, "welcome\n") == 0 ? WHERRY_OK : fail(error, WHERRY_AUTH_FAILED, "the peer wants nobody");
}

/* ---- Session ---- */

static uint32_t overhead(void* handle) {
    (void)handle;
    return 1;
}

static unsigned char sum_of(const unsigned char* bytes, size_t length) {
    unsigned char sum = 0;
    for (size_t i = 0; i < length; ++i) sum = (unsigned char)(sum + bytes[i]);
    return sum;
}

static void mix(const session* it, unsigned char* bytes, size_t length) {
    for (size_t i = 0; i < length; ++i) bytes[i] ^= it->mixed_with;
}

/* The last byte of a record is the sum of its plaintext. */
static wherry_status seal(void* handle, void* record, size_t length, wherry_error* error) {
    (void)error;
    unsigned char* const bytes = record;
    bytes[length] = sum_of(bytes, length);
    mix(handle, bytes, length);
    return WHERRY_OK;
}

static wherry_status open_record(void* handle, void* record, size_t length, size_t* plain_length, wherry_error* error) {
    unsigned char* const bytes = record;
    if (length == 0) return fail(error, WHERRY_INTEGRITY, "the record is too short");
    mix(handle, bytes, length - 1);
    if (sum_of(bytes, length - 1) != bytes[length - 1]) {
        memset(bytes, 0, length);
        return fail(error, WHERRY_INTEGRITY, "the record has another sum");
    }
    *plain_length = length - 1;
    return WHERRY_OK;
}

static void peer(void* handle, wherry_identity* identity) { describe_peer(handle, identity); }

static const char* describe(void* handle) {
    (void)handle;
    return "mixed with one byte";
}

static const wherry_option options[] = {
    {"mixed-with", WHERRY_OPTION_INTEGER, 0, "85", "the byte", NULL, 0, 255},
};

static const wherry_instance_functions instance_functions = {
    .struct_size = sizeof(wherry_instance_functions),
    .create = create,
    .configure = configure,
    .configure_done = configure_done,
    .destroy = free,
};

static const wherry_cipher_functions cipher_functions = {
    .struct_size = sizeof(wherry_cipher_functions),
    .handshake = handshake,
    .finish_handshake = finish_handshake,
    .overhead = overhead,
    .seal = seal,
    .open = open_record,
    .peer = peer,
    .describe = describe,
    .session_close = free,
    .is_insecure = is_insecure,
};

EXPORTED const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_CIPHER,
    .option_count = sizeof options / sizeof *options,
    .option_size = sizeof(wherry_option),
    .name = "old",
    .version = "1",
    .summary = "no protection, for an older wherry",
    .options = options,
    .instance = &instance_functions,
    .functions = &cipher_functions,
};
