#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <iterator>
#include <mutex>
#include <optional>

#include "application.hpp"
#include "chat_history.hpp"
#include "chat_line.hpp"
#include "dialer.hpp"
#include "item_sender.hpp"
#include "line_editor.hpp"
#include "send_report.hpp"
#include "standard_streams.hpp"
#include "stopper.hpp"
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
    chat(application& with, const effective_options& options)
        : with_(with),
          options_(options),
          is_interactive_(with.style != output::json && ::isatty(STDIN_FILENO) != 0 &&
                          with.terminal.is_output_terminal()),
          dialer_(with, options),
          report_(with, plan_, dialer_.how().content_compression, send_report::kind::talk),
          items_(options, plan_, report_, repeats::possible),
          stopper_(report_,
                   [this] {
                       // Ctrl-C at the prompt cancels the transfer, but does not end the chat.
                       if (is_stopped_) with_.signals.end_within(std::chrono::milliseconds(0));
                   }),
          signals_(with.signals, [this](unsigned) { on_signal(); }) {
        if (dialer_.retries().is_on()) report_.hold_back_exhausted();
    }

    exit_code run() {
        std::optional<error> failure;
        try {
            reach();
            if (is_interactive_)
                converse();
            else
                read_pipe();
        } catch (const error& e) {
            failure = e;
        } catch (const std::exception& e) {
            failure = error(errc::internal, std::string("this should not happen: ") + e.what());
        }
        close();
        return conclude(std::move(failure));
    }

