#pragma once

#include <cstddef>
#include <ctime>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "application.hpp"
#include "send_report.hpp"
#include "wherry/exchange.hpp"
#include "wherry/sources.hpp"

namespace wherry::app {

// Whether items are offered so that a receiver recognises one that it was offered before.
enum class repeats { no, possible };

// Brings a plan's items over exchanges, one exchange after the other until all have a result.
// Used by one thread at a time.
class item_sender {
public:
    // What is referred to outlives it. The plan may grow at its end between calls.
    item_sender(application& with, const effective_options& options, const sending_plan& plan, send_report& report,
                repeats repeat)
        : with_(with), options_(options), plan_(plan), report_(report), repeat_(repeat) {}

    // Sends every item from `first` on that has no result and no problem. Results come later, to the report.
    // Throws as exchange::send().
    void send(exchange& over, std::size_t first = 0);

    bool has_anything_left(std::size_t first = 0) const;
    // Before another attempt: what cannot be had again gets its result.
    void give_up_what_cannot_be_read_again();
    bool resumes() const;

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

    application& with_;
    const effective_options& options_;
    const sending_plan& plan_;
    send_report& report_;
    const repeats repeat_;
    std::vector<offered_delivery> deliveries_;  // by item
    std::shared_ptr<pipe_source> pipe_;         // standard input, once it is announced
    std::size_t pipe_item_ = 0;
};

}  // namespace wherry::app
