#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "application.hpp"
#include "dialer.hpp"
#include "item_sender.hpp"
#include "send_report.hpp"
#include "standard_streams.hpp"
#include "stopper.hpp"
#include "wherry/exchange.hpp"
#include "wherry/retry.hpp"
#include "wherry/sources.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

// What a signal must stop, whatever the sender is at.
class interruption {
public:
    interruption(signal_watcher& signals, send_report& report)
        : report_(report),
          stopper_(report, [&signals] { signals.end_within(std::chrono::milliseconds(0)); }),
          scope_(signals, [this](unsigned) { interrupt(); }) {}

    bool has_come() const noexcept { return has_come_; }
    exchange_stopper& stopper() noexcept { return stopper_; }

private:
    void interrupt() {
        has_come_ = true;
        // While no exchange runs the program just ends: nothing is being sent.
        stopper_.stop([this] {
            restore_terminal();
            report_.abandon_rest(error(errc::cancelled, "interrupted"));
            report_.finish(exit_code::interrupted);
            ::_exit(to_status(exit_code::interrupted));
        });
    }

    send_report& report_;
    exchange_stopper stopper_;
    std::atomic<bool> has_come_{false};
    signal_watcher::scope scope_;  // last: it may call at once
};

sending_plan make_plan(const effective_options& options) {
    const auto links = options.boolean("follow") ? symlinks::follow : symlinks::skip;
    sending_plan plan;
    bool has_stdin = false;
    for (const auto& [option, value] : options.arguments()) {
        if (option == "message") {
            plan.add_message(value);
        } else if (option.empty() && value == "-") {
            if (has_stdin) throw error(errc::bad_input, "'-' is given twice, but there is one standard input");
            has_stdin = true;
            require_readable_input("for '-'");
            plan.add_stdin(options.text("name"));
        } else if (option.empty()) {
            if (value.empty()) throw error(errc::bad_input, "the name of a file to send is empty");
            plan.add_path(value, links);
        }
    }
    plan.require_distinct_names();
    if (plan.items.empty() && plan.skipped.empty())
        throw error(errc::bad_input,
                    "there is nothing to send; name files or folders, give --message TEXT, or '-' for standard input");
    return plan;
}

class sender {
public:
    sender(application& with, const effective_options& options)
        : with_(with),
          streams_(static_cast<std::size_t>(options.integer("streams"))),
          dialer_(with, options),
          plan_(make_plan(options)),
          retries_(dialer_.retries()),
          report_(with, plan_, dialer_.how().content_compression),
          items_(options, plan_, report_, retries_.is_on() ? repeats::possible : repeats::no) {}

    exit_code run() {
        if (retries_.is_on()) report_.hold_back_exhausted();
        report_.tell_skipped();
        exit_code code = exit_code::internal;
        {
            interruption stop(with_.signals, report_);
            std::optional<error> failure;
            try {
                send_all(stop);
            } catch (const error& e) {
                failure = e;
            } catch (const std::exception& e) {
                failure = error(errc::internal, std::string("this should not happen: ") + e.what());
            }
            if (!failure) failure = report_.first_cut();
            if (failure) report_.abandon_rest(*failure);
            code = report_.outcome();
            // Where every item has the receiver's promise, nothing that comes after takes it back.
            if (code == exit_code::delivered) failure.reset();
            if (stop.has_come() && code != exit_code::delivered) {
                code = exit_code::interrupted;
                failure = error(errc::cancelled, "interrupted");
            }
            report_.end_progress();
            if (failure) tell(*failure);
        }
        report_.finish(code);
        return code;
    }

private:
    bool has_anything_to_send() const {
        return std::any_of(plan_.items.begin(), plan_.items.end(), [](const auto& item) { return !item.problem; });
    }

    void send_all(interruption& stop) {
        for (std::size_t i = 0; i < plan_.items.size(); ++i)
            if (plan_.items[i].problem) report_.failed(i, *plan_.items[i].problem);
        if (!has_anything_to_send()) return;
        for (;;) {
            std::optional<error> failure;
            try {
                attempt(stop);
                failure = report_.first_cut();
                if (!failure) return;
            } catch (const error& e) {
                if (!is_link_failure(e.code())) throw;
                failure = e;
            }
            if (stop.has_come() || !retries_.is_on() || !items_.has_anything_left()) throw *failure;
            const auto made = report_.made_progress() ? retry_schedule::progress::some : retry_schedule::progress::none;
            const auto next = retries_.after_failure(made);
            // The items get the receiver's last answers as their results.
            if (!next && failure->code() == errc::exhausted) return report_.abandon_rest(*failure);
            if (!next) throw *failure;
            items_.give_up_what_cannot_be_read_again();
            if (!items_.has_anything_left()) throw *failure;
            report_.retrying(*failure, *next);
            // An interruption ends the program meanwhile.
            std::this_thread::sleep_for(next->wait);
        }
    }

    void attempt(interruption& stop) {
        auto how = dialer_.how();
        how.streams = streams_;
        how.opener = &dialer_;
        exchange over(dialer_.connect(), nullptr, how, report_);
        const exchange_stopper::scope running(stop.stopper(), over);
        try {
            items_.send(over);
        } catch (const error&) {
            // What is still unanswered gets its result here; why is known already.
            try {
                over.finish();
            } catch (const error&) {
            }
            throw;
        }
        over.finish();
    }

    void tell(const error& failure) const {
        const bool may_be_mended = dialer_.has_met() && is_link_failure(failure.code());
        dialer_.tell(failure, !may_be_mended     ? ""
                              : items_.resumes() ? "; send again, and large files go on where they stopped"
                                                 : "; without --no-resume large files would go on where they stopped");
    }

    application& with_;
    const std::size_t streams_;
    dialer dialer_;
    const sending_plan plan_;
    retry_schedule retries_;
    send_report report_;
    item_sender items_;
};

exit_code run(application& with) {
    const auto options = read_dialer_options(with);
    sender one(with, options);
    return one.run();
}

}  // namespace

const command& send_command() {
    static const command described = {send_syntax(), run};
    return described;
}

}  // namespace wherry::app
