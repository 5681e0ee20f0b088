// SPDX-License-Identifier: BSD-2-Clause
#include <unistd.h>

#include <atomic>

#include "application.hpp"
#include "dial_report.hpp"
#include "send_report.hpp"
#include "standard_streams.hpp"
#include "wherry/limits.hpp"
#include "wherry/sending.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

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
    plan.settle_names();
    if (plan.items.empty() && plan.skipped.empty())
        throw error(errc::bad_input,
                    "there is nothing to send; name files or folders, give --message TEXT, or '-' for standard input");
    return plan;
}

// Ends the process. For a signal while nothing is being sent.
[[noreturn]] void end_at_once(sending& all, send_report& report) {
    restore_terminal();
    all.abandon_rest(error(errc::cancelled, "interrupted"));
    report.finish(exit_code::interrupted);
    ::_exit(to_status(exit_code::interrupted));
}

exit_code run(application& app) {
    const auto options = read_sender_options(app);
    const auto plugins = make_plugins(options);
    const auto destination = destination_of(options);
    const auto here = make_sender(app, options, plugins);
    const auto plan = make_plan(options);
    auto how = send_options_of(options);
    send_report report(app, plan, detail_of(options));
    dial_report meeting(app, options);
    how.observer = &report;
    how.meeting = &meeting;
    how.before_cut = [&] { app.signals.end_within(std::chrono::milliseconds(0)); };
    report.tell_skipped();
    exit_code code = exit_code::internal;
    {
        sending all(here, destination, plan, how, link_use::once);
        std::atomic<bool> is_interrupted{false};
        const signal_watcher::scope stop(app.signals, [&](unsigned) {
            is_interrupted = true;
            all.stop([&](sending::phase) -> bool { end_at_once(all, report); });
        });
        auto failure = all.deliver_all();
        code = report.outcome();
        // Where every item has the receiver's promise, nothing that comes after takes it back.
        if (code == exit_code::delivered) failure.reset();
        if (is_interrupted && code != exit_code::delivered) {
            code = exit_code::interrupted;
            failure = error(errc::cancelled, "interrupted");
        }
        report.end_progress();
        if (failure) {
            const bool may_be_mended = meeting.has_met() && is_link_failure(*failure);
            meeting.tell(*failure, !may_be_mended ? ""
                                   : how.resume == resuming::wanted
                                       ? "; send again, and large files go on where they stopped"
                                       : "; without --no-resume large files would go on where they stopped");
        }
    }
    report.finish(code);
    return code;
}

}  // namespace

const command& send_command() {
    static const command described = {send_syntax(), run};
    return described;
}

}  // namespace wherry::app
