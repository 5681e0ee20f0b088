/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plugin ABI: what a wherry plugin exports and what the host gives it, in C.
 *
 * A plugin is a shared object that exports one symbol, WHERRY_PLUGIN_SYMBOL: a constant descriptor. Nothing else of it
 * needs to be visible. The symbol's name carries the ABI's major version, so that the host tells a foreign file, or a
 * plugin of another major version, from the symbol table, without loading it.
 *
 * Authors who write C++ use sdk.hpp, which makes the descriptor and the tables below from a class.
 *
 * Rules that hold for every function here (core/doc/plugin-abi.md says more):
 *  - No C++ exception, and no object of a C++ library, crosses this line.
 *  - Memory is never freed by the other side. Pointers that a function is given are borrowed until it returns, unless
 *    its comment says otherwise. Strings are NUL-terminated; text is UTF-8, names of files are any bytes but NUL.
 *  - A function that can fail returns a wherry_status. If that is not WHERRY_OK it has filled *error, which is never
 *    null, and has no other effect on its output arguments.
 *  - Functions marked OPTIONAL may be null pointers; any other null pointer makes the host refuse the plugin.
 *  - Structures grow only at their end. Each begins with its size as its author's compiler saw it; what lies beyond
 *    that size is taken as zero. wherry_plugin, wherry_option, and those that have no struct_size never grow.
 */
#ifndef WHERRY_PLUGIN_H
#define WHERRY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define WHERRY_PLUGIN_MAGIC 0x59525257u /* "WRRY", little-endian */
#define WHERRY_ABI_MAJOR 1u
/*
 * Counts what was appended, for #if: plugin-abi.md lists what each number brought. A header without it counts as 0, as
 * the preprocessor has it. At run time, struct_size says what the other side has.
 */
#define WHERRY_ABI_MINOR 3u
#define WHERRY_PLUGIN_SYMBOL_PREFIX "wherry_plugin_v"
#define WHERRY_PLUGIN_SYMBOL "wherry_plugin_v1"

/* ---- Status and errors ------------------------------------------------------------------------------------------ */

/* Chosen by what the caller can do about it. The numbers are part of the ABI and of the wire (RESULT). */
typedef int32_t wherry_status;
enum {
    WHERRY_OK = 0,
    WHERRY_BAD_INPUT = 1,    /* an argument, option, address or file is wrong: correct it */
    WHERRY_AUTH_FAILED = 2,  /* a key is not authorised, not known, or has changed: decide whom to trust */
    WHERRY_DISCONNECTED = 3, /* the peer cannot be reached, or is gone: retry later */
    WHERRY_TIMED_OUT = 4,    /* the peer was silent for too long: retry later */
    WHERRY_EXHAUSTED = 5,    /* disk, quota, memory or descriptors ran out: make room */
    WHERRY_UNSUPPORTED = 6,  /* this side, or the peer, cannot do that */
    WHERRY_IO = 7,           /* local input or output failed */
    WHERRY_INTERNAL = 8,     /* a bug, here or in a plugin */
    WHERRY_INTEGRITY = 9,    /* data was altered on the way, or does not match its digest */
    WHERRY_PROTOCOL = 10,    /* the peer does not follow the protocol, a length out of bounds included */
    WHERRY_REFUSED = 11,     /* the receiver, or a policy, said no to this delivery */
    WHERRY_CANCELLED = 12    /* stopped on request */
};

#define WHERRY_ERROR_TEXT_BYTES 1024

typedef struct wherry_error {
    wherry_status status;
    int32_t system_error;               /* an errno, or 0 */
    char text[WHERRY_ERROR_TEXT_BYTES]; /* one sentence without a full stop: what failed, why, what to do next */
} wherry_error;

/* ---- Options ---------------------------------------------------------------------------------------------------- */

/* The type of an option: how the host checks a value, and the form in which configure() gets it. */
enum {
    WHERRY_OPTION_STRING = 0,   /* any text, as given */
    WHERRY_OPTION_INTEGER = 1,  /* decimal, within minimum..maximum */
    WHERRY_OPTION_BOOLEAN = 2,  /* "true" or "false" */
    WHERRY_OPTION_DURATION = 3, /* given like "500ms", "30s", "2m", "1h"; gets decimal milliseconds */
    WHERRY_OPTION_SIZE = 4,     /* given like "4096", "64KiB", "1MB"; gets decimal bytes */
    WHERRY_OPTION_PATH = 5,     /* a path, as given */
    WHERRY_OPTION_CHOICE = 6    /* one of `choices` */
};

