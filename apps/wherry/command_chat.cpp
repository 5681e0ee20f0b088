// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <iterator>
#include <memory>
#include <optional>

#include "application.hpp"
#include "chat_history.hpp"
#include "chat_line.hpp"
#include "dial_report.hpp"
#include "line_editor.hpp"
#include "send_report.hpp"
#include "standard_streams.hpp"
#include "wherry/failure_of.hpp"
#include "wherry/sending.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

// Of one that comes through a pipe: it is held in memory.
constexpr std::size_t max_line_bytes = std::size_t{16} << 20;

error interrupted() { return error(errc::cancelled, "interrupted"); }

// A person at a prompt, or a pipe, whose lines are delivered one after the other, over one connection or as many as it
// takes.
class chat {
public:
    chat(application& app, const effective_options& options)
        : app_(app),
          options_(options),
          is_interactive_(app.style != output::json && ::isatty(STDIN_FILENO) != 0 &&
                          app.terminal.is_output_terminal()),
          plugins_(make_plugins(options)),
          destination_(destination_of(options)),
          here_(make_sender(app, options, plugins_)),
          how_(send_options_of(options)),
          report_(app, plan_, detail_of(options), send_report::kind::talk),
          meeting_(*this),
          all_(here_, destination_, plan_, watched(how_), link_use::kept),
          signals_(app.signals, [this](unsigned) { on_signal(); }) {}

    exit_code run() {
        std::optional<error> failure;
        try {
            all_.connect();
            if (is_interactive_)
                converse();
            else
                read_pipe();
        } catch (const std::exception& e) {
            failure = failure_of(e);
        }
        all_.close();
        return conclude(std::move(failure));
    }

private:
    class reading_scope {
    public:
        explicit reading_scope(std::atomic<bool>& flag) : flag_(flag) { flag_ = true; }
        ~reading_scope() { flag_ = false; }
        reading_scope(const reading_scope&) = delete;
        reading_scope& operator=(const reading_scope&) = delete;

    private:
        std::atomic<bool>& flag_;
    };

    class chat_dial_report final : public dial_report {
    public:
        explicit chat_dial_report(chat& owner) : dial_report(owner.app_, owner.options_), chat_(owner) {}
        void let_in() override {
            if (chat_.is_interactive_ && chat_.has_begun_) app_.note("connected again");
        }

    private:
        chat& chat_;
    };

    send_options watched(send_options how) {
        how.observer = &report_;
        how.meeting = &meeting_;
        how.before_cut = [this] {
            // Ctrl-C at the prompt cancels the transfer, but does not end the chat.
            if (is_stopped_) app_.signals.end_within(std::chrono::milliseconds(0));
        };
        return how;
    }

    // ---- Signals: on a thread of their own ----

    void on_signal() {
        const bool is_about_the_line = is_interactive_ && has_begun_ && app_.signals.latest() == SIGINT;
        if (!is_about_the_line) is_stopped_ = true;
        all_.stop([&](sending::phase phase) {
            switch (phase) {
                case sending::phase::idle:
                    if (!is_reading_) return true;
                    lines_->interrupt();
                    break;
                case sending::phase::waiting: return true;
                case sending::phase::connecting:
                case sending::phase::transferring: end_at_once();
            }
            return false;
        });
    }

    [[noreturn]] void end_at_once() {
        restore_terminal();
        all_.abandon_rest(interrupted());
        report_.finish(exit_code::interrupted);
        ::_exit(to_status(exit_code::interrupted));
    }

    // ---- Delivering ----

    // While a person is typing.
    void notice_loss() {
        if (const auto why = all_.notice_loss())
            app_.note(fmt::format("the connection is gone: {}. The next line connects again", printable(why->what())));
    }

    // Brings over what the plan has from pending_ on. Throws a failure of the link with that still pending, or one
    // after which there is no going on.
    void deliver() {
        try {
            all_.deliver(pending_);
        } catch (const error& e) {
            if (is_stopped_) throw interrupted();
            if (e.code() == errc::cancelled) return give_up();
            throw;
        }
        settle();
    }

    void settle() {
        for (; pending_ < plan_.items.size(); ++pending_) std::string().swap(plan_.items[pending_].text);
    }

    void give_up() {
        all_.abandon_rest(interrupted());
        report_.tell_cut_off();
        settle();
        if (!is_interactive_) throw interrupted();
    }

    // ---- Lines ----

    void converse() {
        line_editor_options editing;
        editing.prompt = "> ";
        editing.complete = complete_chat_line;
        editing.while_waiting = [this] { notice_loss(); };
        editing.keeps_history = !options_.boolean("no-history");
        editing.history_lines = chat_history_lines;
        bool is_history_kept = editing.keeps_history && options_.boolean("history");
        const auto file = app_.home() / "chat_history";
        if (is_history_kept) {
            try {
                editing.history = read_chat_history(file);
            } catch (const error& e) {
                is_history_kept = false;
                app_.log->warn("{}; this chat is not added to it", printable(e.what()));
            }
        }
        auto* const editor = new line_editor(app_.terminal, std::move(editing));
        lines_.reset(editor);
        app_.note(fmt::format("connected to {}; /help lists the commands", printable(all_.destination())));
        has_begun_ = true;
        const auto keep_history = [&] {
            if (!is_history_kept) return;
            try {
                add_chat_history(file, editor->entered());
            } catch (const std::exception& e) {
                app_.log->warn("{}", printable(e.what()));
            }
        };
        try {
            read_lines();
        } catch (const error&) {
            keep_history();
            throw;
        }
        keep_history();
    }

