// SPDX-License-Identifier: BSD-2-Clause
#include "outgoing.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <limits>
#include <utility>

#include "wherry/as_error.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

// A DATA frame shorter than this is not worth its place at the end of a record.
constexpr std::size_t least_data_bytes = 1024;
constexpr std::size_t prefix_piece_bytes = std::size_t{256} << 10;
using clocks::last_words_wait;

// A failure of one source, or a wish to stop it: it ends its transfer, not the sending.
struct source_failure {
    error why;
};

template <class Call>
auto of_source(Call&& call) {
    try {
        return std::forward<Call>(call)();
    } catch (const std::exception& e) {
        throw source_failure{as_error(e)};
    }
}

error interrupted() { return error(errc::cancelled, "interrupted"); }

error it_grew() { return error(errc::io, "it grew while it was being sent; send it again when nobody writes to it"); }

error no_more_taken() {
    return error(errc::disconnected, "the receiver takes no more (it is shutting down); send the rest again later");
}

}  // namespace

outgoing_transfers::outgoing_transfers(secure_channel& channel, const sender_options& options, link_writer& writer,
                                       sending_gate& gate)
    : channel_(channel),
      options_(options),
      writer_(writer),
      gate_(gate),
      record_(writer.make_bulk_record()),
      encoder_(options.content_compression, writer, record_, [this] { flush(); }),
      next_id_(channel.side() == role::initiator ? 1 : 2) {}

// ---- The thread that sends ----

transfer_id outgoing_transfers::announce(source& item, const delivery_attempt& attempt) {
    const auto& what = item.what();
    if (what.name.size() > limits::max_item_name_bytes)
        throw error(errc::bad_input, "a name of more than 4096 bytes cannot be sent; use a shorter path");
    transfer_id id;
    {
        mutex_lock lock(mutex_);
        const auto is_crowded = [&]() WHERRY_REQUIRES(mutex_) {
            return unanswered_.size() >= limits::max_unanswered_transfers;
        };
        if (is_crowded()) {
            lock.unlock();
            flush();
            lock.lock();
            // One place that is free would be filled at once, and waited for again.
            wake_at_ = limits::max_unanswered_transfers * 3 / 4;
            changed_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) {
                return unanswered_.size() <= wake_at_ || failure_ || is_cancelled_;
            });
            wake_at_ = 0;
        }
        if (failure_) throw *failure_;
        if (is_cancelled_) throw interrupted();
        if (takes_no_more_) throw no_more_taken();
        if (next_id_ > std::numeric_limits<transfer_id>::max() - 2)
            throw error(errc::exhausted, "too many transfers on one connection; connect again for the rest");
        id = std::exchange(next_id_, next_id_ + 2);
        auto& announced = unanswered_[id];
        announced.what = what;
        announced.may_have_arrived = attempt.may_have_arrived;
    }
    const bool wants_digest = options_.content_digest == sender_options::digest::sha256;
    offer_frame offered{what, wants_digest ? digest_kind::sha256 : digest_kind::none, encoder_.offered_for(what)};
    offered.what.id = attempt.id;
    put(frame_type::offer, id, encode(offered));
    return id;
}

void outgoing_transfers::send(transfer_id id, source& item) {
    try {
        send_content(id, item);
    } catch (const source_failure& failure) {
        abandon(id, failure.why);
        // A wish to stop is for all that follows, too.
        if (failure.why.code() == errc::cancelled) throw failure.why;
    }
}

