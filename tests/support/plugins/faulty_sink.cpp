// SPDX-License-Identifier: BSD-2-Clause
// A sink with one fault: the one that `here` names. Without one ("none") it is as it should be: it
// stores what comes in the folder `items`, and goes on with what was cut. For the tests of the conformance kit.
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cfenv>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <locale>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "wherry/plugin.h"

enum class fault {
    none,
    // of a delivery
    aborts_the_process,
    ends_the_process,
    crashes_in_abort,
    hangs_in_finish,
    throws,
    loses_odd_writes,
    keeps_a_pointer,
    reads_too_far,
    forgets_write_errors,
    finishes_what_is_aborted,
    finishes_too_early,
    spoils_what_is_there,
    refuses_nothing,
    takes_any_length,
    shares_a_buffer,
    shares_state,
    mixes_turns,
    fails_for_good,
    frees_twice,
    escapes,
    fails_every_begin,
    fails_every_finish,
    // of the promise that the disk has it
    syncs_nothing,
    syncs_too_early,
    syncs_no_folder,
    // of one that gives its files names of its own
    names_and_loses_bytes,
    names_and_finishes_what_is_aborted,
    // of one that stores where only its author finds it
    hides_and_loses_bytes,
    hides_and_finishes_what_is_aborted,
    // of a group
    forgets_one_of_a_group,
    fails_as_a_group,
    gives_up_a_group,
    // of an error
    fails_without_text,
    has_control_characters,
    has_a_full_stop,
    has_an_endless_text,
    has_an_unknown_status,
    has_another_status,
    touches_delivery,
    calls_it_a_bug,
    // of an answer
    answers_too_much,
    has_a_bad_outcome,
    answers_later,
    // of resuming
    goes_on_unasked,
    goes_on_too_far,
    reads_back_something_else,
    reads_back_too_much,
    keeps_what_is_dropped,
    forgets_what_came,
    // of being offered again
    knows_everything,
    // of what stays
    leaks_descriptors,
    leaks_memory,
    leaks_instances,
    leaks_threads,
    leaks_processes,
    // of an instance
    does_not_become_ready,
    overflows_for_an_option,
    // of the process
    changes_the_working_folder,
    changes_the_umask,
    changes_the_environment,
    changes_the_c_locale,
    changes_the_cxx_locale,
    changes_a_signal,
    blocks_a_signal,
    sets_an_alarm,
    changes_a_limit,
    changes_the_rounding,
    closes_a_descriptor,
    forks_and_exits,
    forks_and_returns,
    writes_what_it_may_read,
    runs_a_thread_for_ever,
    // of the descriptor
    has_another_magic,
    has_another_abi,
    has_a_short_descriptor,
    lacks_finish,
    lacks_destroy,
    has_another_name,
    has_a_bad_default,
    has_no_choices,
    has_an_option_twice,
    has_no_help,
    has_no_version,
    has_a_summary_of_two_lines,
    tells_its_secret,
    // of loading
    opens_when_loaded,
    starts_a_thread_when_loaded,
    crashes_when_loaded,
    ends_when_loaded,
    crashes_when_unloaded,
    // that are none
    prints,
    refuses_everything,
    names_its_files,
    hides_its_files,
};

// Each plugin is this file, compiled once for all, and a number of its own (CMakeLists.txt).
extern "C" const fault here;

