// SPDX-License-Identifier: BSD-2-Clause
#include "exec_sink.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "command_line.hpp"
#include "environment.hpp"
#include "wherry/system_calls.hpp"
#include "wherry/text.hpp"

namespace wherry::exec {

namespace {

constexpr std::size_t most_logged_bytes = std::size_t{256} << 10;
constexpr std::size_t longest_quoted_line = 300;

// What a command's exit status means to the sender. Those of sysexits.h that tell more than that it said no.
errc meaning_of(int exit_status, bool is_shell) noexcept {
    switch (exit_status) {
        case 65: return errc::bad_input;    // EX_DATAERR
        case 69: return errc::unsupported;  // EX_UNAVAILABLE
        case 73:                            // EX_CANTCREAT
        case 74: return errc::io;           // EX_IOERR
        case 75: return errc::exhausted;    // EX_TEMPFAIL
        case 77: return errc::refused;      // EX_NOPERM
        case 126:
        case 127: return is_shell ? errc::unsupported : errc::refused;  // not found, or not to be run
        default: return errc::refused;
    }
}

std::string seconds(std::chrono::milliseconds time) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.6g s", static_cast<double>(time.count()) / 1000);
    return text.data();
}

// "SIGSEGV", or a number for one that has no name.
std::string signal_name(int number) {
    const char* const name = signal_abbreviation(number);
    return name ? std::string("SIG") + name : std::to_string(number);
}

// The first line with something in it, for a sentence: without a full stop at its end.
std::string first_line(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of("\r\n\t "), text.size()));
    text = text.substr(0, std::min(text.find('\n'), longest_quoted_line));
    auto line = printable(text);
    while (!line.empty() && (line.back() == '.' || line.back() == ' ')) line.pop_back();
    return line;
}

// Does not end in the middle of a character, if it is text.
void trim_to_characters(std::string& text) {
    for (std::size_t less = 0; less < 4 && less < text.size(); ++less)
        if (is_utf8(std::string_view(text).substr(0, text.size() - less))) return text.resize(text.size() - less);
}

std::string octal(std::uint32_t mode) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%04o", mode);
    return text.data();
}

// As `touch -d @...` takes it.
std::string decimal(file_time time) {
    const bool has_fraction = time.nanoseconds > 0 && time.nanoseconds < 1'000'000'000;
    auto whole = time.seconds;
    auto fraction = time.nanoseconds;
    if (!has_fraction) return std::to_string(whole);
    std::string sign;
    if (whole < 0) {
        // -2 s and 700 ms are -1.3 s
        whole = -(whole + 1);
        fraction = 1'000'000'000 - fraction;
        sign = "-";
    }
    std::array<char, 16> digits{};
    std::snprintf(digits.data(), digits.size(), ".%09u", fraction);
    return sign + std::to_string(whole) + digits.data();
}

std::vector<std::string> own_environment() {
    std::vector<std::string> all;
    for (char** one = environ; one != nullptr && *one != nullptr; ++one) all.emplace_back(*one);
    return all;
}

std::string spool_folder(const options& chosen) {
    if (!chosen.spool.empty()) return chosen.spool;
    const char* const given = std::getenv("TMPDIR");
    return given != nullptr && *given == '/' ? given : "/var/tmp";
}

// Where it is ignored, as it may be by inheritance, children vanish without saying how they ended.
void hear_of_children() {
    struct sigaction now {};
    if (::sigaction(SIGCHLD, nullptr, &now) != 0) return;
    const bool is_lost = now.sa_handler == SIG_IGN || (now.sa_flags & SA_NOCLDWAIT) != 0;
    if (!is_lost) return;
    now = {};
    now.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &now, nullptr);
}

}  // namespace

// ---- turnstile ----

bool turnstile::enter() {
    mutex_lock lock(mutex_);
    changed_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return is_closed_ || free_ > 0; });
    if (is_closed_) return false;
    --free_;
    return true;
}

void turnstile::leave() {
    const mutex_lock lock(mutex_);
    ++free_;
    changed_.notify_one();
}

void turnstile::close() {
    const mutex_lock lock(mutex_);
    is_closed_ = true;
    changed_.notify_all();
}

// ---- deliveries ----

class exec_delivery final : public delivery {
public:
    exec_delivery(sink& owner, const offer& what, const offering_peer& peer)
        : sink_(owner), what_(what), address_(peer.address), who_(peer.who) {
        if (what_.size) {
            check_size(*what_.size);
            if (const auto free = sink_.spool_.free_bytes(); free && *what_.size > *free)
                throw error(errc::exhausted,
                            fmt::format("needs {} to wait for the receiver's command, but only {} is free there; its "
                                        "owner has to make space",
                                        human_bytes(*what_.size), human_bytes(*free)),
                            ENOSPC);
        }
        file_ = sink_.spool_.make();
    }