enum {
    WHERRY_OPTION_REQUIRED = 1, /* there is no default; configuring fails without a value */
    WHERRY_OPTION_SECRET = 2    /* the value is never shown */
};

typedef struct wherry_option {
    const char* name;          /* lower case letters, digits and '-'; the user writes --PLUGIN.NAME */
    uint32_t type;             /* WHERRY_OPTION_... */
    uint32_t flags;            /* WHERRY_OPTION_REQUIRED | WHERRY_OPTION_SECRET */
    const char* default_value; /* as the user would write it; null: none, and configure() is not called for it */
    const char* help;          /* one phrase: effect, and unit where the type does not say it */
    const char* choices;       /* for WHERRY_OPTION_CHOICE: "a|b|c"; else null */
    int64_t minimum, maximum;  /* for INTEGER, DURATION (ms), SIZE (bytes); both 0: not limited */
} wherry_option;

/* ---- What the host gives ---------------------------------------------------------------------------------------- */

enum { WHERRY_LOG_DEBUG = 0, WHERRY_LOG_INFO = 1, WHERRY_LOG_WARNING = 2, WHERRY_LOG_ERROR = 3 };

/* Lives longer than every instance that was created with it. Its functions may be called from any thread. */
typedef struct wherry_host {
    uint32_t struct_size;
    void* context; /* to be handed to each function */

    /* Absolute path of the folder with the user's keys and settings; it may not exist yet. */
    const char* home;

    void (*log)(void* context, int32_t level, const char* text);

    /*
     * Asks the person at the terminal for a secret, without echo. Writes up to `capacity` bytes, not NUL-terminated, to
     * `buffer` and their number to *length. WHERRY_UNSUPPORTED where there is no terminal. The caller wipes the buffer.
     */
    wherry_status (*ask_secret)(void* context, const char* prompt, char* buffer, size_t capacity, size_t* length,
                                wherry_error* error);

    /*
     * Shows text to the person who runs the program: a line, or several with '\n' between them; the last line end is
     * added. It may hold what a peer said: control characters are shown escaped. Lines of one call stay together.
     * Returns when they are written; WHERRY_UNSUPPORTED where a program shows nothing, WHERRY_IO if nobody reads it.
     * Not there (see struct_size) in hosts of version 0.1.0 and before.
     */
    wherry_status (*show)(void* context, const char* text, wherry_error* error);

    /*
     * The absolute paths of the folders in which the host looks for plugins, in its order; a null pointer ends them.
     * For a plugin that wraps another one. Null: the host does not tell. Not there (see struct_size) in older hosts.
     */
    const char* const* plugin_folders;
} wherry_host;

/* ---- Every plugin ----------------------------------------------------------------------------------------------- */

/*
 * Lifecycle of an instance: create, configure once for each option that has a value (a default included), then
 * configure_done, which makes the instance ready; then the functions of its kind; then destroy, after all that came
 * from it is closed. Calls up to configure_done come from one thread, destroy from any.
 */
typedef struct wherry_instance_functions {
    uint32_t struct_size;
    wherry_status (*create)(const wherry_host* host, void** instance, wherry_error* error);
    wherry_status (*configure)(void* instance, const char* name, const char* value, wherry_error* error);
    /* Checks across options, and acquires what the instance needs (reads a key, opens a folder). */
    wherry_status (*configure_done)(void* instance, wherry_error* error);
    void (*destroy)(void* instance);
} wherry_instance_functions;

enum { WHERRY_KIND_TRANSPORT = 1, WHERRY_KIND_CIPHER = 2, WHERRY_KIND_SINK = 3 };

enum {
    WHERRY_THREADS_PARALLEL = 0, /* functions of one instance may run at the same time, as each comment says */
    WHERRY_THREADS_SERIAL = 1    /* sinks only: the host lets one call into the instance at a time */
};

