#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "application.hpp"
#include "progress.hpp"
#include "wherry/exchange.hpp"
#include "wherry/item_sender.hpp"
#include "wherry/retry.hpp"
#include "wherry/sources.hpp"

namespace wherry::app {

// Tells how the sending goes: result lines and progress for people, events for programs; and counts, for the exit code.
// Thread-safety: all functions from any thread.
class send_report final : public exchange_observer, public item_results {
public:
    // A transfer has its plan from the beginning, and a sum at its end; a talk's grows line by line, and of its
    // messages only the answers are shown.
    enum class kind { transfer, talk };
    // `plan` outlives it. `how` is known to be what a receiver may not support.
    send_report(application& with, const sending_plan& plan, exchange_options::compression how,
                kind of = kind::transfer);
    ~send_report() override;

    // What was found on the way but is not sent, from the plan's `first` such entry on.
    void tell_skipped(std::size_t first = 0);
    // The plan has grown at its end.
    void plan_has_grown();
    // The transfer carries this item; `hurry` (may be null) is stopped once the transfer is over.
    void bind(transfer_id id, std::size_t item, std::shared_ptr<pipe_source> hurry) override;
    // The item was not even announced.
    void failed(std::size_t item, const error& why) override;
    // There is no further attempt: every item without a result has that of the last attempt that it was in, or this.
    void abandon_rest(const error& why);

    // ---- For a further attempt, when the connection of the one before is gone ----

    // Holds back answers that the receiver has no room, from now on, like items that were cut off.
    void hold_back_exhausted() noexcept { holds_back_ = true; }
    // Items that were cut off have no result: they are held back until abandon_rest(), or until another attempt has
    // settled them.
    bool has_result(std::size_t item) const override;
    // All of it was sent, and the answer was lost.
    bool may_have_arrived(std::size_t item) const override;
    // Returns the first failure that is held back: one of the link if there is any, else an answer.
    std::optional<error> first_cut() const;
    // The item cannot be sent again, and gets its result now. `why` is told behind why it was cut off.
    void give_up(std::size_t item, const std::string& why) override;
    // Whether something has been got done since this was last asked: an item got its result, or the receiver turned out
    // to have more of one than before.
    bool made_progress();
    // Tells what failed and what comes, and is ready for it. Without a wait it is about the link alone.
    void retrying(const error& why, const next_attempt& next);
    // Reading standard input ends, wherever it is.
    void stop_reading() noexcept;

    void sending(transfer_id id, const offer& what, std::uint64_t resumed_from) override;
    void sent_so_far(transfer_id id, std::uint64_t bytes) override;
    void answered(transfer_id id, const offer& what, const delivery_result& result) override;
    void streams(std::size_t joined, std::size_t wanted, const std::string& why_fewer) override;

    // What failed with the connection is told now, so that the reason can follow.
    void tell_cut_off();
    // No more progress; what failed with the connection is told now, so that the reason can follow.
    void end_progress();
    // Tells the sum of it. Once, when nothing else is called any more.
    void finish(exit_code code);

    // For what was told so far.
    exit_code outcome() const;

private:
    struct answer {
        offer what;
        delivery_result result;
    };

    // Whose failure it is: a line needs no reason that is told of the whole connection.
    enum class cause { item, connection };
    static cause cause_of(const delivery_result& result);
    void settle(std::size_t item, transfer_id id, const offer& what, const delivery_result& result);
    void tell(std::size_t item, std::optional<transfer_id> id, const offer& what, const delivery_result& result,
              cause of);
    void fail(std::size_t item, const error& why, cause of);
    void show_progress(const progress_state* state);

    application& with_;
    const sending_plan& plan_;
    const exchange_options::compression compression_;
    const kind kind_;
    std::atomic<bool> holds_back_ = false;  // also answers of status exhausted

    mutable std::mutex mutex_;
    std::optional<progress_clock::time_point> began_;  // the first item
    std::map<transfer_id, std::size_t> items_;
    std::map<transfer_id, std::shared_ptr<pipe_source>> pipes_;
    std::map<transfer_id, answer> early_;  // answers that came before bind()
    std::vector<bool> has_result_;
    struct cut {
        transfer_id id;
        offer what;
        delivery_result result;
    };
    std::map<std::size_t, cut> cut_;                 // by item: results that are held back
    std::map<std::size_t, std::uint64_t> furthest_;  // by item: the most that the receiver was found to have
    bool made_progress_ = false;
    std::size_t delivered_ = 0, failed_ = 0;
    std::uint64_t bytes_ = 0, bytes_on_link_ = 0;
    std::optional<exit_code> first_cause_;
    std::vector<std::string> cut_off_;  // lines of items that failed with the connection: shown in short
    progress_clock::time_point last_plain_line_ = progress_clock::now();

    progress_meter progress_;  // last: its thread uses what is above
};

}  // namespace wherry::app