    void write(const_bytes bytes) override {
        check_size(count_ + bytes.size());
        if (what_.size && bytes.size() > *what_.size - count_)
            throw error(errc::protocol, fmt::format("more came than the {} bytes announced", *what_.size));
        while (!bytes.empty()) {
            const auto written = uninterrupted(
                [&] { return ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(count_)); });
            if (written < 0) fail_to_store(errno);
            count_ += static_cast<std::uint64_t>(written);
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        }
    }

    void finish(response& answer) override {
        if (what_.size && count_ != *what_.size)
            throw error(errc::protocol, fmt::format("only {} of {} bytes came", count_, *what_.size));
        if (!sink_.turns_.enter()) throw error(errc::disconnected, "the receiver ends; send it again later");
        ended_command ended;
        try {
            ended = run();
        } catch (...) {
            sink_.turns_.leave();
            file_.reset();
            throw;
        }
        sink_.turns_.leave();
        file_.reset();
        tell(ended, answer);
    }

    void abort(partial) noexcept override { file_.reset(); }

private:
    void check_size(std::uint64_t size) const {
        const auto limit = sink_.options_.max_size;
        if (limit != 0 && size > limit)
            throw error(errc::refused,
                        fmt::format("it has more than {}, and the receiver takes no more (--exec.max-size)",
                                    human_bytes(limit)));
    }

    [[noreturn]] void fail_to_store(int code) const {
        const auto reason = std::generic_category().message(code);
        sink_.log_(log_level::warning,
                   fmt::format("exec: {} cannot be stored in {}: {}", title(), sink_.spool_.folder().native(), reason));
        throw error(code == ENOSPC || code == EDQUOT || code == EFBIG ? errc::exhausted : errc::io,
                    fmt::format("it cannot be stored until the receiver's command runs: {}", reason), code);
    }

    std::string title() const {
        const auto from = who_.fingerprint.empty() ? printable(address_) : who_.fingerprint;
        if (what_.name.empty()) return fmt::format("{} from {}", to_string(what_.kind), from);
        return fmt::format("{} {} from {}", to_string(what_.kind), printable(what_.name), from);
    }

    ended_command run() {
        const bool as_file = sink_.options_.input == input_style::file;
        std::optional<spool_area::name> name;
        if (as_file) name.emplace(sink_.spool_, file_.get(), what_.name);
        const std::string path = name ? name->path() : std::string();

        command_call call;
        call.program = sink_.program_;
        call.words = sink_.words_;
        if (as_file && !sink_.options_.use_shell)
            for (auto& word : call.words) word = with_file(std::move(word), path);
        call.environment = sink_.inherited_;
        const auto set = [&](const char* variable, const std::string& value) {
            call.environment.push_back(std::string("WHERRY_") + variable + "=" + value);
        };
        set("KIND", std::string(to_string(what_.kind)));
        set("NAME", what_.name);
        set("SIZE", std::to_string(count_));
        set("MODE", what_.mode ? octal(*what_.mode) : std::string());
        set("MTIME", what_.mtime ? decimal(*what_.mtime) : std::string());
        set("FILE", path);
        set("PEER_ADDRESS", address_);
        set("PEER_FINGERPRINT", who_.fingerprint);
        set("PEER_KEY", who_.public_key);
        set("PEER_COMMENT", who_.label);
        call.directory = sink_.options_.directory;
        call.input = as_file ? sink_.nothing_.get() : file_.get();
        if (::lseek(file_.get(), 0, SEEK_SET) < 0) fail_to_store(errno);

        run_limits limits;
        limits.timeout = sink_.options_.timeout;
        limits.grace = sink_.options_.grace;
        limits.max_output_bytes = sink_.options_.max_response;
        limits.max_complaint_bytes = most_logged_bytes;
        limits.stop = sink_.stop_.get();
        return run_command(call, limits);
    }

    // All that it said on standard error, a line each.
    void log(const ended_command& ended, log_level level) const {
        std::string_view rest = ended.complaints;
        while (!rest.empty()) {
            const auto end = std::min(rest.find('\n'), rest.size());
            sink_.log_(level, fmt::format("exec: {}: {}", title(), printable(rest.substr(0, end))));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        if (ended.more_complaint_bytes > 0)
            sink_.log_(level,
                       fmt::format("exec: {}: ({} bytes more on standard error)", title(), ended.more_complaint_bytes));
    }

    void tell(ended_command& ended, response& answer) const {
        using cause = ended_command::cause;
        const bool is_ok = ended.why == cause::exited && ended.number == 0;
        log(ended, is_ok ? log_level::info : log_level::warning);
        std::string outcome, text;
        auto code = errc::refused;
        switch (ended.why) {
            case cause::exited:
                outcome = "exit " + std::to_string(ended.number);
                text = fmt::format("the receiver's command ended with exit status {}", ended.number);
                code = meaning_of(ended.number, sink_.options_.use_shell);
                break;
            case cause::signalled:
                outcome = "signal " + signal_name(ended.number);
                text = fmt::format("the receiver's command was ended by signal {}", signal_name(ended.number));
                code = errc::io;
                break;
            case cause::timed_out:
                outcome = "timeout";
                text = fmt::format("the receiver's command did not end within {} and was stopped",
                                   seconds(sink_.options_.timeout));
                code = errc::timed_out;
                break;
            case cause::stopped:
                outcome = "cancelled";
                text = "the receiver ended, and its command with it; send it again later";
                code = errc::disconnected;
                break;
        }
        if (ended.is_output_cut) {
            trim_to_characters(ended.output);
            outcome += ", response cut";
            sink_.log_(log_level::warning, fmt::format("exec: {}: the response is cut after {} (--exec.max-response)",
                                                       title(), human_bytes(ended.output.size())));
        }
        answer.set_outcome(outcome);
        answer.append(ended.output);
        if (is_ok) return;
        if (const auto line = first_line(ended.complaints); !line.empty()) text += ": " + line;
        throw error(code, text);
    }

    sink& sink_;
    const offer what_;
    const std::string address_;
    const identity who_;
    unique_fd file_;
    std::uint64_t count_ = 0;
};