typedef struct wherry_plugin {
    uint32_t magic;       /* WHERRY_PLUGIN_MAGIC */
    uint32_t abi_major;   /* WHERRY_ABI_MAJOR */
    uint32_t struct_size; /* sizeof(wherry_plugin) */
    uint32_t kind;        /* WHERRY_KIND_... */
    uint32_t thread_model;
    uint32_t option_count;
    uint32_t option_size; /* sizeof(wherry_option) */
    uint32_t reserved;    /* 0 */
    const char* name;     /* lower case letters, digits and '-'; the file is KIND-NAME.so */
    const char* version;
    const char* summary; /* one phrase */
    const wherry_option* options;
    const wherry_instance_functions* instance;
    const void* functions; /* the wherry_..._functions of its kind, which begins with its own struct_size */
} wherry_plugin;

/* ---- transport -------------------------------------------------------------------------------------------------- */

typedef struct wherry_piece {
    const void* data;
    size_t length;
} wherry_piece;

/* What is known of a peer that was found. */
enum {
    WHERRY_FOUND_SIGNAL = 1,       /* signal_dbm is set */
    WHERRY_FOUND_PAIRING = 2,      /* whether it is paired: */
    WHERRY_FOUND_IS_PAIRED = 4,    /* ... it is */
    WHERRY_FOUND_SERVICE = 8,      /* whether a wherry receiver runs there: */
    WHERRY_FOUND_HAS_RECEIVER = 16 /* ... one does */
};

/* A device or host that discover() found. Borrowed until the callback returns. */
typedef struct wherry_discovered {
    uint32_t struct_size;
    const char* address; /* in the form that connect takes; "" asks only whether to go on */
    const char* name;    /* or "" */
    uint32_t known;      /* WHERRY_FOUND_... */
    int32_t signal_dbm;  /* received strength, in dBm */
} wherry_discovered;

/* The person who watches a pairing, for both sides must see or type the same. Borrowed until pair() returns. */
typedef struct wherry_pairing_agent {
    uint32_t struct_size;
    void* context;
    /*
     * Asks whether to pair; `code` is the number that the other device should show, too, or "" where the devices agree
     * on none, and nobody can tell who answers. WHERRY_REFUSED: no.
     */
    wherry_status (*confirm)(void* context, const char* code, wherry_error* error);
    /*
     * Asks for the code that the other device shows, or wants. Writes up to `capacity` bytes, not NUL-terminated, and
     * their number to *length. WHERRY_REFUSED: there is none.
     */
    wherry_status (*enter)(void* context, char* buffer, size_t capacity, size_t* length, wherry_error* error);
    /* Shows a code that is to be typed on the other device. Returns at once. */
    void (*show)(void* context, const char* code);
} wherry_pairing_agent;

/*
 * A connection is a reliable, ordered stream of bytes to one peer. One thread may read while another writes;
 * connection_abort may be called from any thread at any time before close; otherwise the host locks.
 */