namespace {

// Read when it runs, so that the compiler does not know where it leads.
volatile int* volatile nowhere = nullptr;

__attribute__((no_sanitize("undefined"))) void crash() { *nowhere = 1; }

wherry_status fail(wherry_error* error, wherry_status status, const std::string& text) {
    error->status = status;
    std::snprintf(error->text, sizeof error->text, "%s", text.c_str());
    return status;
}

wherry_status fail_with_errno(wherry_error* error, const std::string& what) {
    error->system_error = errno;
    const bool is_full = errno == ENOSPC || errno == EFBIG || errno == EMFILE;
    return fail(error, is_full ? WHERRY_EXHAUSTED : WHERRY_IO, what + ": " + std::strerror(errno));
}

// A refusal, with what is wrong about refusals.
wherry_status refuse(wherry_error* error, const std::string& why, void** delivery) {
    if (here == fault::fails_without_text) return WHERRY_REFUSED;
    if (here == fault::has_control_characters) return fail(error, WHERRY_REFUSED, "no:\n" + why);
    if (here == fault::has_a_full_stop) return fail(error, WHERRY_REFUSED, why + ".");
    if (here == fault::has_an_endless_text) {
        std::memset(error->text, 'x', sizeof error->text);
        return WHERRY_REFUSED;
    }
    if (here == fault::has_an_unknown_status) return fail(error, 99, why);
    if (here == fault::has_another_status) {
        fail(error, WHERRY_IO, why);
        return WHERRY_REFUSED;
    }
    if (here == fault::touches_delivery) *delivery = &error;
    if (here == fault::calls_it_a_bug) return fail(error, WHERRY_INTERNAL, why);
    if (here == fault::throws) throw std::runtime_error(why);
    return fail(error, WHERRY_REFUSED, why);
}

struct instance {
    char option[64] = {};
    std::mutex mutex;
    bool has_failed = false;
};

struct item {
    instance* of = nullptr;
    std::string name, part;
    int fd = -1;
    bool has_size = false, is_kept = false;
    std::uint64_t size = 0, count = 0;
    const void* kept = nullptr;
};

std::atomic<int> number{0};
item* latest = nullptr;
std::string* shared = nullptr;
char buffer[1 << 20];
const wherry_response* old_response = nullptr;

constexpr bool has_own_names(fault one) {
    return one == fault::names_its_files || one == fault::names_and_loses_bytes ||
           one == fault::names_and_finishes_what_is_aborted;
}
constexpr bool is_hidden(fault one) {
    return one == fault::hides_its_files || one == fault::hides_and_loses_bytes ||
           one == fault::hides_and_finishes_what_is_aborted;
}
bool finishes_what_is_aborted() {
    return here == fault::finishes_what_is_aborted || here == fault::names_and_finishes_what_is_aborted ||
           here == fault::hides_and_finishes_what_is_aborted;
}

// The kit does not look into folders whose names begin with a dot.
std::string folder() { return is_hidden(here) ? ".items" : "items"; }
std::string path_of(const std::string& name) { return folder() + "/" + name; }

wherry_status create(const wherry_host*, void** out, wherry_error*) {
    *out = new instance;
    if (here == fault::shares_state && shared == nullptr) shared = new std::string("items");
    return WHERRY_OK;
}

wherry_status configure(void* self, const char* name, const char* value, wherry_error* error) {
    auto& it = *static_cast<instance*>(self);
    if (here == fault::overflows_for_an_option) {
        // Hidden from the compiler, which would tell.
        char* volatile to = it.option;
        for (std::size_t i = 0; value[i] != '\0'; ++i) to[i] = value[i];
        return WHERRY_OK;
    }
    if (std::strcmp(name, "note") == 0 && std::strlen(value) >= sizeof it.option)
        return fail(error, WHERRY_BAD_INPUT, "the note is too long");
    return WHERRY_OK;
}

wherry_status configure_done(void*, wherry_error* error) {
    if (here == fault::does_not_become_ready) return fail(error, WHERRY_IO, "there is no such device");
    if (::mkdir(folder().c_str(), 0755) != 0 && errno != EEXIST) return fail_with_errno(error, "cannot make a folder");
    return WHERRY_OK;
}

void destroy(void* self) {
    if (here == fault::leaks_instances) return;
    if (here == fault::shares_state) {
        delete shared;
        shared = nullptr;
    }
    delete static_cast<instance*>(self);
}

bool is_plain(const std::string& name) {
    if (name.empty() || name.size() > 200 || name.front() == '.' || name.front() == '-') return false;
    return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == name.npos;
}

// What belongs to the process, and not to a plugin.
void meddle() {
    switch (here) {
        case fault::changes_the_working_folder: static_cast<void>(!::chdir("/")); break;
        case fault::changes_the_umask: ::umask(0); break;
        case fault::changes_the_environment: ::setenv("TZ", "Mars/Olympus", 1); break;
        case fault::changes_the_c_locale: std::setlocale(LC_ALL, "C.UTF-8"); break;
        case fault::changes_the_cxx_locale:
            std::locale::global(std::locale(std::locale::classic(), new std::numpunct<char>));
            break;
        case fault::changes_a_signal: std::signal(SIGINT, SIG_IGN); break;
        case fault::blocks_a_signal: {
            sigset_t one;
            ::sigemptyset(&one);
            ::sigaddset(&one, SIGTERM);
            ::pthread_sigmask(SIG_BLOCK, &one, nullptr);
            break;
        }
        case fault::sets_an_alarm: ::alarm(1000); break;
        case fault::changes_a_limit: {
            rlimit now{};
            ::getrlimit(RLIMIT_NOFILE, &now);
            --now.rlim_cur;
            ::setrlimit(RLIMIT_NOFILE, &now);
            break;
        }
        case fault::changes_the_rounding: std::fesetround(FE_UPWARD); break;
        case fault::closes_a_descriptor: ::close(0); break;
        case fault::forks_and_exits: {
            const auto child = ::fork();
            if (child == 0) std::exit(0);
            ::waitpid(child, nullptr, 0);
            break;
        }
        case fault::forks_and_returns:
            if (const auto child = ::fork(); child > 0) ::waitpid(child, nullptr, 0);
            break;
        case fault::runs_a_thread_for_ever: {
            static volatile int rounds = 0;
            std::thread([] {
                for (;;) rounds = rounds + 1;
            }).detach();
            break;
        }
        default: break;
    }
}

wherry_status begin(void* self, const wherry_offer* offer, void** delivery, std::uint64_t* offset,
                    wherry_error* error) {
    auto& of = *static_cast<instance*>(self);
    const std::string name(offer->name, offer->name_bytes);
    if (here == fault::prints) std::puts("begin");
    meddle();
    if (here == fault::refuses_everything) return refuse(error, "nothing is taken here", delivery);
    if (here == fault::fails_for_good) {
        const std::lock_guard lock(of.mutex);
        if (of.has_failed) return fail(error, WHERRY_REFUSED, "out of order");
    }
    if (here == fault::fails_every_begin) return fail(error, WHERRY_IO, "the database is gone");
    if (offer->kind != WHERRY_FILE) return refuse(error, "only files are taken", delivery);
    if (!is_plain(name) && (here != fault::escapes || name.empty() || name.back() == '/'))
        return refuse(error, "the name is not plain", delivery);
    if (here == fault::refuses_nothing && (offer->flags & WHERRY_OFFER_HAS_SIZE) != 0 && offer->size == 0)
        return refuse(error, "there is nothing in it", delivery);
    if (offer->size > std::uint64_t{1} << 40) return refuse(error, "it is too large", delivery);
    struct stat status {};
    if (here != fault::spoils_what_is_there && ::stat(path_of(name).c_str(), &status) == 0)
        return refuse(error, "there is one of that name", delivery);
    if (here == fault::leaks_descriptors) static_cast<void>(!::open("/dev/null", O_RDONLY));
    if (here == fault::leaks_threads) std::thread([] { ::sleep(1000); }).detach();
    if (here == fault::leaks_processes && ::fork() == 0) {
        ::sleep(1000);
        ::_exit(0);
    }
    if (here == fault::leaks_memory) {
        static char* volatile lost;
        lost = static_cast<char*>(std::malloc(100));
        lost[0] = 'x';
    }

    auto* const it = new item;
    it->of = &of;
    it->name = has_own_names(here) ? "own-" + std::to_string(++number) : name;
    it->has_size = (offer->flags & WHERRY_OFFER_HAS_SIZE) != 0;
    it->size = offer->size;
    it->is_kept = (offer->flags & WHERRY_OFFER_WANTS_RESUME) != 0 || here == fault::goes_on_unasked;
    it->part =
        path_of(it->is_kept ? ".kept-" + name : ".part-" + std::to_string(::getpid()) + "-" + std::to_string(++number));
    if (finishes_what_is_aborted() || here == fault::finishes_too_early || here == fault::spoils_what_is_there)
        it->part = path_of(it->name);
    if (here == fault::shares_state) it->part = *shared + it->part.substr(5);
    it->fd = ::open(it->part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (it->is_kept ? 0 : O_TRUNC), 0644);
    if (it->fd < 0) {
        delete it;
        return fail_with_errno(error, "cannot make a file");
    }
    if (it->is_kept) {
        const auto end = ::lseek(it->fd, 0, SEEK_END);
        it->count = end > 0 ? static_cast<std::uint64_t>(end) : 0;
        if (here == fault::goes_on_too_far && it->count > 0) it->count += 1;
    }
    latest = it;
    *delivery = it;
    *offset = it->count;
    return WHERRY_OK;
}

// Everything, or errno.
bool write_all(int fd, const char* data, std::size_t length) {
    while (length > 0) {
        const auto got = ::write(fd, data, length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        data += got;
        length -= static_cast<std::size_t>(got);
    }
    return true;
}

wherry_status write_some(void* self, const void* data, std::size_t length, wherry_error* error) {
    auto* it = static_cast<item*>(self);
    if (here == fault::mixes_turns) it = latest;
    const auto* from = static_cast<const char*>(data);
    if (here == fault::ends_the_process) std::exit(3);
    if (here == fault::writes_what_it_may_read && length > 0)
        *const_cast<volatile char*>(static_cast<const char*>(data)) = 0;
    if (here == fault::keeps_a_pointer) {
        const auto* volatile before = static_cast<const char*>(it->kept);
        if (before != nullptr && *before == 'x') return WHERRY_OK;
        if (length > 0) it->kept = data;
    }
    if (here == fault::reads_too_far) {
        const char* volatile behind = from + length;
        if (*behind == 'x') return WHERRY_OK;
    }
    it->count += length;
    if (here == fault::shares_a_buffer && length <= sizeof buffer) {
        std::memcpy(buffer, data, length);
        ::usleep(100);
        from = buffer;
    }
    if (here == fault::loses_odd_writes && length % 2 == 1) --length;
    const bool loses_bytes = here == fault::names_and_loses_bytes || here == fault::hides_and_loses_bytes;
    if (loses_bytes && length > 0) --length;
    if (here == fault::syncs_too_early && it->count == length) static_cast<void>(::fsync(it->fd));
    if (write_all(it->fd, from, length)) return WHERRY_OK;
    if (here == fault::forgets_write_errors) return WHERRY_OK;
    if (here == fault::fails_for_good) it->of->has_failed = true;
    const auto status = fail_with_errno(error, "cannot write");
    if (here == fault::frees_twice) delete it;
    return status;
}

void close_item(item* it, bool is_kept) {
    ::close(it->fd);
    if (!is_kept) ::unlink(it->part.c_str());
    delete it;
}

wherry_status finish(void* self, const wherry_response* response, wherry_error* error) {
    auto* const it = static_cast<item*>(self);
    if (here == fault::aborts_the_process) std::abort();
    if (here == fault::fails_every_finish) {
        close_item(it, false);
        return fail(error, WHERRY_IO, "the database is gone");
    }
    while (here == fault::hangs_in_finish) ::sleep(1);
    if (it->has_size && it->count != it->size && here != fault::takes_any_length) {
        close_item(it, false);
        return fail(error, WHERRY_INTEGRITY, "its size is not what was offered");
    }
    std::string word = "stored";
    if (here == fault::has_a_bad_outcome) word = "sto\nred";
    if (here == fault::answers_later) {
        if (old_response != nullptr) old_response->set_outcome(old_response->context, "late", error);
        old_response = response;
    }
    const auto status = response->set_outcome(response->context, word.c_str(), error);
    if (status != WHERRY_OK && here != fault::has_a_bad_outcome) {
        close_item(it, false);
        return status;
    }
    if (here == fault::answers_too_much) {
        const std::string much(3 << 20, 'x');
        response->append(response->context, much.data(), much.size(), error);
    }
    const int names = ::open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_synced = here == fault::syncs_nothing || here == fault::syncs_too_early || ::fsync(it->fd) == 0;
    if (names < 0 || !is_synced) {
        const auto failed = fail_with_errno(error, "cannot keep it");
        if (names >= 0) ::close(names);
        close_item(it, false);
        return failed;
    }
    // Not if there is one of that name.
    if (it->part != path_of(it->name) && ::link(it->part.c_str(), path_of(it->name).c_str()) != 0) {
        const auto failed = errno == EEXIST ? fail(error, WHERRY_REFUSED, "there is one of that name")
                                            : fail_with_errno(error, "cannot name a file");
        ::close(names);
        close_item(it, false);
        return failed;
    }
    if (here != fault::syncs_nothing && here != fault::syncs_no_folder) static_cast<void>(::fsync(names));
    ::close(names);
    close_item(it, it->part == path_of(it->name));
    return WHERRY_OK;
}

void abort_item(void* self, std::int32_t keep);

void finish_group(void*, wherry_ending* const* endings, std::size_t count) {
    bool has_failed = false;
    for (std::size_t i = 0; i < count; ++i) {
        auto& row = *endings[i];
        if (here == fault::gives_up_a_group && has_failed) {
            abort_item(row.delivery, 0);
            row.status = WHERRY_OK;
            continue;
        }
        const auto status = finish(row.delivery, row.response, &row.error);
        if (here == fault::forgets_one_of_a_group && i + 1 == count && count > 1) continue;
        row.status = status;
        has_failed = has_failed || status != WHERRY_OK;
    }
    if (here != fault::fails_as_a_group || !has_failed) return;
    for (std::size_t i = 0; i < count; ++i) endings[i]->status = fail(&endings[i]->error, WHERRY_IO, "one was bad");
}

void abort_item(void* self, std::int32_t keep) {
    auto* const it = static_cast<item*>(self);
    if (here == fault::crashes_in_abort) crash();
    bool is_kept = it->is_kept && keep != 0;
    if (here == fault::keeps_what_is_dropped) is_kept = it->is_kept;
    if (here == fault::forgets_what_came) is_kept = false;
    close_item(it, is_kept || finishes_what_is_aborted());
}

wherry_status read_back(void* self, std::uint64_t position, void* into, std::size_t capacity, std::size_t* length,
                        wherry_error* error) {
    auto* const it = static_cast<item*>(self);
    const auto got = ::pread(it->fd, into, capacity, static_cast<off_t>(position));
    if (got < 0) return fail_with_errno(error, "cannot read");
    if (here == fault::reads_back_something_else && got > 0) static_cast<char*>(into)[0] ^= 1;
    *length = static_cast<std::size_t>(got) + (here == fault::reads_back_too_much ? capacity : 0);
    return WHERRY_OK;
}

std::int32_t already(void*, const wherry_response*) { return here == fault::knows_everything ? 1 : 0; }

const wherry_instance_functions instance_functions = {
    .struct_size = sizeof(wherry_instance_functions),
    .create = create,
    .configure = configure,
    .configure_done = configure_done,
    .destroy = here == fault::lacks_destroy ? nullptr : destroy,
};

const wherry_sink_functions sink_functions = {
    .struct_size = sizeof(wherry_sink_functions),
    .begin = begin,
    .write = write_some,
    .finish = here == fault::lacks_finish ? nullptr : finish,
    .abort = abort_item,
    .read_back = read_back,
    .interrupt = nullptr,
    .finish_group = finish_group,
    .finishes_at_once = nullptr,
    .already = already,
};

const wherry_option options[] = {
    {"note", WHERRY_OPTION_STRING, here == fault::tells_its_secret ? std::uint32_t{WHERRY_OPTION_SECRET} : 0, "none",
     here == fault::has_no_help ? "" : "anything", nullptr, 0, 0},
    {here == fault::has_an_option_twice ? "note" : "count", WHERRY_OPTION_INTEGER, 0,
     here == fault::has_a_bad_default ? "many" : "3", "how many", nullptr, 1, 5},
    {"way", WHERRY_OPTION_CHOICE, 0, here == fault::has_no_choices ? nullptr : "this", "which way",
     here == fault::has_no_choices ? nullptr : "this|that", 0, 0},
};

__attribute__((constructor)) void at_load() {
    if (here == fault::opens_when_loaded) static_cast<void>(!::open("/dev/null", O_RDONLY));
    if (here == fault::starts_a_thread_when_loaded) {
        // In code that stays when this file is unloaded, so that it is no crash.
        pthread_t thread;
        ::pthread_create(&thread, nullptr, reinterpret_cast<void* (*)(void*)>(reinterpret_cast<void*>(&::pause)),
                         nullptr);
    }
    if (here == fault::crashes_when_loaded) crash();
    if (here == fault::ends_when_loaded) std::exit(0);
}

__attribute__((destructor)) void at_unload() {
    if (here == fault::crashes_when_unloaded) std::abort();
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const wherry_plugin wherry_plugin_v1;
extern "C" const wherry_plugin wherry_plugin_v1 = {
    .magic = here == fault::has_another_magic ? 1 : WHERRY_PLUGIN_MAGIC,
    .abi_major = here == fault::has_another_abi ? 7 : WHERRY_ABI_MAJOR,
    .struct_size = here == fault::has_a_short_descriptor ? 40u : std::uint32_t{sizeof(wherry_plugin)},
    .kind = WHERRY_KIND_SINK,
    .thread_model = WHERRY_THREADS_PARALLEL,
    .option_count = 3,
    .option_size = sizeof(wherry_option),
    .reserved = 0,
    .name = here == fault::has_another_name ? "another" : "faulty",
    .version = here == fault::has_no_version ? "" : "1",
    .summary = here == fault::has_a_summary_of_two_lines ? "has one\nfault" : "has one fault",
    .options = options,
    .instance = &instance_functions,
    .functions = &sink_functions,
};