// A folder itself, which has no content that a command could do something with.
class folder_delivery final : public delivery {
public:
    void write(const_bytes) override {}
    void finish(response& answer) override {
        answer.set_outcome("skipped");
        answer.append("folders themselves are not given to the command");
    }
    void abort(partial) noexcept override {}
};

namespace {

// Of commands, which may have been given another one than this program's.
std::string search_path(std::span<const std::string> environment) {
    constexpr std::string_view name = "PATH=";
    for (const auto& variable : environment)
        if (variable.starts_with(name)) return variable.substr(name.size());
    return "/usr/local/bin:/usr/bin:/bin";
}

}  // namespace

sink::sink(options chosen, std::function<void(log_level, const std::string&)> log)
    : options_(std::move(chosen)),
      log_(std::move(log)),
      spool_(spool_folder(options_),
             options_.input == input_style::file ? spool_area::names::while_running : spool_area::names::never),
      turns_(options_.parallel != 0 ? options_.parallel : std::max(1u, std::thread::hardware_concurrency())),
      nothing_(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!nothing_.is_open() || !stop_.is_open())
        throw error(errc::exhausted, "there is no descriptor left for commands", errno);
    try {
        inherited_ = environment_of_commands(own_environment(), options_.environment);
    } catch (const error& e) {
        throw e.within("--exec.environment");
    }
    try {
        if (options_.use_shell) {
            program_ = "/bin/sh";
            words_ = {"sh", "-c", options_.command};
        } else {
            words_ = split_words(options_.command);
            if (!words_.empty()) program_ = find_program(words_.front(), search_path(inherited_));
        }
        if (options_.command.find_first_not_of(" \t\r\n") == std::string::npos || words_.empty())
            throw error(errc::bad_input, "it is empty; name the program that deliveries go to, such as 'wc -c'");
    } catch (const error& e) {
        throw e.within("--exec.command");
    }
    struct stat found {};
    if (!options_.directory.empty() && (::stat(options_.directory.c_str(), &found) != 0 || !S_ISDIR(found.st_mode)))
        throw error(errc::bad_input,
                    fmt::format("--exec.directory: there is no folder '{}'", printable(options_.directory)));
    hear_of_children();
}

void sink::interrupt() noexcept {
    turns_.close();
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto ignored = ::write(stop_.get(), &one, sizeof one);
}

std::unique_ptr<delivery> sink::begin(const offer& what, const offering_peer& peer) {
    if (what.kind == item_kind::folder) return std::make_unique<folder_delivery>();
    return std::make_unique<exec_delivery>(*this, what, peer);
}

}  // namespace wherry::exec