typedef struct wherry_transport_functions {
    uint32_t struct_size;

    /* Connects within the plugin's connect timeout. `address` is without a scheme ("host:port"). */
    wherry_status (*connect)(void* instance, const char* address, void** connection, wherry_error* error);

    /* Starts to listen. An empty address means the plugin's default. */
    wherry_status (*listen)(void* instance, const char* address, void** listener, wherry_error* error);
    /* The next connection; waits for it. WHERRY_CANCELLED after listener_abort. */
    wherry_status (*accept)(void* listener, void** connection, wherry_error* error);
    /* The real address, in the form that connect takes. Lives until listener_close. */
    const char* (*listener_address)(void* listener);
    /* Makes accept fail with WHERRY_CANCELLED, now and later. From any thread; idempotent. */
    void (*listener_abort)(void* listener);
    void (*listener_close)(void* listener);

    /*
     * Reads 1..capacity bytes and stores their number in *length; 0 only at the orderly end of the stream.
     * REQUIRES capacity > 0. WHERRY_DISCONNECTED if the peer vanished, WHERRY_TIMED_OUT if nothing came for the read
     * timeout; after a time-out the connection can still be used.
     */
    wherry_status (*read_some)(void* connection, void* buffer, size_t capacity, size_t* length, wherry_error* error);
    /* Writes every byte of every piece, in order, or fails. WHERRY_TIMED_OUT if no byte moved for the write timeout. */
    wherry_status (*write_all)(void* connection, const wherry_piece* pieces, size_t count, wherry_error* error);
    /*
     * No more will be written; the peer reads to the end. What was written before still arrives. Over a link that
     * cannot be closed by half (RFCOMM) the other direction ends with it, and what the peer still writes is lost.
     */
    wherry_status (*shutdown_write)(void* connection, wherry_error* error);
    /* In milliseconds, from the next call on; 0: wait for ever. One for each direction's thread to set. */
    void (*set_read_timeout)(void* connection, uint32_t milliseconds);
    void (*set_write_timeout)(void* connection, uint32_t milliseconds);
    /* Makes blocked and later calls fail with WHERRY_DISCONNECTED. From any thread; idempotent. */
    void (*abort)(void* connection);
    /* Lives until connection_close. */
    const char* (*peer_address)(void* connection);
    /* The number of bytes in one record that suits the link, the record's own overhead included. */
    uint32_t (*record_bytes)(void* connection);
    void (*connection_close)(void* connection);

    /*
     * OPTIONAL. Looks for peers for up to `milliseconds` and calls found() for each, on the calling thread, and again
     * for one of which more is known; ends early when found() returns other than 0. Where nothing is found it may call
     * found() now and then with an empty address, to hear whether to go on.
     */
    wherry_status (*discover)(void* instance, uint32_t milliseconds, void* context,
                              int32_t (*found)(void* context, const wherry_discovered* peer), wherry_error* error);
    /*
     * OPTIONAL. Makes this device and the one at `address` known to each other, so that the link itself can be
     * encrypted; a peer that is paired already stays so. Takes up to `milliseconds`, without the time for which the
     * agent, which is asked on any thread, keeps it waiting. WHERRY_REFUSED if a person at either end said no.
     */
    wherry_status (*pair)(void* instance, const char* address, uint32_t milliseconds, const wherry_pairing_agent* agent,
                          wherry_error* error);

    /*
     * OPTIONAL. Makes calls of connect, those that wait now and later ones, fail soon with WHERRY_CANCELLED. What is
     * connected stays so. From any thread; idempotent.
     */
    void (*connect_abort)(void* instance);
} wherry_transport_functions;

/* ---- cipher ----------------------------------------------------------------------------------------------------- */

/* The connection's stream as a cipher sees it, until its handshake is over. As read_some and write_all above. */
typedef struct wherry_stream {
    uint32_t struct_size;
    void* context;
    wherry_status (*read_some)(void* context, void* buffer, size_t capacity, size_t* length, wherry_error* error);
    wherry_status (*write_all)(void* context, const wherry_piece* pieces, size_t count, wherry_error* error);
} wherry_stream;

enum { WHERRY_INITIATOR = 0, WHERRY_RESPONDER = 1 };

#define WHERRY_LABEL_BYTES 256

/* Who the peer has proved to be. All empty for a cipher that has no identities. Strings live as long as their owner. */
typedef struct wherry_identity {
    uint32_t struct_size;
    const char* algorithm;   /* "ssh-ed25519", "ssh-rsa" */
    const char* public_key;  /* one OpenSSH line without comment: "ssh-ed25519 AAAA..." */
    const char* fingerprint; /* "SHA256:..." as ssh-keygen -lf shows it */
    const char* label;       /* what the host knows the key by (the comment of its line), or "" */
} wherry_identity;

typedef struct wherry_handshake {
    uint32_t struct_size;
    uint32_t role;        /* WHERRY_INITIATOR or WHERRY_RESPONDER */
    const void* prologue; /* what both sides said before; both must have the same, so it enters the transcript */
    size_t prologue_bytes;
    void* context;
    /*
     * Asks the host whether this peer is welcome; called once the peer's proof of its key has verified, and before
     * anything is sent or accepted that only a welcome peer may see. On WHERRY_OK `label` (of `capacity` bytes) holds
     * the name that the host knows it by. Otherwise error->text is the reason; a responder sends it to the peer.
     * WHERRY_EXHAUSTED is the exception: the host cannot decide at the moment. A responder then returns that status and
     * sends nothing, so that the peer sees a lost link.
     */
    wherry_status (*verify_peer)(void* context, const wherry_identity* peer, char* label, size_t capacity,
                                 wherry_error* error);
} wherry_handshake;

