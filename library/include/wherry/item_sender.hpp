#pragma once

#include <cstddef>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wherry/exchange.hpp"
#include "wherry/sources.hpp"

namespace wherry {

// Whether items are offered so that a receiver recognises one that it was offered before.
enum class repeats { no, possible };

// What became of the items of a plan, as far as who sends them must know. Results themselves come by the observer of
// the exchange. Thread-safety: all functions from any thread.
class item_results {
public:
    virtual ~item_results() = default;

    // The transfer carries this item; its answer may have come already. `pipe` (may be null) is what it is read from,
    // to be stopped once the transfer is over.
    virtual void bind(transfer_id id, std::size_t item, std::shared_ptr<pipe_source> pipe) = 0;
    // The item was not even announced.
    virtual void failed(std::size_t item, const error& why) = 0;

    // ---- For a further attempt, when the connection of the one before is gone ----

    virtual bool has_result(std::size_t item) const = 0;
    // All of it was sent, and the answer was lost.
    virtual bool may_have_arrived(std::size_t item) const = 0;
    // The item cannot be sent again, and gets its result now. `why` is told behind why it was cut off.
    virtual void give_up(std::size_t item, const std::string& why) = 0;
};

// Brings a plan's items over exchanges, one exchange after the other until all have a result.
// Used by one thread at a time.
class item_sender {
public:
    // What is referred to outlives it. The plan may grow at its end between calls.
    item_sender(const sending_plan& plan, item_results& results, resuming resume, repeats repeat)
        : plan_(plan), results_(results), resume_(resume), repeat_(repeat) {}

    // Sends every item from `first` on that has no result and no problem. Throws as exchange::send().
    void send(exchange& over, std::size_t first = 0);

    bool has_anything_left(std::size_t first = 0) const;
    // Before another attempt: what cannot be had again gets its result.
    void give_up_what_cannot_be_read_again();
    bool resumes() const noexcept { return resume_ == resuming::wanted; }

private:
    struct waiting {
        std::size_t item;
        transfer_id id;
        std::shared_ptr<source> from;
    };
    // What an item is offered as, again and again.
    struct offered_delivery {
        std::optional<delivery_id> id;
        offer what;
        timespec changed{};
    };

    bool wants_resume(const planned_item& item) const;
    std::optional<waiting> announce(exchange& over, std::size_t index);
    delivery_attempt attempt_at(std::size_t index, const source& from);

    const sending_plan& plan_;
    item_results& results_;
    const resuming resume_;
    const repeats repeat_;
    std::vector<offered_delivery> deliveries_;  // by item
    std::shared_ptr<pipe_source> pipe_;         // standard input, once it is announced
    std::size_t pipe_item_ = 0;
};

}  // namespace wherry
