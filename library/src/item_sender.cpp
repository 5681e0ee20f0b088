// SPDX-License-Identifier: BSD-2-Clause
#include "item_sender.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <deque>
#include <utility>

namespace wherry {

namespace {

// Below this, to begin anew costs less than to ask how much the receiver has, where it is not likely to have all.
constexpr std::uint64_t least_bytes_to_resume = std::uint64_t{1} << 20;
// Items announced before their turn, so that none waits for the receiver's answer to its own offer. More of them where
// small ones are, too; a receiver lets 64 be open.
constexpr std::size_t announced_ahead = 16;
constexpr std::size_t announced_ahead_to_update = 48;
// How far behind the current item those may be.
constexpr std::size_t looked_ahead = 1024;

// Each announced item keeps its file open: they use at most an eighth of the limit of descriptors.
std::size_t most_announced_ahead(updating update) {
    const auto most = update == updating::wanted ? announced_ahead_to_update : announced_ahead;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return most;
    return static_cast<std::size_t>(std::clamp<rlim_t>(limit.rlim_cur / 8, 1, most));
}

}  // namespace

bool item_sender::wants_resume(const planned_item& item) const {
    const std::uint64_t least = update_ == updating::wanted ? 1 : least_bytes_to_resume;
    return resumes() && item.kind == item_kind::file && item.size >= least;
}

bool item_sender::has_anything_left(std::size_t first) const {
    for (auto i = first; i < plan_.items.size(); ++i)
        if (!results_.has_result(i)) return true;
    return false;
}

void item_sender::give_up_what_cannot_be_read_again() {
    if (!pipe_ || !pipe_->has_begun()) return;
    results_.give_up(pipe_item_, "what was read from standard input cannot be read again, so it is not sent again");
}

// Opens and announces; nothing if it failed, which was told then.
std::optional<item_sender::waiting> item_sender::announce(engine::sender& link, std::size_t index) {
    const auto& item = plan_.items[index];
    std::shared_ptr<source> content;
    try {
        content = open_item(item, wants_resume(item) ? resuming::wanted : resuming::no);
    } catch (const error& e) {
        results_.failed(index, e);
        return std::nullopt;
    }
    auto pipe = std::dynamic_pointer_cast<pipe_source>(content);
    if (pipe) {
        pipe_ = pipe;
        pipe_item_ = index;
    }
    const auto id = link.announce(*content, attempt_at(index, *content));
    results_.bind(id, index, std::move(pipe));
    return waiting{index, id, std::move(content)};
}

// Without further attempts a receiver need not remember anything.
delivery_attempt item_sender::attempt_at(std::size_t index, const source& content) {
    if (repeat_ == repeats::no) return {};
    if (deliveries_.size() <= index) deliveries_.resize(plan_.items.size());
    auto& delivery = deliveries_[index];
    file_time changed;
    if (const auto* const file = dynamic_cast<const file_source*>(&content)) changed = file->changed();
    // Whether it is to be resumed makes no other delivery of it.
    auto what = content.what();
    what.wants_resume = false;
    const bool is_same = delivery.id && delivery.what == what && delivery.changed == changed;
    // What has changed since is another delivery, even if the one before has arrived.
    if (!is_same) delivery = {make_delivery_id(), std::move(what), changed};
    return {delivery.id, is_same && results_.may_have_arrived(index)};
}

void item_sender::send(engine::sender& link, std::size_t first) {
    const auto& items = plan_.items;
    const auto most_ahead = most_announced_ahead(update_);
    std::deque<waiting> queue;
    std::size_t next_to_announce = first;
    for (auto i = first; i < items.size(); ++i) {
        std::optional<waiting> current;
        const auto take_announced = [&] {
            if (queue.empty() || queue.front().item != i) return;
            current = std::move(queue.front());
            queue.pop_front();
        };
        // Also if it has its result before its turn, for the next item must be the first then.
        take_announced();
        if (items[i].problem || results_.has_result(i)) continue;
        next_to_announce = std::max(next_to_announce, i);
        for (; next_to_announce < items.size() && next_to_announce < i + looked_ahead && queue.size() < most_ahead;
             ++next_to_announce) {
            if (items[next_to_announce].problem || results_.has_result(next_to_announce) ||
                !wants_resume(items[next_to_announce]))
                continue;
            if (auto announced = announce(link, next_to_announce)) queue.push_back(std::move(*announced));
        }
        if (!current) take_announced();
        if (!current && !wants_resume(items[i])) current = announce(link, i);
        if (current) link.send(current->id, *current->content);
    }
}

}  // namespace wherry