enum {
    WHERRY_KEY_EXCHANGE_UNKNOWN = 0,
    WHERRY_KEY_EXCHANGE_CLASSICAL = 1,   /* a quantum computer could read a recording of the connection later */
    WHERRY_KEY_EXCHANGE_POST_QUANTUM = 2 /* as far as is known, it could not */
};

/*
 * One thread may seal while another opens. A failure of seal or open is final for that function.
 */
typedef struct wherry_cipher_functions {
    uint32_t struct_size;

    /*
     * Runs the handshake up to the point where this side may send records. The stream is borrowed until it returns; it
     * never reads beyond the last byte of it. WHERRY_DISCONNECTED with EPROTONOSUPPORT: no further attempt follows.
     */
    wherry_status (*handshake)(void* instance, const wherry_handshake* handshake, const wherry_stream* stream,
                               void** session, wherry_error* error);
    /*
     * What is left of the handshake before the first record is read: an initiator learns here whether it was accepted
     * (WHERRY_AUTH_FAILED with the peer's reason if not). Called once, by the thread that opens, while another may
     * seal.
     */
    wherry_status (*finish_handshake)(void* session, const wherry_stream* stream, wherry_error* error);
    /* Bytes that sealing adds to a record, at most 1024. Constant for a session. */
    uint32_t (*overhead)(void* session);
    /* Seals `length` bytes in place; the buffer has room for overhead() bytes more. `length` may be 0. */
    wherry_status (*seal)(void* session, void* record, size_t length, wherry_error* error);
    /*
     * Opens `length` bytes in place and stores the number of plaintext bytes, which begin at `record`. On failure
     * (WHERRY_INTEGRITY) the buffer holds nothing of the plaintext; seal should still work, to tell the peer.
     */
    wherry_status (*open)(void* session, void* record, size_t length, size_t* plain_length, wherry_error* error);
    /* The peer; strings live until session_close. */
    void (*peer)(void* session, wherry_identity* identity);
    /* What was agreed, for people: "x25519, aes-256-gcm". Lives until session_close. */
    const char* (*describe)(void* session);
    void (*session_close)(void* session);

    /* OPTIONAL. Non-zero: the cipher protects nothing, and the program must be told --insecure before it is used. */
    int32_t (*is_insecure)(void* instance);
    /* OPTIONAL. WHERRY_KEY_EXCHANGE_...: what was agreed, for programs. */
    uint32_t (*key_exchange)(void* session);
} wherry_cipher_functions;

/* ---- sink ------------------------------------------------------------------------------------------------------- */

enum {
    WHERRY_MESSAGE = 1, /* text that someone typed */
    WHERRY_FILE = 2,
    WHERRY_DATA = 3,  /* bytes from a pipe */
    WHERRY_FOLDER = 4 /* a folder itself, without content; it comes after what is in it */
};

enum {
    WHERRY_OFFER_HAS_SIZE = 1,
    WHERRY_OFFER_HAS_MODE = 2,
    WHERRY_OFFER_HAS_MTIME = 4,
    WHERRY_OFFER_WANTS_RESUME = 8, /* keep what has come if the link is cut, and go on from it if there is some */
    WHERRY_OFFER_HAS_DELIVERY = 16 /* delivery_id is set */
};

#define WHERRY_DELIVERY_ID_BYTES 16

/* Borrowed until begin returns. */
typedef struct wherry_offer {
    uint32_t struct_size;
    uint32_t kind;    /* WHERRY_MESSAGE ... */
    uint32_t flags;   /* WHERRY_OFFER_... */
    uint32_t mode;    /* permission bits, 0..07777 */
    const char* name; /* as the peer gave it: untrusted bytes, '/' between components; "" for a message */
    size_t name_bytes;
    uint64_t size;
    int64_t mtime_seconds; /* since 1970-01-01T00:00:00Z */
    uint32_t mtime_nanoseconds;
    const char* peer_address;
    const wherry_identity* peer;
    /*
     * Random bytes that name this delivery. The sender repeats them when it offers the same delivery again, because it
     * has not heard how it ended. Not there (see struct_size) in hosts of version 0.1.0 and before.
     */
    uint8_t delivery_id[WHERRY_DELIVERY_ID_BYTES];
} wherry_offer;

#define WHERRY_OUTCOME_BYTES 64

