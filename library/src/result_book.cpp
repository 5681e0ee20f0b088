// SPDX-License-Identifier: BSD-2-Clause
#include "result_book.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "wherry/retry.hpp"

namespace wherry {

namespace {

offer as_offer(const planned_item& item) {
    offer what;
    what.kind = item.kind;
    what.name = item.name;
    return what;
}

// What this side tells of an item that was under way is the item's own only if it concerns its source.
failure_scope scope_of(const delivery_result& result) {
    if (result.is_remote || !result.failure) return failure_scope::item;
    switch (*result.failure) {
        case errc::auth_failed:
        case errc::disconnected:
        case errc::timed_out:
        case errc::integrity:
        case errc::protocol:
        case errc::cancelled: return failure_scope::connection;
        default: return failure_scope::item;
    }
}

}  // namespace

result_book::result_book(const sending_plan& plan, send_observer& observer,
                         const std::function<void(const send_progress&)>& progress, attempts planned,
                         std::vector<item_result>* failures)
    : plan_(plan),
      observer_(observer),
      progress_(progress),
      holds_back_(planned == attempts::several),
      failures_(failures) {}

void result_book::plan_has_grown() {
    std::size_t first = 0;
    {
        const mutex_lock lock(mutex_);
        first = has_result_.size();
        has_result_.resize(plan_.items.size());
    }
    for (auto item = first; item < plan_.items.size(); ++item)
        if (const auto& problem = plan_.items[item].problem) failed(item, *problem);
}

void result_book::bind(transfer_id id, std::size_t item, std::shared_ptr<pipe_source> pipe) {
    if (pipe) observer_.reading_pipe(item);
    std::map<transfer_id, answer>::node_type early;
    {
        const mutex_lock lock(mutex_);
        early = early_.extract(id);
        if (early.empty()) {
            if (pipe && is_to_stop_) pipe->stop(errc::cancelled);
            active_[id] = {item, std::move(pipe)};
            return;
        }
        if (pipe) pipe->stop(errc::io);
    }
    settle(item, id, early.mapped().what, early.mapped().result);
}

void result_book::failed(std::size_t item, const error& why) { fail(item, why, failure_scope::item); }

bool result_book::has_result(std::size_t item) const {
    const mutex_lock lock(mutex_);
    return has_result_[item];
}

bool result_book::may_have_arrived(std::size_t item) const {
    const mutex_lock lock(mutex_);
    const auto found = held_.find(item);
    return found != held_.end() && found->second.result.is_uncertain;
}

void result_book::give_up(std::size_t item, const std::string& why) {
    std::map<std::size_t, held_result>::node_type held;
    {
        const mutex_lock lock(mutex_);
        held = held_.extract(item);
    }
    if (held.empty()) return;
    auto& [id, what, result] = held.mapped();
    result.text += "; " + why;
    observer_.withdrawn(id);
    tell({item, id, what, failure_scope::item}, result);
}

void result_book::sending(transfer_id id, const offer& what, std::uint64_t resumed_from) {
    std::size_t item = 0;
    {
        const mutex_lock lock(mutex_);
        const auto found = active_.find(id);
        if (found == active_.end()) return;  // refused already
        item = found->second.item;
        if (resumed_from > 0) {
            auto& furthest = furthest_[item];
            has_progressed_ = has_progressed_ || resumed_from > furthest;
            furthest = std::max(furthest, resumed_from);
        }
        if (progress_) {
            found->second.what = what;
            progress_({item, what, resumed_from});
        }
    }
    observer_.sending(item, id, what, resumed_from);
}

void result_book::sent_so_far(transfer_id id, std::uint64_t bytes) {
    observer_.sent_so_far(id, bytes);
    if (!progress_) return;
    const mutex_lock lock(mutex_);
    const auto found = active_.find(id);
    if (found != active_.end()) progress_({found->second.item, found->second.what, bytes});
}

void result_book::answered(transfer_id id, const offer& what, const delivery_result& result) {
    std::size_t item = 0;
    {
        const mutex_lock lock(mutex_);
        const auto found = active_.find(id);
        if (found == active_.end()) {
            early_[id] = {what, result};
            return;
        }
        item = found->second.item;
        if (found->second.pipe) found->second.pipe->stop(errc::io);
        active_.erase(found);
    }
    settle(item, id, what, result);
}

void result_book::streams(std::size_t joined, std::size_t wanted, const std::string& why_fewer) {
    observer_.streams(joined, wanted, why_fewer);
}

void result_book::stop_reading() noexcept {
    const mutex_lock lock(mutex_);
    is_to_stop_ = true;
    for (const auto& [id, moving] : active_)
        if (moving.pipe) moving.pipe->stop(errc::cancelled);
}

bool result_book::made_progress() {
    const mutex_lock lock(mutex_);
    return std::exchange(has_progressed_, false);
}

void result_book::begin_again() {
    const mutex_lock lock(mutex_);
    active_.clear();
    early_.clear();
}

std::optional<error> result_book::first_cut() const {
    const mutex_lock lock(mutex_);
    if (held_.empty()) return std::nullopt;
    auto first = std::find_if(held_.begin(), held_.end(), [](const auto& one) {
        return is_cut_off(*one.second.result.failure, one.second.result.is_remote);
    });
    if (first == held_.end()) first = held_.begin();
    const auto& result = first->second.result;
    return error(*result.failure, result.is_remote ? fmt::format("the receiver says: {}", result.text) : result.text);
}

void result_book::abandon_rest(const error& why) {
    for (std::size_t item = 0; item < plan_.items.size(); ++item) {
        std::map<std::size_t, held_result>::node_type held;
        {
            const mutex_lock lock(mutex_);
            // A plan that has just grown may have items that are not in the book yet.
            if (item >= has_result_.size()) has_result_.resize(plan_.items.size());
            if (has_result_[item]) continue;
            held = held_.extract(item);
        }
        if (!held.empty()) {
            const auto& [id, what, result] = held.mapped();
            tell({item, id, what, scope_of(result)}, result);
            continue;
        }
        const auto& own = plan_.items[item].problem;
        fail(item, own ? *own : why, own ? failure_scope::item : failure_scope::connection);
    }
}

bool result_book::has_any_answer() const {
    const mutex_lock lock(mutex_);
    return has_any_answer_;
}

send_counts result_book::counts() const {
    const mutex_lock lock(mutex_);
    return counts_;
}

void result_book::settle(std::size_t item, transfer_id id, const offer& what, const delivery_result& result) {
    auto known = result;
    // What an earlier attempt may have delivered stays so, however later ones end.
    if (!result.ok() && may_have_arrived(item)) known.is_uncertain = true;
    const bool is_cut = !result.ok() && is_cut_off(*result.failure, result.is_remote);
    const bool is_full = !result.ok() && holds_back_ && is_out_of_room(*result.failure, result.is_remote);
    if (!is_cut && !is_full) return tell({item, id, what, scope_of(result)}, known);
    if (is_full) observer_.withdrawn(id);
    const mutex_lock lock(mutex_);
    held_[item] = {id, what, known};
}

void result_book::fail(std::size_t item, const error& why, failure_scope scope) {
    delivery_result result;
    result.failure = why.code();
    result.text = why.what();
    // That it cannot be sent again takes nothing back of an earlier attempt.
    result.is_uncertain = may_have_arrived(item);
    tell({item, std::nullopt, as_offer(plan_.items[item]), scope}, result);
}

void result_book::tell(const ended_item& item, const delivery_result& result) {
    {
        const mutex_lock lock(mutex_);
        has_result_[item.index] = true;
        held_.erase(item.index);
        has_progressed_ = true;
        has_any_answer_ = has_any_answer_ || result.ok() || result.is_remote || result.is_uncertain;
        if (result.ok()) {
            ++counts_.delivered;
            if (result.outcome == already_there) ++counts_.already_there;
            counts_.bytes += result.bytes;
            counts_.bytes_on_link += result.bytes_on_link;
        } else {
            ++counts_.failed;
            if (failures_ != nullptr) failures_->emplace_back(item, result);
        }
    }
    observer_.ended(item, result);
}

}  // namespace wherry