    void read_pipe() {
        lines_ = std::make_unique<pipe_line_reader>(STDIN_FILENO, max_line_bytes);
        has_begun_ = true;
        read_lines();
    }

    void read_lines() {
        while (const auto line = next_line())
            if (!take(*line)) return;
    }

    // Nothing: there are no more, or nobody wants them.
    std::optional<std::string> next_line() {
        for (;;) {
            const reading_scope reading(is_reading_);
            if (is_stopped_) return std::nullopt;
            std::string line;
            try {
                switch (lines_->read(line)) {
                    case line_end::line: return line;
                    case line_end::end: return std::nullopt;
                    case line_end::interrupted: break;
                }
            } catch (const error& e) {
                if (e.code() != errc::bad_input) throw;
                fail_line(e);
            }
        }
    }

    // False if it is the last one.
    bool take(const std::string& line) {
        const auto first_skipped = plan_.skipped.size();
        try {
            auto asked = read_chat_line(line);
            switch (asked.asks_for) {
                case chat_line::kind::quit: return false;
                case chat_line::kind::help: app_.note(std::string(chat_help())); return true;
                case chat_line::kind::files: add_files(asked.paths); break;
                case chat_line::kind::message:
                    // At the prompt, an empty line is what Enter makes of a wish to try again.
                    if (!is_interactive_ || !asked.text.empty()) plan_.add_message(std::move(asked.text));
                    break;
            }
        } catch (const error& e) {
            fail_line(e);
            return true;
        }
        report_.tell_skipped(first_skipped);
        all_.plan_has_grown();
        if (!all_.has_anything_left(pending_)) {
            settle();
            return true;
        }
        try {
            deliver();
        } catch (const error& e) {
            if (!is_interactive_ || !is_link_failure(e)) throw;
            app_.terminal.note(
                fmt::format("not sent yet: {}. Enter tries again, before anything else is sent; /quit gives it up",
                            printable(e.what())));
        }
        return true;
    }

    void add_files(const std::vector<std::string>& paths) {
        sending_plan line;
        for (const auto& path : paths)
            line.add_path(path, options_.boolean("follow") ? symlinks::follow : symlinks::skip);
        line.settle_names();
        std::move(line.items.begin(), line.items.end(), std::back_inserter(plan_.items));
        std::move(line.skipped.begin(), line.skipped.end(), std::back_inserter(plan_.skipped));
    }

    // A line that means nothing. For the exit code, and for programs, it is one that was not sent.
    void fail_line(const error& why) {
        if (is_interactive_) return app_.terminal.note(printable(why.what()));
        planned_item item;
        item.kind = item_kind::message;
        item.problem = why;
        plan_.items.push_back(std::move(item));
        all_.plan_has_grown();
        if (!all_.has_anything_left(pending_)) settle();
    }

    // ---- The end ----

    exit_code conclude(std::optional<error> failure) {
        const bool is_unfinished = all_.has_anything_left(pending_);
        all_.abandon_rest(failure ? *failure : error(errc::disconnected, "it was given up"));
        report_.end_progress();
        auto code = is_interactive_ ? exit_code::delivered : report_.outcome();
        if (is_unfinished && code == exit_code::delivered) code = exit_code::link;
        if (failure && code == exit_code::delivered) code = exit_code_for(failure->code(), side::here);
        if (is_stopped_) {
            code = exit_code::interrupted;
            failure = interrupted();
        }
        if (failure)
            meeting_.tell(*failure,
                          !is_interactive_ && has_begun_ && !is_stopped_ ? "; the lines behind it were not read" : "");
        report_.finish(code);
        return code;
    }

    application& app_;
    const effective_options& options_;
    const bool is_interactive_;
    const made_plugins plugins_;
    const std::string destination_;
    const endpoint here_;
    const send_options how_;
    sending_plan plan_;        // all that was ever said, without its text
    std::size_t pending_ = 0;  // the first item in it that may lack a result
    send_report report_;
    chat_dial_report meeting_;
    sending all_;
    std::unique_ptr<line_reader> lines_;

    std::atomic<bool> has_begun_{false};
    std::atomic<bool> is_reading_{false};
    std::atomic<bool> is_stopped_{false};
    signal_watcher::scope signals_;  // last: it may call at once
};

exit_code run(application& app) {
    const auto options = read_sender_options(app);
    if (!plain_arguments(options).empty())
        throw error(errc::bad_input,
                    "chat takes no argument but --to ADDRESS; files are sent with /file, or by: wherry send");
    require_readable_input("for the lines of the chat");
    chat one(app, options);
    return one.run();
}

}  // namespace

const command& chat_command() {
    static const command described = {chat_syntax(), run};
    return described;
}

}  // namespace wherry::app
