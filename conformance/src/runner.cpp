// SPDX-License-Identifier: BSD-2-Clause
#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sstream>
#include <system_error>
#include <thread>

#include "observed.hpp"
#include "report.hpp"
#include "request.hpp"
#include "suites.hpp"
#include "wherry/error.hpp"
#include "wherry/system_calls.hpp"
#include "wherry/text.hpp"
#include "wherry/unique_fd.hpp"

extern char** environ;

// Starting a case's process, and making a sentence of how it ends.
namespace wherry::conformance {

namespace fs = std::filesystem;

namespace {

std::span<const check_case> suite_of(plugin_kind kind) {
    switch (kind) {
        case plugin_kind::transport: return transport_suite();
        case plugin_kind::cipher: return cipher_suite();
        case plugin_kind::sink: break;
    }
    return sink_suite();
}

const check_case* find_case(plugin_kind kind, std::string_view name) {
    for (const auto suite : {plugin_suite(), suite_of(kind)})
        for (const auto& one : suite)
            if (one.name == name) return &one;
    return nullptr;
}

// Above the numbers that the process will have them under.
unique_fd memory_file(const char* name) {
    const unique_fd first(::memfd_create(name, MFD_CLOEXEC));
    unique_fd file(first.is_open() ? ::fcntl(first.get(), F_DUPFD_CLOEXEC, 10) : -1);
    if (!file.is_open())
        throw error(errc::exhausted, std::string("no memory can be shared with a case: ") + std::strerror(errno),
                    errno);
    return file;
}

std::string content_of(int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return {};
    // The end is what tells.
    constexpr off_t most = 1 << 20;
    const off_t begin = std::max<off_t>(0, status.st_size - most);
    std::string all(static_cast<std::size_t>(status.st_size - begin), '\0');
    const auto got = ::pread(fd, all.data(), all.size(), begin);
    all.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return all;
}

// The line of what a process said last that tells most.
std::string telling_line(const std::string& output) {
    std::istringstream in(output);
    std::string line, last, summary;
    while (std::getline(in, line)) {
        if (line.empty()) continue;
        last = line;
        for (const auto* mark :
             {"SUMMARY: ", "runtime error: ", "terminate called", "what():", "Assertion", "WARNING: "})
            if (line.find(mark) != line.npos && (summary.empty() || std::string_view(mark) != "WARNING: "))
                summary = line;
    }
    const auto& best = summary.empty() ? last : summary;
    return printable(best.substr(0, 400));
}

// Shares a report and a request with a process, and watches it.
class case_process {
public:
    case_process(const subject& what, std::string_view name, const fs::path& scratch)
        : call_limit_(what.call_limit), output_(memory_file("output")), errors_(memory_file("errors")) {
        const auto report = memory_file("report");
        const auto asked = memory_file("request");
        if (::ftruncate(report.get(), sizeof(shared_report)) != 0)
            throw error(errc::exhausted, "no memory can be shared with a case", errno);
        void* const mapped =
            ::mmap(nullptr, sizeof(shared_report), PROT_READ | PROT_WRITE, MAP_SHARED, report.get(), 0);
        if (mapped == MAP_FAILED) throw error(errc::exhausted, "no memory can be shared with a case", errno);
        report_ = new (mapped) shared_report;
        report_->how = -1;
        const auto text = to_text({what, std::string(name)});
        if (::pwrite(asked.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
            throw error(errc::exhausted, "no memory can be shared with a case", errno);
        start(report.get(), asked.get(), scratch);
    }
    ~case_process() {
        kill();
        ::munmap(report_, sizeof *report_);
    }
    case_process(const case_process&) = delete;
    case_process& operator=(const case_process&) = delete;

    outcome watch(const std::function<bool()>& is_cancelled) {
        const auto begun = steady_ms();
        // A case makes many calls, and waits for some to end.
        const auto case_limit = 10 * call_limit_.count();
        std::string overdue;
        int status = 0;
        bool was_cancelled = false;
        for (int pause_ms = 1;; pause_ms = std::min(pause_ms * 2, 50)) {
            const auto ended = ::waitpid(pid_, &status, WNOHANG);
            if (ended == pid_ || (ended < 0 && errno != EINTR)) break;
            const auto now = steady_ms();
            was_cancelled = is_cancelled();
            overdue = overdue_call(now);
            if (overdue.empty() && now - begun > case_limit) overdue = "the case";
            if (was_cancelled || !overdue.empty()) {
                ::kill(-pid_, SIGKILL);
                ::waitpid(pid_, &status, 0);
                break;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
        }
        has_ended_ = true;
        // What it started and left.
        ::kill(-pid_, SIGKILL);
        auto made = conclude(status, overdue);
        if (was_cancelled) made = {verdict::skipped, "interrupted", {}, {}};
        made.took = std::chrono::milliseconds(steady_ms() - begun);
        return made;
    }

private:
    // As here, but that malloc keeps nothing back for later, which would look like a leak.
    static std::vector<std::string> environment() {
        const std::string name = "GLIBC_TUNABLES=", wanted = "glibc.malloc.tcache_count=0";
        std::vector<std::string> variables;
        std::string tunables = name + wanted;
        for (char** at = environ; *at != nullptr; ++at) {
            const std::string_view variable = *at;
            if (variable.starts_with(name))
                tunables = std::string(variable) + ":" + wanted;
            else
                variables.emplace_back(variable);
        }
        variables.push_back(std::move(tunables));
        return variables;
    }

    void start(int report, int asked, const fs::path& scratch) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
        ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        for (const auto& [from, to] : {std::pair{output_.get(), 1}, {errors_.get(), 2}, {report, 3}, {asked, 4}})
            ::posix_spawn_file_actions_adddup2(&actions, from, to);
        ::posix_spawn_file_actions_addchdir_np(&actions, scratch.c_str());
        sigset_t none;
        ::sigemptyset(&none);
        ::posix_spawnattr_setsigmask(&attributes, &none);
        sigset_t usual;
        ::sigemptyset(&usual);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ}) ::sigaddset(&usual, signal);
        ::posix_spawnattr_setsigdefault(&attributes, &usual);
        // A group of its own, so that what it starts ends with it.
        ::posix_spawnattr_setpgroup(&attributes, 0);
        ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        std::string program = "wherry-dev", first(child_argument), second = "3";
        char* const arguments[] = {program.data(), first.data(), second.data(), nullptr};
        auto variables = environment();
        std::vector<char*> pointers;
        for (auto& variable : variables) pointers.push_back(variable.data());
        pointers.push_back(nullptr);
        const int problem = ::posix_spawn(&pid_, "/proc/self/exe", &actions, &attributes, arguments, pointers.data());
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
        if (problem != 0) {
            ::munmap(report_, sizeof *report_);
            throw error(errc::exhausted, std::string("no process can be started for a case: ") + std::strerror(problem),
                        problem);
        }
    }

