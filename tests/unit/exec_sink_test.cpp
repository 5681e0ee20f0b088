// SPDX-License-Identifier: BSD-2-Clause
#include "exec_sink.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "error_of.hpp"
#include "open_descriptors.hpp"
#include "temporary_folder.hpp"

namespace wherry::exec {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

struct collected final : response {
    std::string text, outcome;
    using response::append;
    void append(const_bytes bytes) override { text += as_text(bytes); }
    void set_outcome(std::string_view word) override { outcome = word; }
};

struct answer {
    std::string text, outcome;
    std::optional<error> failure;
};

class exec_sink_test : public testing::Test {
protected:
    options shell(std::string script) const {
        options chosen;
        chosen.command = std::move(script);
        chosen.use_shell = true;
        chosen.spool = spool().native();
        chosen.grace = 100ms;
        return chosen;
    }
    std::unique_ptr<sink> make(options chosen) {
        return std::make_unique<sink>(std::move(chosen), [this](log_level level, const std::string& line) {
            const std::lock_guard lock(mutex_);
            log_ += (level == log_level::warning ? "warning " : "info ") + line + "\n";
        });
    }

    static offer file(std::string name, std::optional<std::uint64_t> size = {}) {
        offer what;
        what.name = std::move(name);
        what.size = size;
        return what;
    }

    static answer deliver(wherry::sink& into, const offer& what, std::string_view content) {
        const identity peer{"ssh-ed25519", "ssh-ed25519 AAAA", "SHA256:x", "lap top"};
        answer result;
        collected given;
        try {
            const auto coming = into.begin(what, {"peer:1", peer});
            coming->write(as_bytes(content));
            coming->finish(given);
        } catch (const error& e) {
            result.failure = e;
        }
        result.text = given.text;
        result.outcome = given.outcome;
        return result;
    }
    answer deliver(options chosen, std::string_view content = "", const offer& what = file("f")) {
        return deliver(*make(std::move(chosen)), what, content);
    }

    const fs::path& spool() const { return made_.path(); }

