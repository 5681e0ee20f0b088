// SPDX-License-Identifier: BSD-2-Clause
#include "incoming.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>
#include <vector>

#include "answer.hpp"
#include "sink_call.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::size_t read_back_bytes = std::size_t{256} << 10;
using clocks::descriptor_retry_interval;
using clocks::descriptor_timeout;

// As much as zstd expands at a time.
constexpr std::size_t expanded_piece_bytes = std::size_t{128} << 10;

error unfinished_compression() {
    return error(errc::protocol, "the peer's compressed content breaks off before its end");
}

}  // namespace

incoming_transfers::incoming_transfers(secure_channel& channel, sink& sink, link_writer& writer, receiving_gate& gate,
                                       const engine::receiver_options& options)
    : channel_(channel),
      sink_(sink),
      writer_(writer),
      gate_(gate),
      deliveries_(options.deliveries),
      reserve_(options.reserve),
      number_(deliveries_ ? deliveries_->new_connection() : 0),
      heard_(std::make_shared<last_heard>(std::chrono::steady_clock::now())),
      answers_(writer.make_small_record()),
      offered_(channel.side()),
      check_(channel.peer(), options.verify),
      finisher_(channel, writer, gate, state_, check_) {}

incoming_transfers::~incoming_transfers() { drop_all(error(errc::disconnected, "the connection was closed")); }

void incoming_transfers::drain() noexcept {
    state_.drain();
    if (deliveries_) deliveries_->look_again();
}

void incoming_transfers::give_up() noexcept {
    state_.give_up();
    if (deliveries_) deliveries_->look_again();
}

drain_state::hold incoming_transfers::begin_record() {
    expanded_in_record_ = 0;
    is_record_welcome_ = false;
    return drain_state::hold(state_);
}

void incoming_transfers::flush() {
    open_what_was_postponed();
    writer_.transmit(answers_);
    if (!open_.empty()) return;
    spare_decompressor_.reset();
    expanded_.reset();
}

// Throws if the peer is not welcome any more. Checks once for a whole record, because all of it came at one time.
void incoming_transfers::require_welcome() {
    if (is_record_welcome_) return;
    if (const auto objection = check_.find_objection()) throw *objection;
    is_record_welcome_ = true;
}

drain_state::hold incoming_transfers::admit() {
    drain_state::hold admitted(state_);
    if (state_.is_draining()) throw shutting_down();
    if (open_.size() + postponed_.size() >= limits::max_open_transfers)
        throw error(errc::exhausted, "too many transfers are open on this connection");
    return admitted;
}

// The transfer that a frame is about; null if it has ended already, for frames that were on their way then.
incoming_transfers::transfer* incoming_transfers::find(const frame& about) {
    const auto postponed =
        std::find_if(postponed_.begin(), postponed_.end(), [&](const auto& one) { return one.id == about.transfer; });
    if (postponed != postponed_.end()) open_postponed(postponed);
    if (const auto found = open_.find(about.transfer); found != open_.end()) return &found->second;
    offered_.require(about);
    return nullptr;
}

void incoming_transfers::on_offer(const frame& got) {
    offered_.add(got);
    transfer item;
    offer_frame offered;
    try {
        offered = decode_offer(got.payload);
    } catch (const error& e) {
        if (e.code() == errc::protocol) throw;
        return refuse(got.transfer, item, e);
    }
    item.what = offered.what;
    try {
        require_welcome();
        item.admitted = admit();
    } catch (const error& e) {
        return refuse(got.transfer, item, e);
    }
    if (!must_be_postponed(item.what)) return open(got.transfer, std::move(item), offered);
    postponed_.push_back({got.transfer, std::move(item), std::move(offered), clock::now()});
}

void incoming_transfers::open(transfer_id id, transfer item, const offer_frame& offered) {
    std::optional<accept_frame> proposal;
    try {
        if (const auto earlier = claim(item, offered)) {
            delivery_result again;
            again.failure = earlier->failure;
            again.text = earlier->text;
            again.outcome = earlier->outcome;
            again.response = earlier->response;
            return put_answer(writer_, answers_, id, again);
        }
        begin(item);
        if (const auto stored = stored_before(item)) {
            gate_.tell([&](auto& observer) { observer.delivered(id, item.what, *stored); });
            return put_answer(writer_, answers_, id, *stored);
        }
        if (offered.digest == digest_kind::sha256) item.digest.emplace();
        item.compression = offered.compression;
        if (offered.what.wants_resume) proposal = propose_offset(item);
    } catch (const error& e) {
        // What was there before stays, unless it was just found to be no good.
        const bool may_go_on = item.what.wants_resume && e.code() == errc::disconnected;
        if (item.delivery) item.delivery->abort(may_go_on ? delivery::partial::keep : delivery::partial::drop);
        return refuse(id, item, e);
    }
    auto& begun = open_.emplace(id, std::move(item)).first->second;
    // From here on what is there is kept if the link fails, this answer's writing included.
    if (proposal) writer_.put(answers_, frame_type::accept, 0, id, encode(*proposal));
    if (begun.awaits_confirmation) return;
    gate_.tell([&](auto& observer) { observer.receiving(id, begun.what, begun.resumed_from); });
}