/* What finish gives back to the sender, whether it succeeds or fails. Only until finish returns. */
typedef struct wherry_response {
    uint32_t struct_size;
    void* context;
    /* Appends to the response, at most 1 MiB in all; beyond that WHERRY_EXHAUSTED. */
    wherry_status (*append)(void* context, const void* data, size_t length, wherry_error* error);
    /*
     * The sink's own word for how it ended, beside the status that finish returns: "indexed", "exit 3". UTF-8 of at
     * most WHERRY_OUTCOME_BYTES bytes without control characters; else WHERRY_BAD_INPUT. The last one counts.
     */
    wherry_status (*set_outcome)(void* context, const char* word, wherry_error* error);
} wherry_response;

/* One of the deliveries of a finish_group, borrowed until it returns. */
typedef struct wherry_ending {
    uint32_t struct_size;
    void* delivery;
    const wherry_response* response;
    wherry_status status; /* the sink stores what finish would have returned; WHERRY_INTERNAL until then ... */
    wherry_error error;   /* ... and fills this where that is not WHERRY_OK */
} wherry_ending;

/*
 * begin may be called from many threads at once. A delivery is used by one thread at a time, in the order begin, write
 * any number of times, then finish or abort, which both end it: it is not used afterwards.
 */
typedef struct wherry_sink_functions {
    uint32_t struct_size;

    /*
     * Accepts by WHERRY_OK: *delivery, and in *offset how many bytes of it this side already has (0 unless the offer
     * wants resume). Any other status refuses; the text goes to the sender.
     */
    wherry_status (*begin)(void* instance, const wherry_offer* offer, void** delivery, uint64_t* offset,
                           wherry_error* error);
    wherry_status (*write)(void* delivery, const void* data, size_t length, wherry_error* error);
    /*
     * All has come. Returns only when the delivery is durable; WHERRY_OK is the promise of that to the sender. Ends the
     * delivery whatever it returns; on failure nothing is left that looks finished. It may take long: it keeps no other
     * delivery waiting, for another thread of the host's reads on then.
     */
    wherry_status (*finish)(void* delivery, const wherry_response* response, wherry_error* error);
    /* Nothing more will come. `keep` other than 0: what came may be kept for a resume. Ends the delivery. */
    void (*abort)(void* delivery, int32_t keep);

    /*
     * OPTIONAL; without it a sink cannot resume. Reads back what it has, for its digest to be compared with the
     * sender's: up to `capacity` bytes from `position`, their number in *length, 0 at the end. Between begin and the
     * first write.
     */
    wherry_status (*read_back)(void* delivery, uint64_t position, void* buffer, size_t capacity, size_t* length,
                               wherry_error* error);

    /*
     * OPTIONAL, for a sink whose finish may take long. The program is ending, and what is in flight has had its time:
     * makes calls of finish, those that wait now and later ones, fail soon, with WHERRY_CANCELLED. From any thread,
     * also into an instance that wants one call at a time. Deliveries are still ended one by one before destroy.
     */
    void (*interrupt)(void* instance);

    /*
     * OPTIONAL, for a sink that finishes several deliveries for less than one by one, as by one sync of a folder for
     * all that went into it. As finish for each of `count` deliveries of this instance, 1 to 64: ends them all, and
     * what goes wrong with one is stored with that one. In the order in which they came whole; two may have one name.
     * May run at the same time with other deliveries.
     */
    void (*finish_group)(void* instance, wherry_ending* const* endings, size_t count);

    /*
     * OPTIONAL. Other than 0: finish of this delivery neither waits for anything nor takes long, as where nothing
     * leaves memory. Then the thread that reads the connection calls it, and the answer is earlier by the waking of
     * another.
     */
    int32_t (*finishes_at_once)(void* delivery);

    /*
     * OPTIONAL, for a sink that remembers what it stored even if the receiver is killed. Asked once, between begin and
     * anything else, and only for an offer with a delivery_id. Other than 0: this very delivery (same id, key of the
     * peer, kind, name, size and time) was stored before, and `response` got what finish answered then. The host sends
     * status 0 with that answer, and ends the delivery by abort without keeping. 0: it was not, or nobody knows.
     */
    int32_t (*already)(void* delivery, const wherry_response* response);
} wherry_sink_functions;

#ifdef __cplusplus
}
#endif

#endif
