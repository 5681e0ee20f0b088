// SPDX-License-Identifier: BSD-2-Clause
// A cipher with one fault: the one that `here` names. Without one ("none") it does what the
// conformance kit can see of a cipher; but its arithmetic is a toy's, and protects nothing from anybody.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "wherry/plugin.h"

enum class fault {
    none,
    // of the handshake
    ignores_the_prologue,
    ignores_alterations,
    asks_nobody,
    asks_twice,
    lets_everybody_in,
    tells_no_reason,
    refuses_when_it_cannot_tell,
    reads_too_far,
    shares_a_key,
    has_no_name,
    differs_in_its_exchange,
    forgets_the_label,
    throws,
    // of records
    hides_nothing,
    repeats_itself,
    has_one_nonce_for_all,
    takes_what_was_altered,
    takes_replays,
    forgives,
    leaves_the_plaintext,
    calls_it_io,
    begins_anew_after_a_failure,
    seals_both_ways_alike,
    has_one_key_for_all,
    writes_too_far,
    adds_too_much,
    changes_its_overhead,
    // of what stays
    leaks_sessions,
};

// Each plugin is this file, compiled once for all, and a number of its own (CMakeLists.txt).
extern "C" const fault here;

namespace {

wherry_status fail(wherry_error* error, wherry_status status, const std::string& text) {
    error->status = status;
    std::snprintf(error->text, sizeof error->text, "%s", text.c_str());
    return status;
}

std::uint64_t mix(std::uint64_t state, std::uint64_t value) {
    state = (state ^ value) * 0x9E3779B97F4A7C15u;
    return state ^ (state >> 29);
}

std::uint64_t mix(std::uint64_t state, const void* data, std::size_t length) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < length; ++i) state = mix(state, bytes[i] + 1u);
    return mix(state, length);
}

struct instance {
    std::string key;  // of this side
};

struct session {
    std::string key, name, fingerprint, label;
    std::uint64_t secret = 0, transcript = 0;
    std::uint64_t sealed = 0, opened = 0;
    bool is_initiator = false, has_failed = false;
};

std::uint64_t shared_key = 0;
std::atomic<std::uint64_t> nonces{1};

constexpr std::size_t key_bytes = 16, hello_bytes = 8 + key_bytes, tag_bytes = 8;

wherry_status create(const wherry_host* host, void** out, wherry_error*) {
    char key[key_bytes + 1];
    std::snprintf(key, sizeof key, "%016llx",
                  static_cast<unsigned long long>(mix(1, host->home, std::strlen(host->home))));
    *out = new instance{key};
    return WHERRY_OK;
}
wherry_status configure(void*, const char*, const char*, wherry_error*) { return WHERRY_OK; }
wherry_status configure_done(void*, wherry_error*) { return WHERRY_OK; }
void destroy(void* self) { delete static_cast<instance*>(self); }

wherry_status read_exactly(const wherry_stream* from, void* into, std::size_t size, wherry_error* error) {
    auto* to = static_cast<char*>(into);
    while (size > 0) {
        std::size_t got = 0;
        const auto status = from->read_some(from->context, to, size, &got, error);
        if (status != WHERRY_OK) return status;
        if (got == 0) return fail(error, WHERRY_DISCONNECTED, "the peer left during the handshake");
        to += got;
        size -= got;
    }
    return WHERRY_OK;
}

wherry_status write(const wherry_stream* to, const void* data, std::size_t size, wherry_error* error) {
    const wherry_piece piece{data, size};
    return to->write_all(to->context, &piece, 1, error);
}

wherry_status verify(const wherry_handshake* how, session& it, wherry_error* error) {
    if (here == fault::asks_nobody) return WHERRY_OK;
    const wherry_identity peer{sizeof(wherry_identity), "ssh-ed25519", it.name.c_str(), it.fingerprint.c_str(), ""};
    char label[WHERRY_LABEL_BYTES] = "";
    auto status = how->verify_peer(how->context, &peer, label, sizeof label, error);
    if (here == fault::asks_twice) status = how->verify_peer(how->context, &peer, label, sizeof label, error);
    if (status != WHERRY_OK && here != fault::lets_everybody_in) return status;
    if (here != fault::forgets_the_label) it.label = label;
    return WHERRY_OK;
}

void learn_peer(session& it, const char* hello) {
    it.key.assign(hello + 8, key_bytes);
    it.name = "ssh-ed25519 AAAA" + it.key;
    it.fingerprint = "SHA256:" + it.key;
}

// What an alteration on the way must change.
std::uint64_t tag_of(const session& it, char who) { return mix(it.transcript, static_cast<std::uint64_t>(who)); }

wherry_status check_tag(const session& it, char who, std::uint64_t tag, wherry_error* error) {
    if (tag == tag_of(it, who) || here == fault::ignores_alterations) return WHERRY_OK;
    return fail(error, WHERRY_INTEGRITY, "the handshake was altered on the way");
}