// Whether to delay the answer to an offer, because only the reserve is left. A sender that announces files ahead waits
// for each answer. While nothing is open, the oldest delayed offer is opened, so each sender can continue with one
// file.
bool incoming_transfers::must_be_postponed(const offer& what) const noexcept {
    if (!what.wants_resume || !reserve_) return false;
    return !postponed_.empty() || (!open_.empty() && reserve_->free_beyond_reserve() == 0);
}

void incoming_transfers::open_postponed(std::deque<postponed_offer>::iterator which) {
    auto one = std::move(*which);
    postponed_.erase(which);
    open(one.id, std::move(one.item), one.offered);
}

void incoming_transfers::open_what_was_postponed() {
    while (!postponed_.empty()) {
        // A sender that waits for all answers sends PING meanwhile, so this code runs again.
        const bool has_waited = clock::now() - postponed_.front().since >= descriptor_timeout;
        if (!open_.empty() && !has_waited && reserve_->free_beyond_reserve() == 0) return;
        open_postponed(postponed_.begin());
    }
}

// Makes sure that no other connection works on what is offered; or tells how it ended before.
std::optional<earlier_result> incoming_transfers::claim(transfer& item, const offer_frame& offered) {
    if (!deliveries_) {
        item.delivery = std::make_unique<claimed_delivery>();
        return std::nullopt;
    }
    auto claimed = deliveries_->take({number_, channel_.link(), heard_, channel_.peer(),
                                      channel_.timing().ping_interval, [this] { return state_.must_stop(); }, living_},
                                     offered);
    item.delivery = std::move(claimed.delivery);
    return claimed.earlier;
}

void incoming_transfers::peer_took_leave() {
    if (!open_.empty() || !postponed_.empty())
        throw error(errc::protocol, "the peer took leave in the middle of a transfer");
    finisher_.wait();
    if (deliveries_) deliveries_->forget(number_, channel_.peer());
}

// Without free descriptors, the deliveries that have come whole over this connection are finished first. A connection
// with no such delivery uses the reserve, so that no two connections wait for each other.
void incoming_transfers::begin(transfer& item) {
    std::optional<clock::time_point> until;
    for (;;) {
        const auto taking = reserve_ ? reserve_->take_few() : std::nullopt;
        const bool may_wait = finisher_.unanswered() > 0;
        try {
            if (taking || !reserve_ || !may_wait) {
                item.delivery->begin([&] {
                    return call_sink([&] {
                        return sink_.begin(item.what, {channel_.peer_address(), channel_.peer()});
                    });
                });
                break;
            }
        } catch (const error& e) {
            if (!is_out_of_descriptors(e)) throw;
            if (!until) until = clock::now() + descriptor_timeout;
            if (!may_wait && clock::now() >= *until) throw;
        }
        await_descriptors();
    }
    item.resumed_from = item.have = item.delivery->offset();
    const auto most = item.what.wants_resume ? item.what.size.value_or(item.have) : 0;
    if (item.have > most) throw error(errc::internal, "the sink resumes from where it cannot");
}

// The answer of a sink that remembers more than this process does.
std::optional<delivery_result> incoming_transfers::stored_before(transfer& item) {
    collected_response answer;
    if (!item.what.id || !call_sink([&] { return item.delivery->already(answer); })) return std::nullopt;
    delivery_result result;
    result.outcome = std::move(answer.outcome);
    result.response = std::move(answer.bytes);
    return result;
}

// Waits until a delivery of this connection has ended, or for a short time, because another connection's may have.
void incoming_transfers::await_descriptors() {
    if (state_.must_stop()) throw shutting_down();
    writer_.transmit(answers_);
    finisher_.await_one(descriptor_retry_interval);
}

