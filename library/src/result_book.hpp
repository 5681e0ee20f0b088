// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wherry/mutex.hpp"
#include "wherry/send_options.hpp"
#include "wherry/sources.hpp"
#include "wherry/transfer.hpp"

namespace wherry {

// Records which items of a plan have a result, and tells the observer of each. It holds back the result of an item that
// was cut off with the link, because another attempt may settle it; also of one that the receiver had no room for, if
// further attempts are planned.
// Thread-safety: all functions from any thread. The observer is called without the book's lock.
class result_book final : public sending_observer {
public:
    enum class attempts { one, several };
    // What is referred to outlives it. `progress` may be empty. `failures` gets the results of items that are not
    // delivered, in the order in which they come; it may be null.
    result_book(const sending_plan& plan, send_observer& observer,
                const std::function<void(const send_progress&)>& progress, attempts planned,
                std::vector<item_result>* failures);

    // The plan has grown at its end. Items with a problem get that as their result.
    void plan_has_grown();

    // ---- As item_sender tells it ----

    // The transfer carries this item; its answer may have come already. `pipe` (may be null) is what it is read from,
    // to be stopped once the transfer is over.
    void bind(transfer_id id, std::size_t item, std::shared_ptr<pipe_source> pipe);
    // The item was not even announced.
    void failed(std::size_t item, const error& why);
    bool has_result(std::size_t item) const;
    // All of it was sent, and the answer was lost.
    bool may_have_arrived(std::size_t item) const;
    // The item cannot be sent again, and gets its result now. `why` is told behind why it was cut off.
    void give_up(std::size_t item, const std::string& why);

    // ---- As the sender tells it ----

    void sending(transfer_id id, const offer& what, std::uint64_t resumed_from) override;
    void sent_so_far(transfer_id id, std::uint64_t bytes) override;
    void answered(transfer_id id, const offer& what, const delivery_result& result) override;
    void streams(std::size_t joined, std::size_t wanted, const std::string& why_fewer) override;

    // ---- For the retry loop ----

    // Makes reads that wait for a pipe end.
    void stop_reading() noexcept;
    // Returns whether something got done since the last call: an item got its result, or the receiver turned out to
    // have more of one than before.
    bool made_progress();
    // Forgets the transfers of a connection that is gone.
    void begin_again();
    // Returns the first failure of the link that is held back; if there is none, the first answer that is.
    std::optional<error> first_cut() const;
    // There is no further attempt: every item without a result has the one that is held back, or this failure.
    void abandon_rest(const error& why);
    // True if the receiver has answered something about at least one item, or may have it.
    bool has_any_answer() const;
    // Returns how many items have which result.
    send_counts counts() const;

private:
    struct transfer {
        std::size_t item = 0;
        std::shared_ptr<pipe_source> pipe;
        offer what = {};  // only for `progress_`
    };
    struct answer {
        offer what;
        delivery_result result;
    };
    struct held_result {
        transfer_id id;
        offer what;
        delivery_result result;
    };

    void settle(std::size_t item, transfer_id id, const offer& what, const delivery_result& result);
    void fail(std::size_t item, const error& why, failure_scope scope);
    void tell(const ended_item& item, const delivery_result& result);

    const sending_plan& plan_;
    send_observer& observer_;
    const std::function<void(const send_progress&)>& progress_;
    const bool holds_back_;
    std::vector<item_result>* const failures_;

    mutable mutex mutex_;
    std::vector<bool> has_result_ WHERRY_GUARDED_BY(mutex_);  // by item
    std::map<transfer_id, transfer> active_ WHERRY_GUARDED_BY(mutex_);
    std::map<transfer_id, answer> early_ WHERRY_GUARDED_BY(mutex_);      // answers that came before bind()
    std::map<std::size_t, held_result> held_ WHERRY_GUARDED_BY(mutex_);  // by item
    // By item: the most that the receiver was found to have.
    std::map<std::size_t, std::uint64_t> furthest_ WHERRY_GUARDED_BY(mutex_);
    bool has_progressed_ WHERRY_GUARDED_BY(mutex_) = false;
    bool has_any_answer_ WHERRY_GUARDED_BY(mutex_) = false;
    bool is_to_stop_ WHERRY_GUARDED_BY(mutex_) = false;
    send_counts counts_ WHERRY_GUARDED_BY(mutex_);
};

}  // namespace wherry