    const test::temporary_folder made_, elsewhere_;
    std::mutex mutex_;
    std::string log_;
};

// ---- What it gets, and what it says ----

TEST_F(exec_sink_test, gets_the_data_on_standard_input_and_its_output_is_the_response) {
    options plain = shell("tr a-z A-Z");
    plain.use_shell = false;
    const auto told = deliver(plain, "abc\n");
    EXPECT_FALSE(told.failure);
    EXPECT_EQ(told.text, "ABC\n");
    EXPECT_EQ(told.outcome, "exit 0");
}

TEST_F(exec_sink_test, words_are_no_shell_text) {
    options plain = shell("printf '%s|' $HOME ; '*' \"two words\"");
    plain.use_shell = false;
    EXPECT_EQ(deliver(plain).text, "$HOME|;|*|two words|");
}

TEST_F(exec_sink_test, facts_are_in_the_environment) {
    auto what = file("a b/-rf\n$(touch x)\xFF");
    what.mode = 0640;
    what.mtime = file_time{1'700'000'000, 5};
    const auto told = deliver(
        shell("printf '%s|' \"$WHERRY_KIND\" \"$WHERRY_NAME\" \"$WHERRY_SIZE\" \"$WHERRY_MODE\" \"$WHERRY_MTIME\" "
              "\"$WHERRY_FILE\" \"$WHERRY_PEER_ADDRESS\" \"$WHERRY_PEER_FINGERPRINT\" \"$WHERRY_PEER_KEY\" "
              "\"$WHERRY_PEER_COMMENT\""),
        "12345", what);
    EXPECT_EQ(told.text,
              "file|a b/-rf\n$(touch x)\xFF|5|0640|1700000000.000000005||peer:1|SHA256:x|ssh-ed25519 AAAA|lap top|");
}

class exec_environment_test : public exec_sink_test {
protected:
    exec_environment_test() {
        ::setenv("TZ", "Asia/Tokyo", 1);
        ::setenv("SECRET", "s", 1);
        ::setenv("PGHOST", "db", 1);
        ::setenv("PGPORT", "5432", 1);
        ::setenv("WHERRY_HYBRID_PASSPHRASE", "p", 1);
    }
    ~exec_environment_test() override {
        for (const auto* name : {"TZ", "SECRET", "PGHOST", "PGPORT", "WHERRY_HYBRID_PASSPHRASE"}) ::unsetenv(name);
    }
    std::string seen(const std::string& environment) {
        auto chosen = shell(
            "printf '%s|' \"$TZ\" \"${SECRET-}\" \"${PGHOST-}\" \"${PGPORT-}\" "
            "\"${WHERRY_HYBRID_PASSPHRASE-}\" \"$WHERRY_NAME\"");
        chosen.environment = environment;
        return deliver(chosen).text;
    }
};

TEST_F(exec_environment_test, has_the_usual_few_and_what_is_wanted) {
    EXPECT_EQ(seen(""), "Asia/Tokyo|||||f|");
    EXPECT_EQ(seen("PG*"), "Asia/Tokyo||db|5432||f|");
    EXPECT_EQ(seen("SECRET PGHOST absent"), "Asia/Tokyo|s|db|||f|");
    EXPECT_EQ(seen("*"), "Asia/Tokyo|s|db|5432||f|");
    EXPECT_EQ(seen("TZ=UTC PGHOST=\"two words\" SECRET="), "UTC||two words|||f|");
}

TEST_F(exec_environment_test, words_that_are_none_are_refused) {
    for (const auto* const wrong : {"=x", "A-B", "A=1 'B C=2'", "*A", "''", "'", "WHERRY_NAME=x", "WHERRY_HYBRID*"}) {
        auto chosen = shell("true");
        chosen.environment = wrong;
        const auto failure = test::error_of([&] { make(chosen); });
        EXPECT_EQ(failure.code(), errc::bad_input) << wrong;
        EXPECT_THAT(failure.what(), HasSubstr("--exec.environment: ")) << wrong;
    }
}

TEST_F(exec_sink_test, what_is_not_known_is_empty) {
    offer message;
    message.kind = item_kind::message;
    EXPECT_EQ(deliver(shell("printf '%s|' \"$WHERRY_KIND\" \"${WHERRY_NAME-unset}\" \"${WHERRY_MODE-unset}\" "
                            "\"${WHERRY_MTIME-unset}\""),
                      "", message)
                  .text,
              "message||||");
}

TEST_F(exec_sink_test, times_before_1970) {
    const auto shown = [&](file_time time) {
        auto what = file("f");
        what.mtime = time;
        return deliver(shell("printf %s \"$WHERRY_MTIME\""), "", what).text;
    };
    EXPECT_EQ(shown({-2, 700'000'000}), "-1.300000000");
    EXPECT_EQ(shown({-1, 500'000'000}), "-0.500000000");
    EXPECT_EQ(shown({-5, 0}), "-5");
    EXPECT_EQ(shown({std::numeric_limits<std::int64_t>::min(), 4'294'967'295}), "-9223372036854775808");
}

TEST_F(exec_sink_test, variables_of_wherry_are_not_handed_on) {
    ::setenv("WHERRY_HYBRID_PASSPHRASE", "secret", 1);
    ::setenv("EXEC_SINK_TEST", "kept", 1);
    auto chosen = shell("env");
    chosen.environment = "*";
    const auto told = deliver(chosen);
    ::unsetenv("WHERRY_HYBRID_PASSPHRASE");
    ::unsetenv("EXEC_SINK_TEST");
    EXPECT_THAT(told.text, Not(HasSubstr("secret")));
    EXPECT_THAT(told.text, HasSubstr("EXEC_SINK_TEST=kept"));
}

TEST_F(exec_sink_test, as_a_file_with_its_ending_for_as_long_as_it_runs) {
    auto chosen =
        shell("sh -c 'printf \"%s|%s|\" \"$1\" \"$WHERRY_FILE\"; cat \"$1\"; stat -c \"|%a\" \"$1\"; cat' x {}");
    chosen.use_shell = false;
    chosen.input = input_style::file;
    const auto into = make(chosen);
    const auto told = deliver(*into, file("skull.stl"), "solid");
    ASSERT_FALSE(told.failure) << told.failure->what();
    const auto path = told.text.substr(0, told.text.find('|'));
    EXPECT_EQ(told.text, path + "|" + path + "|solid|600\n");
    EXPECT_TRUE(path.starts_with(spool().native() + "/wherry-exec-")) << path;
    EXPECT_TRUE(path.ends_with(".stl"));
    EXPECT_FALSE(fs::exists(path));
}

TEST_F(exec_sink_test, a_file_may_be_moved_away) {
    auto chosen = shell("mv \"$WHERRY_FILE\" '" + (elsewhere_.path() / "taken").native() + "'");
    chosen.input = input_style::file;
    EXPECT_FALSE(deliver(chosen, "mine").failure);
    std::ostringstream all;
    all << std::ifstream(elsewhere_.path() / "taken").rdbuf();
    EXPECT_EQ(all.str(), "mine");
    EXPECT_TRUE(fs::is_empty(spool()));
}

TEST_F(exec_sink_test, runs_where_it_is_told_to) {
    auto chosen = shell("pwd -P");
    chosen.directory = elsewhere_.path().native();
    EXPECT_EQ(deliver(chosen).text, fs::canonical(elsewhere_.path()).native() + "\n");
}

TEST_F(exec_sink_test, has_the_standard_descriptors_and_no_other) {
    const unique_fd leaky(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC, as a library may have it
    auto chosen = shell("ls /proc/self/fd");
    chosen.use_shell = false;
    // 3 is the folder that ls reads.
    EXPECT_EQ(deliver(chosen).text, "0\n1\n2\n3\n");
}

TEST_F(exec_sink_test, has_no_ignored_or_blocked_signals_and_a_session_of_its_own) {
    struct sigaction ignore {
    }, before{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &before);
    sigset_t blocked, mask_before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &mask_before);
    const auto told =
        deliver(shell("grep -E '^Sig(Blk|Ign)' /proc/self/status; ps -o sid= -p $$ | tr -d ' '; echo $$"));
    ::pthread_sigmask(SIG_SETMASK, &mask_before, nullptr);
    ::sigaction(SIGPIPE, &before, nullptr);
    std::istringstream lines(told.text);
    std::string name, blocked_set, ignored_set, session, pid;
    lines >> name >> blocked_set >> name >> ignored_set >> session >> pid;
    EXPECT_EQ(blocked_set, "0000000000000000");
    // All but 32 and 33, which are the C library's own.
    EXPECT_EQ(std::stoull(ignored_set, nullptr, 16) & ~0x180000000ull, 0u) << ignored_set;
    EXPECT_EQ(session, pid);
}

TEST_F(exec_sink_test, children_are_heard_of_where_they_were_ignored) {
    struct sigaction ignore {
    }, before{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGCHLD, &ignore, &before);
    const auto told = deliver(shell("exit 3"));
    ::sigaction(SIGCHLD, &before, nullptr);
    EXPECT_EQ(told.outcome, "exit 3");
}

// ---- How it may end ----

TEST_F(exec_sink_test, a_command_that_fails_fails_the_delivery) {
    const auto told = deliver(shell("cat; echo 'no such table.' >&2; echo more >&2; exit 3"), "half an answer");
    ASSERT_TRUE(told.failure);
    EXPECT_EQ(told.failure->code(), errc::refused);
    EXPECT_STREQ(told.failure->what(), "the receiver's command ended with exit status 3: no such table");
    EXPECT_EQ(told.outcome, "exit 3");
    EXPECT_EQ(told.text, "half an answer");
    EXPECT_THAT(log_, HasSubstr("warning exec: file f from SHA256:x: no such table.\n"));
    EXPECT_THAT(log_, HasSubstr("warning exec: file f from SHA256:x: more\n"));
}

TEST_F(exec_sink_test, exit_statuses_of_sysexits_say_more) {
    const auto status = [&](int number) { return deliver(shell("exit " + std::to_string(number))).failure->code(); };
    EXPECT_EQ(status(1), errc::refused);
    EXPECT_EQ(status(65), errc::bad_input);
    EXPECT_EQ(status(69), errc::unsupported);
    EXPECT_EQ(status(74), errc::io);
    EXPECT_EQ(status(75), errc::exhausted);
    EXPECT_EQ(status(255), errc::refused);
}

TEST_F(exec_sink_test, what_it_says_on_standard_error_does_nothing_to_a_terminal) {
    const auto told = deliver(shell("printf '\\033[2Jred\\n' >&2; exit 1"));
    EXPECT_THAT(told.failure->what(), HasSubstr("\\x1B[2Jred"));
    EXPECT_THAT(log_, HasSubstr("\\x1B[2Jred"));
}

TEST_F(exec_sink_test, a_crash_is_a_status) {
    const auto told = deliver(shell("echo said; kill -SEGV $$"));
    ASSERT_TRUE(told.failure);
    EXPECT_EQ(told.failure->code(), errc::io);
    EXPECT_EQ(told.outcome, "signal SIGSEGV");
    EXPECT_EQ(told.text, "said\n");
}

TEST_F(exec_sink_test, a_command_that_takes_too_long_is_ended_with_all_that_it_started) {
    const auto mark = elsewhere_.path() / "mark";
    auto chosen =
        shell("trap '' TERM; (trap '' TERM; sleep 1; sleep 1; echo > '" + mark.native() + "') & echo began; wait");
    chosen.timeout = 1s;
    const auto told = deliver(chosen);
    ASSERT_TRUE(told.failure);
    EXPECT_EQ(told.failure->code(), errc::timed_out);
    EXPECT_EQ(told.outcome, "timeout");
    EXPECT_EQ(told.text, "began\n");
    std::this_thread::sleep_for(2500ms);
    EXPECT_FALSE(fs::exists(mark));
}

TEST_F(exec_sink_test, a_command_may_tidy_up_when_its_time_is_over) {
    auto chosen = shell("trap 'echo tidied; exit 0' TERM; sleep 60 & wait");
    chosen.timeout = 1s;
    chosen.grace = 20s;
    const auto told = deliver(chosen);
    EXPECT_EQ(told.outcome, "timeout");  // late is late
    EXPECT_EQ(told.text, "tidied\n");
}

TEST_F(exec_sink_test, a_descendant_that_keeps_the_pipe_open_is_not_waited_for) {
    auto chosen = shell("sleep 60 & echo done; echo $!");
    const auto told = deliver(chosen);
    EXPECT_EQ(told.outcome, "exit 0");
    ASSERT_TRUE(told.text.starts_with("done\n"));
    EXPECT_EQ(::kill(std::stoi(told.text.substr(5)), SIGKILL), 0) << "it is let be";
}

TEST_F(exec_sink_test, data_that_is_not_read_is_no_failure) {
    const std::string large(3 << 20, 'x');
    EXPECT_EQ(deliver(shell("exit 0"), large).outcome, "exit 0");
    EXPECT_EQ(deliver(shell("exec <&-; exit 0"), large).outcome, "exit 0");
}

TEST_F(exec_sink_test, a_response_beyond_its_limit_is_cut_and_that_is_told) {
    auto chosen = shell("cat; printf late >&2");
    chosen.max_response = 1000;
    EXPECT_EQ(deliver(chosen, std::string(1000, 'x')).outcome, "exit 0");
    const auto told = deliver(chosen, std::string(5 << 20, 'x'));
    EXPECT_FALSE(told.failure);
    EXPECT_EQ(told.outcome, "exit 0, response cut");
    EXPECT_EQ(told.text, std::string(1000, 'x'));
    EXPECT_THAT(log_, HasSubstr("late"));
    // Not in the middle of a character.
    EXPECT_EQ(deliver(chosen, std::string(999, 'x') + "\xE2\x82\xAC").text, std::string(999, 'x'));
}

TEST_F(exec_sink_test, output_without_end_is_ended_by_the_time_limit) {
    auto chosen = shell("yes; yes >&2");
    chosen.timeout = 1s;
    const auto told = deliver(chosen);
    EXPECT_EQ(told.outcome, "timeout, response cut");
    EXPECT_EQ(told.text.size(), std::size_t{64} << 10);
}

TEST_F(exec_sink_test, a_program_that_went_away_is_a_status) {
    const auto tool = elsewhere_.path() / "tool";
    std::ofstream(tool) << "#!/bin/sh\n";
    ::chmod(tool.c_str(), 0755);
    auto chosen = shell(tool.native());
    chosen.use_shell = false;
    const auto into = make(chosen);
    EXPECT_EQ(deliver(*into, file("f"), "").outcome, "exit 0");
    fs::remove(tool);
    const auto told = deliver(*into, file("f"), "");
    ASSERT_TRUE(told.failure);
    EXPECT_EQ(told.failure->code(), errc::io);
    EXPECT_THAT(told.failure->what(), HasSubstr("No such file"));
}

// ---- Deliveries ----

TEST_F(exec_sink_test, nothing_runs_before_all_has_come) {
    const auto mark = elsewhere_.path() / "mark";
    const auto into = make(shell("cat > '" + mark.native() + "'"));
    const identity nobody{};
    for (const bool is_finished : {false, true}) {
        const auto coming = into->begin(file("f", 4), {"peer", nobody});
        coming->write(as_bytes("abc"));
        if (is_finished) {
            collected ignored;
            EXPECT_EQ(test::error_of([&] { coming->finish(ignored); }).code(), errc::protocol);
        } else {
            coming->abort(delivery::partial::keep);
        }
        EXPECT_FALSE(fs::exists(mark));
    }
    EXPECT_TRUE(fs::is_empty(spool()));
}

TEST_F(exec_sink_test, sizes_beyond_the_limit_are_refused_at_once_or_when_they_show) {
    auto chosen = shell("cat");
    chosen.max_size = 10;
    EXPECT_EQ(deliver(chosen, "0123456789", file("f", 10)).text, "0123456789");
    const identity nobody{};
    const auto into = make(chosen);
    EXPECT_EQ(test::error_of([&] { into->begin(file("f", 11), {"peer", nobody}); }).code(), errc::refused);
    const auto coming = into->begin(file("f"), {"peer", nobody});
    coming->write(as_bytes("0123456789"));
    EXPECT_EQ(test::error_of([&] { coming->write(as_bytes("x")); }).code(), errc::refused);
    coming->abort(delivery::partial::drop);
}

TEST_F(exec_sink_test, an_interruption_ends_what_runs_and_what_waits_for_its_turn) {
    auto chosen = shell("echo began; sleep 60");
    chosen.parallel = 1;
    const auto into = make(chosen);
    std::vector<answer> told(3);
    std::vector<std::thread> crew;
    for (auto& one : told) crew.emplace_back([&] { one = deliver(*into, file("f"), ""); });
    std::this_thread::sleep_for(100ms);
    into->interrupt();
    for (auto& one : crew) one.join();
    for (const auto& one : told) {
        ASSERT_TRUE(one.failure);
        EXPECT_EQ(one.failure->code(), errc::disconnected);
    }
    EXPECT_EQ(deliver(*into, file("f"), "").failure->code(), errc::disconnected);
}

TEST_F(exec_sink_test, folders_are_accepted_and_not_run_for) {
    offer folder = file("folder");
    folder.kind = item_kind::folder;
    const auto told = deliver(shell("exit 1"), "", folder);
    EXPECT_FALSE(told.failure);
    EXPECT_EQ(told.outcome, "skipped");
}

TEST_F(exec_sink_test, no_more_run_at_once_than_may) {
    const auto folder = elsewhere_.path().native();
    // Each leaves a mark while it runs, and tells how many there are.
    auto chosen = shell("m='" + folder + "'/$$; : > \"$m\"; sleep 0.1; ls '" + folder + "' | wc -l; rm \"$m\"");
    chosen.parallel = 2;
    const auto into = make(chosen);
    std::vector<std::string> seen(8);
    {
        std::vector<std::thread> crew;
        for (auto& one : seen) crew.emplace_back([&] { one = deliver(*into, file("f"), "x").text; });
        for (auto& one : crew) one.join();
    }
    for (const auto& one : seen) {
        EXPECT_GE(std::stoi(one), 1) << one;
        EXPECT_LE(std::stoi(one), 2) << one;
    }
}

TEST_F(exec_sink_test, many_at_once_each_get_their_own) {
    auto chosen = shell("cat");
    chosen.parallel = 4;
    const auto into = make(chosen);
    std::vector<std::thread> crew;
    for (int t = 0; t < 6; ++t)
        crew.emplace_back([&, t] {
            for (int i = 0; i < 5; ++i) {
                const auto content = std::to_string(t) + "-" + std::to_string(i);
                EXPECT_EQ(deliver(*into, file("f"), content).text, content);
            }
        });
    for (auto& one : crew) one.join();
}

TEST_F(exec_sink_test, nothing_is_left_open_or_behind) {
    for (const auto input : {input_style::standard_input, input_style::file}) {
        auto chosen = shell("cat ${WHERRY_FILE:+\"$WHERRY_FILE\"}");
        chosen.input = input;
        {
            const auto into = make(chosen);
            deliver(*into, file("f"), "x");
            const auto before = test::open_descriptors();
            for (int i = 0; i < 5; ++i) EXPECT_EQ(deliver(*into, file("f"), "x").text, "x");
            EXPECT_EQ(test::open_descriptors(), before);
        }
        EXPECT_TRUE(fs::is_empty(spool()));
    }
}

TEST_F(exec_sink_test, what_a_killed_receiver_left_is_removed_by_the_next_and_what_is_in_use_is_not) {
    fs::create_directory(spool() / "wherry-exec-abandoned");
    std::ofstream(spool() / "wherry-exec-abandoned/delivery-1.stl") << "of a patient";
    fs::create_directory(spool() / "other");
    auto chosen = shell("cat \"$WHERRY_FILE\"");
    chosen.input = input_style::file;
    const auto first = make(chosen);
    EXPECT_FALSE(fs::exists(spool() / "wherry-exec-abandoned"));
    EXPECT_TRUE(fs::exists(spool() / "other"));
    const auto second = make(chosen);
    EXPECT_EQ(deliver(*first, file("f"), "one").text, "one");
    EXPECT_EQ(deliver(*second, file("f"), "two").text, "two");
}

TEST_F(exec_sink_test, what_cannot_work_is_told_at_the_start) {
    const auto message = [&](options chosen) {
        const auto thrown = test::error_of([&] { make(std::move(chosen)); });
        EXPECT_EQ(thrown.code(), errc::bad_input);
        return std::string(thrown.what());
    };
    auto plain = shell("no-such-program-anywhere x");
    plain.use_shell = false;
    EXPECT_THAT(message(plain), HasSubstr("--exec.command: there is no program 'no-such-program-anywhere'"));
    plain.command = "'open";
    EXPECT_THAT(message(plain), HasSubstr("not closed"));
    for (const bool use_shell : {false, true}) {
        plain.command = " ";
        plain.use_shell = use_shell;
        EXPECT_THAT(message(plain), HasSubstr("it is empty"));
    }
    auto nowhere = shell("true");
    nowhere.directory = "/nonexistent";
    EXPECT_THAT(message(nowhere), HasSubstr("--exec.directory"));
    nowhere = shell("true");
    nowhere.spool = "/nonexistent";
    EXPECT_THAT(message(nowhere), HasSubstr("--exec.spool"));
}

}  // namespace
}  // namespace wherry::exec