wherry_status shake(const instance& self, const wherry_handshake* how, const wherry_stream* stream, session& it,
                    wherry_error* error) {
    it.is_initiator = how->role == WHERRY_INITIATOR;
    char mine[hello_bytes], theirs[hello_bytes];
    const auto nonce = nonces++;
    std::memcpy(mine, &nonce, 8);
    std::memcpy(mine + 8, self.key.data(), key_bytes);
    const auto know = [&] {
        const char* const first = it.is_initiator ? mine : theirs;
        const char* const second = it.is_initiator ? theirs : mine;
        it.transcript = 7;
        if (here != fault::ignores_the_prologue) it.transcript = mix(it.transcript, how->prologue, how->prologue_bytes);
        it.transcript = mix(mix(it.transcript, first, hello_bytes), second, hello_bytes);
        if (here == fault::ignores_alterations) it.transcript = 7;
        it.secret = here == fault::has_one_key_for_all ? 7 : it.transcript;
        if (here == fault::shares_a_key) shared_key = it.secret;
        learn_peer(it, theirs);
    };
    wherry_status status = WHERRY_OK;
    std::uint64_t tag = 0;
    if (it.is_initiator) {
        if ((status = write(stream, mine, sizeof mine, error)) != WHERRY_OK) return status;
        if ((status = read_exactly(stream, theirs, sizeof theirs, error)) != WHERRY_OK) return status;
        if ((status = read_exactly(stream, &tag, sizeof tag, error)) != WHERRY_OK) return status;
        know();
        if ((status = check_tag(it, 'R', tag, error)) != WHERRY_OK) return status;
        if ((status = verify(how, it, error)) != WHERRY_OK) return status;
        tag = tag_of(it, 'I');
        return write(stream, &tag, sizeof tag, error);
    }
    if ((status = read_exactly(stream, theirs, sizeof theirs, error)) != WHERRY_OK) return status;
    know();
    if (here == fault::throws) throw 7;
    if ((status = write(stream, mine, sizeof mine, error)) != WHERRY_OK) return status;
    tag = tag_of(it, 'R');
    if ((status = write(stream, &tag, sizeof tag, error)) != WHERRY_OK) return status;
    if ((status = read_exactly(stream, &tag, sizeof tag, error)) != WHERRY_OK) return status;
    if ((status = check_tag(it, 'I', tag, error)) != WHERRY_OK) return status;
    status = verify(how, it, error);
    if (status == WHERRY_EXHAUSTED && here != fault::refuses_when_it_cannot_tell) return status;
    if (status != WHERRY_OK) {
        const std::string reason = here == fault::tells_no_reason ? "no" : error->text;
        const char said[] = {'N', static_cast<char>(reason.size() & 0x7F)};
        wherry_error ignored;
        if (write(stream, said, sizeof said, &ignored) == WHERRY_OK)
            write(stream, reason.data(), static_cast<std::size_t>(said[1]), &ignored);
        return status;
    }
    if ((status = write(stream, "Y", 1, error)) != WHERRY_OK) return status;
    tag = tag_of(it, 'Y');
    status = write(stream, &tag, sizeof tag, error);
    char more = 0;
    std::size_t got = 0;
    // Only if it is there: what waits in vain would be seen as such.
    if (here == fault::reads_too_far && status == WHERRY_OK) stream->read_some(stream->context, &more, 1, &got, error);
    return status;
}

wherry_status handshake(void* self, const wherry_handshake* how, const wherry_stream* stream, void** out,
                        wherry_error* error) {
    auto* const it = new session;
    const auto status = shake(*static_cast<instance*>(self), how, stream, *it, error);
    if (status == WHERRY_OK)
        *out = it;
    else
        delete it;
    return status;
}

wherry_status finish_handshake(void* self, const wherry_stream* stream, wherry_error* error) {
    auto& it = *static_cast<session*>(self);
    if (!it.is_initiator) return WHERRY_OK;
    char said = 0;
    auto status = read_exactly(stream, &said, 1, error);
    if (status != WHERRY_OK) return status;
    if (said == 'N') {
        unsigned char length = 0;
        if ((status = read_exactly(stream, &length, 1, error)) != WHERRY_OK) return status;
        std::string reason(length & 0x7F, ' ');
        if ((status = read_exactly(stream, reason.data(), reason.size(), error)) != WHERRY_OK) return status;
        return fail(error, WHERRY_AUTH_FAILED, "the receiver says: " + reason);
    }
    std::uint64_t tag = 0;
    if ((status = read_exactly(stream, &tag, sizeof tag, error)) != WHERRY_OK) return status;
    if (said != 'Y') return fail(error, WHERRY_INTEGRITY, "the handshake was altered on the way");
    return check_tag(it, 'Y', tag, error);
}

std::uint32_t overhead(void* self) {
    auto& it = *static_cast<session*>(self);
    if (here == fault::adds_too_much) return 2000;
    if (here == fault::changes_its_overhead) return tag_bytes + static_cast<std::uint32_t>(it.sealed > 2 ? 1 : 0);
    return tag_bytes;
}