void outgoing_transfers::send_content(transfer_id id, source& item) {
    std::optional<content_digest> digest;
    if (options_.content_digest == sender_options::digest::sha256) digest.emplace();
    std::uint64_t resumed_from = 0;
    if (item.what().wants_resume) {
        const auto agreed = agree_on_offset(id, item, digest);
        if (!agreed) return;
        resumed_from = *agreed;
    }
    gate_.tell([&](auto& observer) { observer.sending(id, item.what(), resumed_from); });

    encoder_.begin(item.what(), resumed_from);
    std::uint64_t position = resumed_from, on_link = 0;
    const auto so_far = [&] { return progress{position - resumed_from, on_link, resumed_from}; };
    bool is_at_end = false;
    for (bool is_wanted = count(id, so_far()); is_wanted; is_wanted = count(id, so_far())) {
        // What a pipe gave must not wait for what it will give.
        if (!record_.fits(least_data_bytes) || item.may_wait()) flush();
        // What goes as it is comes from the source straight into the record.
        const bool is_left_alone = encoder_.leaves_alone();
        const auto room = is_left_alone ? record_.data_room() : encoder_.room();
        const auto got = of_source([&] { return item.read(room); });
        if (got == 0) {
            is_at_end = true;
            break;
        }
        if (item.what().size && *item.what().size - position < got) throw source_failure{it_grew()};
        if (digest) digest->update(room.first(got));
        position += got;
        if (is_left_alone) {
            record_.commit_data(id, got);
            encoder_.left_alone(got);
            on_link += got;
        } else {
            using more = content_encoder::more;
            const auto next = position == item.what().size ? more::no
                              : item.may_wait()            ? more::may_be_long_in_coming
                                                           : more::comes;
            on_link += encoder_.put(id, room.first(got), next);
        }
        gate_.tell([&](auto& observer) { observer.sent_so_far(id, position); });
        if (position == item.what().size) {
            std::array<std::byte, 1> beyond;
            if (item.may_wait()) flush();
            if (of_source([&] { return item.read(beyond); }) != 0) throw source_failure{it_grew()};
            is_at_end = true;
            break;
        }
    }
    if (!is_at_end) return;
    on_link += encoder_.end(id);
    end_frame last{position, std::nullopt};
    if (digest) last.digest = digest->value();
    put(frame_type::end, id, encode(last));
    // Before it is transmitted, so that the answer finds it so.
    count(id, so_far(), content::has_ended);
}

// Throws if nothing more is to be sent.
void outgoing_transfers::require_going_on() const {
    if (failure_) throw *failure_;
    if (is_cancelled_) throw source_failure{interrupted()};
}

// False once it is answered.
bool outgoing_transfers::is_open(transfer_id id) {
    const mutex_lock lock(mutex_);
    require_going_on();
    return unanswered_.contains(id);
}

// The same, for who is further by now.
bool outgoing_transfers::count(transfer_id id, const progress& so_far, content is) {
    const mutex_lock lock(mutex_);
    const auto found = unanswered_.find(id);
    if (found != unanswered_.end()) {
        found->second.so_far = so_far;
        if (is == content::has_ended) found->second.has_ended = true;
    }
    if (is == content::goes_on) require_going_on();
    return found != unanswered_.end();
}

// Waits for ACCEPT, compares what the receiver has with the source, and says from where it goes on. Nothing if the
// transfer was answered instead.
std::optional<std::uint64_t> outgoing_transfers::agree_on_offset(transfer_id id, source& item,
                                                                 std::optional<content_digest>& digest) {
    flush();
    record_.rest();
    accept_frame proposal;
    {
        mutex_lock lock(mutex_);
        wake_at_ = limits::max_unanswered_transfers;
        changed_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) {
            const auto found = unanswered_.find(id);
            return failure_ || is_cancelled_ || found == unanswered_.end() || found->second.accepted;
        });
        wake_at_ = 0;
        if (failure_) throw *failure_;
        if (is_cancelled_) throw source_failure{interrupted()};
        const auto found = unanswered_.find(id);
        if (found == unanswered_.end()) return std::nullopt;
        proposal = *found->second.accepted;
    }
    if (proposal.offset == 0) return 0;
    content_digest prefix;
    const bool is_same = has_prefix(id, item, proposal, prefix);
    const std::uint64_t offset = is_same ? proposal.offset : 0;
    of_source([&] { item.seek(offset); });
    if (is_same && digest) digest = std::move(prefix);
    put(frame_type::accept, id, encode(accept_frame{offset, std::nullopt}));
    return offset;
}