// Says what is there already, with its digest, which the sender compares with that of its source.
accept_frame incoming_transfers::propose_offset(transfer& item) {
    accept_frame proposal{item.have, std::nullopt};
    if (item.have > 0) {
        // What was answered before shall not wait for the reading, which may take long.
        writer_.transmit(answers_);
        content_digest prefix;
        std::vector<std::byte> piece(read_back_bytes);
        for (std::uint64_t position = 0; position < item.have;) {
            // It may be a long read.
            if (state_.must_stop()) throw shutting_down();
            const auto wanted = mutable_bytes(piece).first(std::min<std::uint64_t>(piece.size(), item.have - position));
            const auto got = call_sink([&] { return item.delivery->read_back(position, wanted); });
            if (got == 0) throw error(errc::io, "what is left of an earlier transfer has become shorter");
            prefix.update(const_bytes(piece).first(got));
            position += got;
        }
        proposal.prefix = prefix.value();
        item.awaits_confirmation = true;
        if (item.digest) item.digest = std::move(prefix);
    }
    return proposal;
}

void incoming_transfers::on_confirmation(const frame& got) {
    const auto content = decode_accept(got.payload);
    transfer* const item = find(got);
    if (!item) return;
    if (!item->awaits_confirmation || (content.offset != 0 && content.offset != item->have))
        throw error(errc::protocol, "the peer goes on from an offset that was not proposed");
    item->awaits_confirmation = false;
    try {
        if (content.offset == 0) start_over(*item);
    } catch (const error& e) {
        return end_with(got.transfer, e);
    }
    gate_.tell([&](auto& observer) { observer.receiving(got.transfer, item->what, item->resumed_from); });
}

// The source has changed since: what is there is worthless.
void incoming_transfers::start_over(transfer& item) {
    // A sink may have a whole file, and a part of another attempt besides.
    for (int tries = 0; tries == 0 || item.have != 0; ++tries) {
        if (tries == 3) throw error(errc::internal, "the sink kept what it was told to drop");
        item.delivery->drop();
        begin(item);
    }
    if (item.digest) item.digest.emplace();
}

void incoming_transfers::on_data(const frame& got) {
    transfer* const item = find(got);
    if (!item) return;
    if (item->awaits_confirmation) throw error(errc::protocol, "the peer sends content before it agreed on the offset");
    try {
        if (item->decompressing) throw unfinished_compression();
        store(*item, got.payload);
    } catch (const error& e) {
        return end_with(got.transfer, e);
    }
    item->on_link += got.payload.size();
    gate_.tell([&](auto& observer) { observer.received_so_far(got.transfer, item->have); });
}

void incoming_transfers::store(transfer& item, const_bytes content) {
    if (item.what.size && content.size() > *item.what.size - item.have)
        throw error(errc::integrity, "more came than the sender had offered");
    call_sink([&] { item.delivery->write(content); });
    if (item.digest) item.digest->update(content);
    item.have += content.size();
}

void incoming_transfers::on_compressed_data(const frame& got) {
    transfer* const item = find(got);
    if (!item) return;
    if (item->awaits_confirmation) throw error(errc::protocol, "the peer sends content before it agreed on the offset");
    if (item->compression == compression_kind::none)
        throw error(errc::protocol, "the peer compresses what it did not offer so");
    item->on_link += got.payload.size();
    try {
        expand(*item, got.payload);
    } catch (const error& e) {
        // Of a peer that does this the other transfers are no better.
        if (expanded_in_record_ > limits::max_expanded_record_bytes) throw;
        return end_with(got.transfer, e);
    }
    gate_.tell([&](auto& observer) { observer.received_so_far(got.transfer, item->have); });
}

// Piece by piece, so that nobody can make this side hold more, or store more than was offered, or be busy for long.
void incoming_transfers::expand(transfer& item, const_bytes payload) {
    if (!item.decompressing) {
        const auto open =
            std::count_if(open_.begin(), open_.end(), [](const auto& t) { return !!t.second.decompressing; });
        if (static_cast<std::size_t>(open) >= limits::max_open_decompressors)
            throw error(errc::exhausted, "too many transfers are in the middle of compressed content");
        item.decompressing = spare_decompressor_ ? std::move(spare_decompressor_) : std::make_unique<decompressor>();
    }
    if (!expanded_) expanded_ = std::make_unique_for_overwrite<std::byte[]>(expanded_piece_bytes);
    item.decompressing->decompress(payload, {expanded_.get(), expanded_piece_bytes}, [&](const_bytes piece) {
        expanded_in_record_ += piece.size();
        if (expanded_in_record_ > limits::max_expanded_record_bytes)
            throw error(errc::protocol, "the peer's record expands to more than 8 MiB");
        store(item, piece);
    });
    if (!item.decompressing->is_open()) spare_decompressor_ = std::move(item.decompressing);
}

// How far it came.
void incoming_transfers::put_counts(delivery_result& result, const transfer& item) {
    result.bytes = item.have - item.resumed_from;
    result.bytes_on_link = item.on_link;
    result.resumed_from = item.resumed_from;
}