private:
    // What a signal finds this at.
    enum class phase {
        between,     // nothing that takes long
        connecting,  // nothing ends that but its own timeouts
        exchanging,  // the stopper does it
        waiting,     // before another attempt
        reading,     // a line
    };

    class within {
    public:
        within(chat& of, phase now) : of_(of) { of_.at_ = now; }
        ~within() { of_.at_ = phase::between; }
        within(const within&) = delete;
        within& operator=(const within&) = delete;

    private:
        chat& of_;
    };

    // ---- Signals: on a thread of their own ----

    void on_signal() {
        const bool is_about_the_line = is_interactive_ && has_begun_ && with_.signals.latest() == SIGINT;
        if (!is_about_the_line) is_stopped_ = true;
        stopper_.stop([&] {
            switch (at_.load()) {
                case phase::reading: return lines_->interrupt();
                case phase::between:
                case phase::waiting: {
                    {
                        const std::lock_guard lock(mutex_);
                        is_cancelled_ = true;
                    }
                    return changed_.notify_all();
                }
                case phase::connecting:
                    if (!is_about_the_line || ++connecting_interrupts_ > 1) return end_at_once();
                    return with_.terminal.note("still connecting; Ctrl-C once more ends the chat");
                case phase::exchanging: return end_at_once();
            }
        });
    }

    void end_at_once() {
        restore_terminal();
        report_.abandon_rest(interrupted());
        report_.finish(exit_code::interrupted);
        ::_exit(to_status(exit_code::interrupted));
    }

    // ---- The link ----

    void reach() {
        connecting_interrupts_ = 0;
        {
            const within now(*this, phase::connecting);
            exchange_ = std::make_unique<exchange>(dialer_.connect(), nullptr, dialer_.how(), report_);
        }
        was_loss_told_ = false;
        const within now(*this, phase::exchanging);
        const exchange_stopper::scope running(stopper_, *exchange_);
        exchange_->await_entry();
    }

    // Takes leave as far as that goes; what is unanswered gets its result.
    void close() {
        if (!exchange_) return;
        {
            const within now(*this, phase::exchanging);
            const exchange_stopper::scope running(stopper_, *exchange_);
            try {
                exchange_->finish();
            } catch (const error&) {
                // Known, or of no consequence: nothing that was answered depends on it.
            }
        }
        exchange_.reset();
    }

    // While a person is typing.
    void notice_loss() {
        if (was_loss_told_ || !exchange_) return;
        const auto why = exchange_->why_over();
        if (!why) return;
        was_loss_told_ = true;
        with_.note("the connection is gone: " + printable(why->what()) + ". The next line connects again");
    }

    // ---- Delivering ----

    // Brings over what the plan has from pending_ on. Throws a failure of the link with that still pending, or one
    // after which there is no going on.
    void deliver() {
        auto schedule = dialer_.retries();
        bool may_connect_at_once = true;
        if (exchange_) {
            if (const auto why = exchange_->why_over()) {
                const bool was_told = was_loss_told_;
                close();
                if (!was_told) report_.retrying(*why, {1, 1, std::chrono::milliseconds(0)});
                may_connect_at_once = false;
            }
        } else {
            may_connect_at_once = false;
        }
        is_cancelled_ = false;
        for (;;) {
            const auto failure = attempt();
            if (!failure) return settle();
            // If the receiver had no room, the connection can still be used.
            const auto held = report_.first_cut();
            const bool is_full = failure->code() == errc::exhausted && held && held->code() == errc::exhausted;
            if (!is_full) close();
            if (is_stopped_) throw interrupted();
            if (failure->code() == errc::cancelled) return give_up();
            if (!is_full && !is_link_failure(failure->code())) throw *failure;
            if (!items_.has_anything_left(pending_)) return settle();
            if (report_.made_progress()) may_connect_at_once = true;
            if (may_connect_at_once && !is_full) {
                may_connect_at_once = false;
                report_.retrying(*failure, {1, 1, std::chrono::milliseconds(0)});
                continue;
            }
            const auto next = schedule.after_failure(retry_schedule::progress::none);
            if (!next && is_full) {
                report_.abandon_rest(*failure);
                return settle();
            }
            if (!next) throw *failure;
            report_.retrying(*failure, *next);
            if (wait(next->wait)) continue;
            if (is_stopped_) throw interrupted();
            return give_up();
        }
    }

    std::optional<error> attempt() {
        try {
            const bool is_new = !exchange_;
            if (is_new) reach();
            if (is_new && is_interactive_) with_.note("connected again");
            const within now(*this, phase::exchanging);
            const exchange_stopper::scope running(stopper_, *exchange_);
            items_.send(*exchange_, pending_);
            exchange_->settle();
            return report_.first_cut();
        } catch (const error& e) {
            return e;
        }
    }

    // False if a person does not want to wait.
    bool wait(std::chrono::milliseconds time) {
        const within now(*this, phase::waiting);
        std::unique_lock lock(mutex_);
        return !changed_.wait_for(lock, time, [this] { return is_cancelled_ || is_stopped_; });
    }

    void settle() {
        for (; pending_ < plan_.items.size(); ++pending_) std::string().swap(plan_.items[pending_].text);
    }

    void give_up() {
        report_.abandon_rest(interrupted());
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
        const auto file = with_.home() / "chat_history";
        if (is_history_kept) {
            try {
                editing.history = read_chat_history(file);
            } catch (const error& e) {
                is_history_kept = false;
                with_.log->warn("{}; this chat is not added to it", printable(e.what()));
            }
        }
        auto* const editor = new line_editor(with_.terminal, std::move(editing));
        lines_.reset(editor);
        with_.note("connected to " + printable(dialer_.destination()) + "; /help lists the commands");
        has_begun_ = true;
        const auto keep_history = [&] {
            if (!is_history_kept) return;
            try {
                add_chat_history(file, editor->entered());
            } catch (const std::exception& e) {
                with_.log->warn("{}", printable(e.what()));
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
            const within now(*this, phase::reading);
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
        const auto first = plan_.items.size(), first_skipped = plan_.skipped.size();
        try {
            auto asked = read_chat_line(line);
            switch (asked.asks_for) {
                case chat_line::kind::quit: return false;
                case chat_line::kind::help: with_.note(std::string(chat_help())); return true;
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
        report_.plan_has_grown();
        report_.tell_skipped(first_skipped);
        for (auto i = first; i < plan_.items.size(); ++i)
            if (const auto& problem = plan_.items[i].problem) report_.failed(i, *problem);
        if (!items_.has_anything_left(pending_)) {
            settle();
            return true;
        }
        try {
            deliver();
        } catch (const error& e) {
            if (!is_interactive_ || !is_link_failure(e.code())) throw;
            with_.terminal.note("not sent yet: " + printable(e.what()) +
                                ". Enter tries again, before anything else is sent; /quit gives it up");
        }
        return true;
    }

    void add_files(const std::vector<std::string>& paths) {
        sending_plan line;
        for (const auto& path : paths)
            line.add_path(path, options_.boolean("follow") ? symlinks::follow : symlinks::skip);
        line.require_distinct_names();
        std::move(line.items.begin(), line.items.end(), std::back_inserter(plan_.items));
        std::move(line.skipped.begin(), line.skipped.end(), std::back_inserter(plan_.skipped));
    }

    // A line that means nothing. For the exit code, and for programs, it is one that was not sent.
    void fail_line(const error& why) {
        if (is_interactive_) return with_.terminal.note(printable(why.what()));
        planned_item item;
        item.kind = item_kind::message;
        item.problem = why;
        plan_.items.push_back(std::move(item));
        report_.plan_has_grown();
        report_.failed(plan_.items.size() - 1, why);
        if (!items_.has_anything_left(pending_)) settle();
    }

    // ---- The end ----

    exit_code conclude(std::optional<error> failure) {
        const bool is_unfinished = items_.has_anything_left(pending_);
        report_.abandon_rest(failure ? *failure : error(errc::disconnected, "it was given up"));
        report_.end_progress();
        auto code = is_interactive_ ? exit_code::delivered : report_.outcome();
        if (is_unfinished && code == exit_code::delivered) code = exit_code::link;
        if (failure && code == exit_code::delivered) code = exit_code_for(failure->code(), side::here);
        if (is_stopped_) {
            code = exit_code::interrupted;
            failure = interrupted();
        }
        if (failure)
            dialer_.tell(*failure,
                         !is_interactive_ && has_begun_ && !is_stopped_ ? "; the lines behind it were not read" : "");
        report_.finish(code);
        return code;
    }

    application& with_;
    const effective_options& options_;
    const bool is_interactive_;
    dialer dialer_;
    sending_plan plan_;        // all that was ever said, without its text
    std::size_t pending_ = 0;  // the first item in it that may lack a result
    send_report report_;
    item_sender items_;
    std::unique_ptr<exchange> exchange_;
    bool was_loss_told_ = false;
    std::unique_ptr<line_reader> lines_;

    std::atomic<phase> at_{phase::between};
    std::atomic<bool> has_begun_{false};
    std::atomic<bool> is_stopped_{false};
    std::atomic<unsigned> connecting_interrupts_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::atomic<bool> is_cancelled_{false};
    exchange_stopper stopper_;
    signal_watcher::scope signals_;  // last: it may call at once
};

exit_code run(application& with) {
    const auto options = read_dialer_options(with);
    if (!plain_arguments(options).empty())
        throw error(errc::bad_input,
                    "chat takes no argument but --to ADDRESS; files are sent with /file, or by: wherry send");
    require_readable_input("for the lines of the chat");
    chat one(with, options);
    return one.run();
}

}  // namespace

const command& chat_command() {
    static const command described = {chat_syntax(), run};
    return described;
}

}  // namespace wherry::app
