// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "application.hpp"
#include "folder_tally.hpp"
#include "progress.hpp"
#include "wherry/mutex.hpp"
#include "wherry/send.hpp"

namespace wherry::app {

// Tells how the sending goes: result lines and progress for people, events for programs; and counts, for the exit code.
// Thread-safety: all functions from any thread.
class send_report final : public send_observer {
public:
    // A transfer has its plan from the beginning, and a sum at its end; a talk's grows line by line, and of its
    // messages only the answers are shown.
    enum class kind { transfer, talk };
    // `plan` outlives it.
    send_report(application& app, const sending_plan& plan, detail how, kind which = kind::transfer);
    ~send_report() override;

    // What was found on the way but is not sent, from the plan's `first` such entry on.
    void tell_skipped(std::size_t first = 0);

    void reading_pipe(std::size_t item) override;
    void sending(std::size_t item, transfer_id id, const offer& what, std::uint64_t resumed_from) override;
    void sent_so_far(transfer_id id, std::uint64_t bytes) override;
    void withdrawn(transfer_id id) override;
    void ended(const ended_item& item, const delivery_result& result) override;
    void streams(std::size_t joined, std::size_t wanted, const std::string& why_fewer) override;
    void retrying(const error& why, const next_attempt& next) override;

    // What failed with the connection is told now, so that the reason can follow.
    void tell_cut_off();
    // No more progress; what failed with the connection is told now, so that the reason can follow.
    void end_progress();
    // Tells the sum of it. Once, when nothing else is called any more.
    void finish(exit_code code);

    // For what was told so far.
    exit_code outcome() const;

private:
    void show_progress(const progress_state* state);
    void tell_sent(const offer& what, const delivery_result& result);

    application& app_;
    const sending_plan& plan_;
    const detail detail_;
    const kind kind_;

    mutable mutex mutex_;
    std::optional<progress_clock::time_point> began_ WHERRY_GUARDED_BY(mutex_);  // the first item
    send_counts counts_ WHERRY_GUARDED_BY(mutex_);
    std::optional<exit_code> first_cause_ WHERRY_GUARDED_BY(mutex_);
    std::vector<std::string> cut_off_
        WHERRY_GUARDED_BY(mutex_);  // lines of items that failed with the connection: shown in short
    folder_tally folders_ WHERRY_GUARDED_BY(mutex_);
    progress_clock::time_point last_plain_line_ = progress_clock::now();

    progress_meter progress_;  // last: its thread uses what is above
};

}  // namespace wherry::app