void incoming_transfers::on_end(const frame& got) {
    const auto content = decode_end(got.payload);
    transfer* const item = find(got);
    if (!item) return;
    if (item->awaits_confirmation)
        throw error(errc::protocol, "the peer ends a transfer before it agreed on the offset");
    try {
        if (item->decompressing) throw unfinished_compression();
        if (content.size != item->have || (item->what.size && *item->what.size != item->have))
            throw error(errc::integrity, "the content is not as long as the sender had offered");
        if (content.digest && !item->digest)
            throw error(errc::integrity,
                        "the sender's digest was not announced with the offer, so that it cannot be compared");
        if (item->digest && (!content.digest || *content.digest != item->digest->value()))
            throw error(errc::integrity, "the content does not match the sender's digest");
        if (item->delivery->finishes_at_once()) require_welcome();
    } catch (const error& e) {
        return end_with(got.transfer, e);
    }
    auto whole = std::move(open_.extract(got.transfer).mapped());
    ended_delivery ended{got.transfer, std::move(whole.what), std::move(whole.admitted), std::move(whole.delivery), {}};
    put_counts(ended.result, whole);
    if (!ended.delivery->finishes_at_once()) return finisher_.post(std::move(ended));
    finisher_.finish_now(ended);
    put_answer(writer_, answers_, ended.id, ended.result);
}

void incoming_transfers::on_cancel(const frame& got) {
    const auto content = decode_result(got.payload);
    transfer* const item = find(got);
    if (!item) return;
    const auto code = content.failure.value_or(errc::cancelled);
    // A sender that was interrupted may go on later; one whose source failed has nothing to go on from.
    const bool may_go_on = code == errc::cancelled && item->what.wants_resume;
    item->delivery->abort(may_go_on ? delivery::partial::keep : delivery::partial::drop);
    const auto ended = open_.extract(got.transfer);
    delivery_result result = failed(error(code, content.text.empty() ? "the sender cancelled it" : content.text));
    result.is_remote = true;
    put_counts(result, ended.mapped());
    gate_.tell([&](auto& observer) { observer.delivered(got.transfer, ended.mapped().what, result); });
}

// An offer that never became a transfer.
void incoming_transfers::refuse(transfer_id id, const transfer& item, const error& why) {
    const auto result = failed(why);
    gate_.tell([&](auto& observer) { observer.delivered(id, item.what, result); });
    put_answer(writer_, answers_, id, result);
}

// A transfer failed on this side: nothing of it is left, and both sides are told.
void incoming_transfers::end_with(transfer_id id, const error& why) {
    const auto ended = open_.extract(id);
    if (ended.mapped().delivery) ended.mapped().delivery->abort(delivery::partial::drop);
    auto result = failed(why);
    put_counts(result, ended.mapped());
    gate_.tell([&](auto& observer) { observer.delivered(id, ended.mapped().what, result); });
    put_answer(writer_, answers_, id, result);
}

void incoming_transfers::drop_all(const error& why) noexcept {
    std::vector<transfer_id> damaged;
    if (why.code() == errc::integrity) damaged = unanswered();
    for (auto& one : std::exchange(postponed_, {}))
        gate_.tell([&](auto& observer) { observer.delivered(one.id, one.item.what, failed(why)); });
    for (auto& [id, item] : std::exchange(open_, {})) {
        // Only what was verified has been written, so it is good to go on from.
        if (item.delivery)
            item.delivery->abort(item.what.wants_resume ? delivery::partial::keep : delivery::partial::drop);
        auto result = failed(why);
        put_counts(result, item);
        gate_.tell([&, id = id, &item = item](auto& observer) { observer.delivered(id, item.what, result); });
    }
    finisher_.wait();
    // Behind the answers to what has come whole: the last one says why the connection ends.
    tell_damage(damaged);
}

// Empty if there is no memory to tell more.
std::vector<transfer_id> incoming_transfers::unanswered() const noexcept {
    try {
        std::vector<transfer_id> all;
        for (const auto& one : postponed_) all.push_back(one.id);
        for (const auto& one : open_) all.push_back(one.first);
        return all;
    } catch (const std::bad_alloc&) {
        return {};
    }
}

// The cipher may refuse to seal after what it could not open; the sender then finds the connection closed.
void incoming_transfers::tell_damage(std::span<const transfer_id> damaged) noexcept {
    if (damaged.empty()) return;
    try {
        for (const auto id : damaged) put_answer(writer_, answers_, id, failed(damaged_on_the_way()));
        writer_.transmit(answers_);
    } catch (const std::exception&) {
        // The reader's failure is the one to report.
    }
}

}  // namespace wherry