// Whether the source still begins with what the receiver has.
bool outgoing_transfers::has_prefix(transfer_id id, source& item, const accept_frame& accepted,
                                    content_digest& prefix) {
    if (!accepted.prefix || (item.what().size && accepted.offset > *item.what().size)) return false;
    of_source([&] { item.seek(0); });
    std::vector<std::byte> piece(prefix_piece_bytes);
    for (std::uint64_t left = accepted.offset; left > 0;) {
        if (!is_open(id)) return false;
        const auto wanted = mutable_bytes(piece).first(std::min<std::uint64_t>(left, piece.size()));
        const auto got = of_source([&] { return item.read(wanted); });
        if (got == 0) return false;
        prefix.update(wanted.first(got));
        left -= got;
    }
    return prefix.value() == *accepted.prefix;
}

void outgoing_transfers::put(frame_type type, transfer_id id, const_bytes payload) {
    try {
        writer_.put(record_, type, 0, id, payload);
    } catch (const error& e) {
        throw settled(e);
    }
}

void outgoing_transfers::flush() {
    try {
        writer_.transmit(record_);
    } catch (const error& e) {
        throw settled(e);
    }
}

// A write failed. The peer may have said why, and that is the better answer: let the reader get to it.
error outgoing_transfers::settled(const error& write_failure) {
    {
        mutex_lock lock(mutex_);
        changed_.wait_for(lock, last_words_wait,
                          [&]() WHERRY_REQUIRES(mutex_) { return failure_ || has_reader_ended_; });
    }
    fail(write_failure);
    channel_.link().abort();
    const mutex_lock lock(mutex_);
    return *failure_;
}

void outgoing_transfers::finish() {
    {
        mutex_lock lock(mutex_);
        if (!failure_ && !is_cancelled_) {
            lock.unlock();
            flush();
            record_.rest();
            lock.lock();
            changed_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) {
                return (unanswered_.empty() && being_told_ == 0) || failure_ || is_cancelled_;
            });
        }
        if (failure_) throw *failure_;
        if (!is_cancelled_) return;
    }
    abandon_all();
}

// Tells the peer that a transfer goes no further, if it was not answered yet.
void outgoing_transfers::abandon(transfer_id id, const error& why) {
    bool has_ended = false;
    {
        const mutex_lock lock(mutex_);
        const auto found = unanswered_.find(id);
        if (found == unanswered_.end()) return;
        has_ended = found->second.has_ended || found->second.may_have_arrived;
    }
    put(frame_type::cancel, id, encode(result_frame{why.code(), why.what(), {}}));
    auto result = failed(why);
    result.is_uncertain = has_ended;
    conclude(id, std::move(result));
}

void outgoing_transfers::abandon_all() {
    std::vector<transfer_id> pending;
    {
        const mutex_lock lock(mutex_);
        for (const auto& [id, item] : unanswered_) pending.push_back(id);
    }
    for (const auto id : pending) abandon(id, interrupted());
    flush();
}

void outgoing_transfers::wait_until_let_in() {
    mutex_lock lock(mutex_);
    changed_.wait(lock, [&]() WHERRY_REQUIRES(mutex_) { return is_let_in_ || failure_ || is_cancelled_; });
    if (failure_) throw *failure_;
    if (is_cancelled_) throw interrupted();
}

std::optional<error> outgoing_transfers::why_over() {
    const mutex_lock lock(mutex_);
    if (failure_) return failure_;
    if (takes_no_more_) return no_more_taken();
    return std::nullopt;
}

bool outgoing_transfers::await_reader_end(std::chrono::milliseconds time) {
    mutex_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&]() WHERRY_REQUIRES(mutex_) { return has_reader_ended_; });
}

// ---- The thread that reads ----

void outgoing_transfers::let_in() noexcept {
    const mutex_lock lock(mutex_);
    is_let_in_ = true;
    changed_.notify_all();
}

void outgoing_transfers::on_accept(const frame& got) {
    const auto content = decode_accept(got.payload);
    const mutex_lock lock(mutex_);
    const auto found = unanswered_.find(got.transfer);
    if (found == unanswered_.end()) return;
    if (!found->second.what.wants_resume || found->second.accepted)
        throw error(errc::protocol, "the peer answered an offer with an ACCEPT that was not asked for");
    found->second.accepted = content;
    changed_.notify_all();
}

