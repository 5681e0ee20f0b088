// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <ctime>
#include <memory>
#include <optional>
#include <vector>

#include "result_book.hpp"
#include "wherry/engine/sender.hpp"
#include "wherry/send_options.hpp"
#include "wherry/sources.hpp"

namespace wherry {

// Whether items are offered so that a receiver recognises one that it was offered before.
enum class repeats { no, possible };

// Gives a plan's items to senders, one sender after the other until all have a result.
// Used by one thread at a time.
class item_sender {
public:
    // What is referred to outlives it. The plan may grow at its end between calls.
    item_sender(const sending_plan& plan, result_book& results, resuming resume, updating update, repeats repeat)
        : plan_(plan), results_(results), resume_(resume), update_(update), repeat_(repeat) {}

    // Sends every item from `first` on that has no result and no problem. Throws as engine::sender::send().
    void send(engine::sender& link, std::size_t first = 0);

    bool has_anything_left(std::size_t first = 0) const;
    // Another attempt follows: asks of every file whether the receiver has it, as `update` does.
    void begin_again() noexcept { update_ = updating::wanted; }
    // Before another attempt: what cannot be had again gets its result.
    void give_up_what_cannot_be_read_again();
    bool resumes() const noexcept { return resume_ == resuming::wanted; }

private:
    struct waiting {
        std::size_t item;
        transfer_id id;
        std::shared_ptr<source> content;
    };
    // What an item is offered as, again and again.
    struct offered_delivery {
        std::optional<delivery_id> id;
        offer what;
        file_time changed;
    };

    bool wants_resume(const planned_item& item) const;
    std::optional<waiting> announce(engine::sender& link, std::size_t index);
    delivery_attempt attempt_at(std::size_t index, const source& content);

    const sending_plan& plan_;
    result_book& results_;
    const resuming resume_;
    updating update_;
    const repeats repeat_;
    std::vector<offered_delivery> deliveries_;  // by item
    std::shared_ptr<pipe_source> pipe_;         // standard input, once it is announced
    std::size_t pipe_item_ = 0;
};

}  // namespace wherry