    void kill() noexcept {
        if (has_ended_) return;
        ::kill(-pid_, SIGKILL);
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    // Ahead of others one that may not even wait.
    std::string call_in_progress() const {
        std::string found;
        for (const auto& slot : report_->calls)
            if (slot.since_ms > 0 && (found.empty() || !slot.may_wait)) found = slot.function;
        return found;
    }

    std::string overdue_call(std::int64_t now) const {
        for (const auto& slot : report_->calls) {
            const auto since = slot.since_ms.load();
            if (since > 0 && !slot.may_wait && now - since > call_limit_.count()) return std::string(slot.function);
        }
        return {};
    }

    static std::string as_call(const std::string& function) {
        return function.starts_with("the ") ? function : function + "()";
    }

    outcome conclude(int status, const std::string& overdue) const {
        outcome made;
        std::istringstream notes(report_->notes);
        for (std::string line; std::getline(notes, line);) made.notes.push_back(line);
        if (!content_of(output_.get()).empty())
            made.notes.push_back("writes to standard output by itself: '" + telling_line(content_of(output_.get())) +
                                 "'");

        const auto failed = [&](std::string sentence) {
            made.how = verdict::failed;
            made.reason = std::move(sentence);
            return made;
        };
        const auto errors = content_of(errors_.get());
        const auto last_words = errors.empty() ? std::string() : "; its last words: " + telling_line(errors);
        const int how = report_->how;
        if (how == static_cast<int>(verdict::failed) || how == static_cast<int>(verdict::skipped)) {
            made.how = static_cast<verdict>(how);
            made.reason = report_->reason;
            return made;
        }
        if (!overdue.empty()) {
            const auto in = call_in_progress();
            if (overdue == "the case")
                return failed("did not come to an end within " + std::to_string(10 * call_limit_.count() / 1000) +
                              " s" + (in.empty() ? "" : ", being in " + as_call(in)));
            return failed(as_call(overdue) + " did not return within " +
                          (call_limit_.count() < 1000 ? std::to_string(call_limit_.count()) + " ms"
                                                      : std::to_string(call_limit_.count() / 1000) + " s"));
        }
        auto where = std::string(report_->crashed_in);
        if (where.empty() && report_->signal == 0) where = call_in_progress();
        std::string place = " outside of all calls";
        if (!where.empty())
            place = (where.starts_with("the ") ? " during " : " in ") + as_call(where);
        else if (report_->is_unloading)
            place = " while it was unloaded";
        if (const int signal = report_->signal; signal != 0 || WIFSIGNALED(status)) {
            const int number = signal != 0 ? signal : WTERMSIG(status);
            const auto* const name = signal_abbreviation(number);
            std::string sentence =
                number == SIGABRT ? "aborted the process" : "crashed with SIG" + std::string(name ? name : "?");
            sentence += place;
            if (report_->touched == lending::taken_away)
                sentence += ", where it used memory that was lent to it for an earlier call and is gone";
            if (report_->touched == lending::only_to_read)
                sentence += ", where it wrote into memory that was lent to it to read";
            if (report_->is_unloading && report_->threads_left > 0)
                sentence += ", and " + std::to_string(report_->threads_left) + " of its threads still ran";
            if (report_->touched == lending::behind_the_end)
                sentence += ", where it went beyond the end of memory that was lent to it";
            return failed(sentence + last_words);
        }
        const int code = WEXITSTATUS(status);
        if (report_->forked_in[0] != '\0')
            return failed(std::string(report_->forked_in) +
                          "() forks, and returns in the new process, too; that must end by exec or _exit()");
        if (report_->has_forked_exit)
            return failed(
                "ends a process that it forked by exit(), which runs what the host is to do at its own end; it "
                "must end by exec or _exit()");
        if (how >= 0) {
            made.how = static_cast<verdict>(how);
            if (made.how == verdict::unchecked) made.reason = report_->reason;
            if (code == 0) return made;
            return failed("does everything right, but the process then ends with status " + std::to_string(code) +
                          last_words);
        }
        return failed("ended the process with exit status " + std::to_string(code) + place + last_words);
    }

    const std::chrono::milliseconds call_limit_;
    const unique_fd output_, errors_;
    shared_report* report_ = nullptr;
    pid_t pid_ = -1;
    bool has_ended_ = false;
};

}  // namespace

std::string_view to_string(verdict how) noexcept {
    switch (how) {
        case verdict::passed: return "passed";
        case verdict::failed: return "failed";
        case verdict::unchecked: return "unchecked";
        case verdict::skipped: return "skipped";
    }
    return "unknown";
}

std::vector<described_word> cases(plugin_kind kind) {
    std::vector<described_word> all;
    for (const auto suite : {plugin_suite(), suite_of(kind)})
        for (const auto& one : suite) all.push_back({one.name, one.about});
    return all;
}

std::vector<described_word> promises(plugin_kind kind) {
    const auto all = kind == plugin_kind::transport ? transport_promises()
                     : kind == plugin_kind::cipher  ? cipher_promises()
                                                    : sink_promises();
    return {all.begin(), all.end()};
}

outcome run_case(const subject& what, std::string_view name, const fs::path& scratch,
                 const std::function<bool()>& is_cancelled) {
    return case_process(what, name, scratch).watch(is_cancelled);
}

// ---- In the case's process ----

int run_as_child(const char* descriptor) {
    // Not without the one that waits for it.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // So that what a process of the plugin started comes to be seen here.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    const int report_fd = std::atoi(descriptor);
    void* const mapped = ::mmap(nullptr, sizeof(shared_report), PROT_READ | PROT_WRITE, MAP_SHARED, report_fd, 0);
    if (mapped == MAP_FAILED) return 1;
    const auto asked = request_from(content_of(report_fd + 1));
    ::close(report_fd);
    ::close(report_fd + 1);
    report_to(*static_cast<shared_report*>(mapped));
    try {
        const auto* const chosen = find_case(asked.what.kind, asked.name);
        if (chosen == nullptr) fail("there is no case of this name");
        before_loading() = {open_descriptors(), thread_count(), process_state()};
        context loaded(asked.what);
        chosen->run(loaded);
        require_process_as_before_loading();
    } catch (const std::exception& e) {
        fail(std::string("the case itself met with a failure: ") + e.what());
    }
    auto& report = current_report();
    std::copy(std::begin(report.unchecked), std::end(report.unchecked), report.reason);
    report.how = static_cast<int>(report.unchecked[0] == '\0' ? verdict::passed : verdict::unchecked);
    // In order, so that what the plugin does at the very end is seen, and a sanitizer has its say.
    return 0;
}

}  // namespace wherry::conformance