void outgoing_transfers::on_result(const frame& got) {
    auto content = decode_result(got.payload);
    delivery_result result;
    {
        const mutex_lock lock(mutex_);
        const auto found = unanswered_.find(got.transfer);
        if (found == unanswered_.end()) {
            if (got.transfer >= next_id_ || !is_numbered_by(channel_.side(), got.transfer))
                throw error(errc::protocol, "the peer answered a transfer that was never offered");
            return;
        }
        auto& item = found->second;
        if (content.response.size() > limits::max_response_bytes - item.response.size() ||
            content.response.size() > limits::max_unfinished_response_bytes - response_bytes_)
            throw error(errc::protocol, "the peer's response is longer than it may be");
        response_bytes_ += content.response.size();
        item.response.insert(item.response.end(), content.response.begin(), content.response.end());
        if ((got.flags & frame_flag::more) != 0) return;
        // Good news about what was not sent to its end would be a lie, unless it is what an earlier attempt has sent; a
        // receiver that has it does not ask for the rest of it.
        const bool is_repeat = item.may_have_arrived && !item.accepted;
        if (!content.failure && !item.has_ended && !is_repeat)
            throw error(errc::protocol, "the peer confirmed a transfer before its end");
        response_bytes_ -= item.response.size();
        result.response = std::move(item.response);
    }
    // The last answer says why the peer ends the connection; one before others is about its item alone.
    has_heard_of_damage_ = content.failure == errc::integrity;
    result.failure = content.failure;
    result.text = std::move(content.text);
    result.outcome = std::move(content.outcome);
    result.is_remote = true;
    conclude(got.transfer, std::move(result));
}

void outgoing_transfers::peer_took_leave() {
    const mutex_lock lock(mutex_);
    if (!unanswered_.empty()) throw no_more_taken();
    takes_no_more_ = true;
}

void outgoing_transfers::reader_ended() noexcept {
    const mutex_lock lock(mutex_);
    has_reader_ended_ = true;
    changed_.notify_all();
}

// ---- Any thread ----

void outgoing_transfers::put_progress(delivery_result& result, const progress& so_far) noexcept {
    result.bytes = so_far.bytes;
    result.bytes_on_link = so_far.bytes_on_link;
    result.resumed_from = so_far.resumed_from;
}

void outgoing_transfers::conclude(transfer_id id, delivery_result result) {
    std::map<transfer_id, transfer>::node_type ended;
    {
        const mutex_lock lock(mutex_);
        ended = unanswered_.extract(id);
        if (ended.empty()) return;
        ++being_told_;
    }
    put_progress(result, ended.mapped().so_far);
    gate_.tell([&](auto& observer) { observer.answered(id, ended.mapped().what, result); });
    // After it was told, so that finish() returns when everything was.
    const mutex_lock lock(mutex_);
    --being_told_;
    const bool is_all_over = unanswered_.empty() && being_told_ == 0;
    if (wake_at_ == 0 ? is_all_over : unanswered_.size() <= wake_at_) changed_.notify_all();
}

void outgoing_transfers::fail(const error& why) {
    std::map<transfer_id, transfer> unanswered;
    error first = why;
    {
        const mutex_lock lock(mutex_);
        // After a cancel, what becomes of the link is of no account.
        if (!failure_) failure_ = is_cancelled_ ? interrupted() : why;
        first = *failure_;
        unanswered.swap(unanswered_);
        ++being_told_;
    }
    for (auto& [id, item] : unanswered) {
        auto result = failed(first);
        // Who was not let in has delivered nothing, whatever was sent ahead of the answer.
        const bool was_let_in = first.code() != errc::auth_failed && why.code() != errc::auth_failed;
        result.is_uncertain = (item.has_ended && was_let_in) || item.may_have_arrived;
        put_progress(result, item.so_far);
        gate_.tell([&, id = id, &item = item](auto& observer) { observer.answered(id, item.what, result); });
    }
    const mutex_lock lock(mutex_);
    --being_told_;
    changed_.notify_all();
}

void outgoing_transfers::cancel() noexcept {
    const mutex_lock lock(mutex_);
    is_cancelled_ = true;
    changed_.notify_all();
}

bool outgoing_transfers::empty() {
    const mutex_lock lock(mutex_);
    return unanswered_.empty();
}

}  // namespace wherry