std::uint64_t record_key(const session& it, bool by_initiator, std::uint64_t number) {
    auto key = here == fault::shares_a_key ? shared_key : it.secret;
    if (here != fault::seals_both_ways_alike) key = mix(key, by_initiator ? 1u : 2u);
    if (here != fault::repeats_itself && here != fault::takes_replays) key = mix(key, number + 100);
    return key;
}

// What hides the plaintext; the tag has a key of its own.
std::uint64_t stream_key(const session& it, bool by_initiator, std::uint64_t number) {
    return record_key(it, by_initiator, here == fault::has_one_nonce_for_all ? 0 : number);
}

void apply(std::uint64_t key, unsigned char* bytes, std::size_t length) {
    if (here == fault::hides_nothing) return;
    for (std::size_t i = 0; i < length; ++i) bytes[i] ^= static_cast<unsigned char>(mix(key, i + 1000) >> 40);
}

wherry_status seal(void* self, void* record, std::size_t length, wherry_error*) {
    auto& it = *static_cast<session*>(self);
    auto* const bytes = static_cast<unsigned char*>(record);
    if (it.has_failed && here == fault::begins_anew_after_a_failure) it.sealed = 0;
    const auto tag = mix(record_key(it, it.is_initiator, it.sealed), bytes, length);
    apply(stream_key(it, it.is_initiator, it.sealed), bytes, length);
    ++it.sealed;
    std::memcpy(bytes + length, &tag, sizeof tag);
    if (here == fault::writes_too_far) *const_cast<volatile unsigned char*>(bytes + length + tag_bytes) = 0;
    return WHERRY_OK;
}

wherry_status open(void* self, void* record, std::size_t length, std::size_t* plain_length, wherry_error* error) {
    auto& it = *static_cast<session*>(self);
    auto* const bytes = static_cast<unsigned char*>(record);
    const auto refuse = [&] {
        it.has_failed = here != fault::forgives;
        if (here != fault::leaves_the_plaintext) std::memset(record, 0, length);
        return fail(error, here == fault::calls_it_io ? WHERRY_IO : WHERRY_INTEGRITY,
                    "a record was altered on the way");
    };
    if (it.has_failed || length < tag_bytes) return refuse();
    const auto key = record_key(it, !it.is_initiator, it.opened);
    length -= tag_bytes;
    std::uint64_t tag = 0;
    std::memcpy(&tag, bytes + length, sizeof tag);
    apply(stream_key(it, !it.is_initiator, it.opened), bytes, length);
    if (tag != mix(key, bytes, length) && here != fault::takes_what_was_altered) {
        length += tag_bytes;
        return refuse();
    }
    ++it.opened;
    *plain_length = length;
    return WHERRY_OK;
}

void peer(void* self, wherry_identity* out) {
    auto& it = *static_cast<session*>(self);
    *out = {sizeof(wherry_identity), "ssh-ed25519", it.name.c_str(), it.fingerprint.c_str(), it.label.c_str()};
}

const char* describe(void*) { return here == fault::has_no_name ? "" : "a toy"; }

std::uint32_t exchanged(void* self) {
    const bool is_other = here == fault::differs_in_its_exchange && static_cast<session*>(self)->is_initiator;
    return is_other ? WHERRY_KEY_EXCHANGE_POST_QUANTUM : WHERRY_KEY_EXCHANGE_CLASSICAL;
}

void close_session(void* self) {
    if (here != fault::leaks_sessions) delete static_cast<session*>(self);
}

const wherry_instance_functions instance_functions = {
    .struct_size = sizeof(wherry_instance_functions),
    .create = create,
    .configure = configure,
    .configure_done = configure_done,
    .destroy = destroy,
};

const wherry_cipher_functions cipher_functions = {
    .struct_size = sizeof(wherry_cipher_functions),
    .handshake = handshake,
    .finish_handshake = finish_handshake,
    .overhead = overhead,
    .seal = seal,
    .open = open,
    .peer = peer,
    .describe = describe,
    .session_close = close_session,
    .is_insecure = nullptr,
    .key_exchange = exchanged,
};

}  // namespace

extern "C" __attribute__((visibility("default"))) const wherry_plugin wherry_plugin_v1;
extern "C" const wherry_plugin wherry_plugin_v1 = {
    .magic = WHERRY_PLUGIN_MAGIC,
    .abi_major = WHERRY_ABI_MAJOR,
    .struct_size = sizeof(wherry_plugin),
    .kind = WHERRY_KIND_CIPHER,
    .thread_model = WHERRY_THREADS_PARALLEL,
    .option_count = 0,
    .option_size = sizeof(wherry_option),
    .reserved = 0,
    .name = "faulty",
    .version = "1",
    .summary = "has one fault",
    .options = nullptr,
    .instance = &instance_functions,
    .functions = &cipher_functions,
};
