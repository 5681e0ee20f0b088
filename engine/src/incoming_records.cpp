// SPDX-License-Identifier: BSD-2-Clause
#include "incoming_records.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "descriptor_reserve.hpp"
#include "wherry/clocks.hpp"
#include "wherry/limits.hpp"

namespace wherry {

namespace {

// A first record longer than this, without what sealing adds, holds no JOIN.
constexpr std::size_t max_join_bytes = frame_header_bytes + 128;

}  // namespace

void refuse_out_of_place(frame_type type) {
    if (type == frame_type::join)
        throw error(errc::protocol, "the peer wants to join with a connection that is in use");
    throw error(errc::protocol, "the peer numbers a record that is to have no number, or a second one");
}

incoming_records::incoming_records(secure_channel& channel, link_writer& writer, std::shared_ptr<last_heard> heard,
                                   std::optional<engine::joinable> joinable, const descriptor_reserve* reserve)
    : channel_(channel), writer_(writer), joinable_(joinable), reserve_(reserve), heard_(std::move(heard)) {}

incoming_records::~incoming_records() { close(); }

void incoming_records::begin() {
    if (reader_) return;
    channel_.complete();
    reader_.emplace(channel_.link(), channel_.protection(), channel_.timing().io_timeout, heard_);
}

std::optional<std::uint64_t> incoming_records::find_what_it_joins(const std::function<bool()>& is_drained) {
    begin();
    // A longer record stays unread until next().
    if (!reader_->is_next_short(max_join_bytes + channel_.protection().overhead())) return std::nullopt;
    first_record_ = reader_->next();
    if (!first_record_ || static_cast<frame_type>(first_record_->front()) != frame_type::join) return std::nullopt;
    byte_reader frames(*first_record_, "a record of the peer");
    const auto wish = decode_join(take_frame(frames).payload);
    try {
        if (channel_.side() != role::responder || !joinable_ || is_drained())
            throw error(errc::refused, "nothing can be joined here");
        const auto place = joinable_->registry.redeem(wish.token, channel_.peer());
        joined_lane_ = place.buffer->add(channel_.shared_link());
        joined_ = place.buffer;
        writer_.transmit_unnumbered(frame_type::join, 0, encode(result_frame{std::nullopt, "", {}}));
        return place.number;
    } catch (const error& e) {
        if (!joined_) refuse_join(e);
        throw;
    }
}

void incoming_records::refuse_join(const error& why) {
    try {
        // The same whatever was wrong, so that nobody can find out by trying.
        writer_.transmit_unnumbered(
            frame_type::join, 0,
            encode(result_frame{errc::auth_failed, "there is nothing that this connection may join", {}}));
        writer_.shut_down();
        wherry::await_close(channel_.link());
    } catch (const error&) {
        // The link is gone already.
    }
    throw error(why.code(), fmt::format("a further connection was not let join: {}", why.what()));
}

void incoming_records::read_joined() { joined_->read(*joined_lane_, *reader_); }

std::optional<const_bytes> incoming_records::next() {
    begin();
    if (first_record_) return std::exchange(first_record_, std::nullopt);
    if (merged_) return merged_->next();
    const auto record = reader_->next();
    return record && are_numbered_ ? in_order(*record) : record;
}

// Removes the number, which must be the next: a single connection keeps the order.
const_bytes incoming_records::in_order(const_bytes record) {
    const auto numbered = take_order(record);
    if (!numbered) {
        require_only_pings(record);
        return {};
    }
    if (numbered->number != next_number_++)
        throw error(errc::protocol, "the peer sent a record with a number that is not the next");
    return numbered->rest;
}

void incoming_records::on_streams(const frame& got) {
    if (channel_.side() == role::initiator)
        throw error(errc::protocol, "the peer grants connections that were not asked for");
    const auto wanted = decode_streams(got.payload);
    if (std::exchange(are_numbered_, true))
        throw error(errc::protocol, "the peer asks for further connections a second time");
    std::size_t count = joinable_ ? std::min<std::size_t>(wanted.count, joinable_->registry.max_streams() - 1) : 0;
    // At most a quarter of the free descriptors, two for each connection.
    if (reserve_) count = std::min(count, reserve_->free_beyond_reserve() / 8);
    streams_frame granted;
    if (count > 0 && start_merging()) {
        granted.count = static_cast<std::uint16_t>(count);
        granted.token = joinable_->registry.grant(merged_, channel_.peer(), count, joinable_->number);
    }
    writer_.transmit_unnumbered(frame_type::streams, 0, encode(granted));
}

// Returns false if there is no thread to be had.
bool incoming_records::start_merging() {
    merged_ = std::make_shared<reorder_buffer>(heard_);
    try {
        first_reader_ = std::jthread([this] {
            try {
                merged_->read(merged_->first(), *reader_);
            } catch (const std::exception&) {
                // next() throws it.
            }
        });
        return true;
    } catch (const std::system_error&) {
        merged_.reset();
        return false;
    }
}

void incoming_records::expect_end() noexcept {
    if (merged_) merged_->expect_end();
}

void incoming_records::await_close(bool has_peer_left) {
    // After the peer's BYE nothing is left unread, so closing causes no reset that would discard the last record.
    if (merged_)
        merged_->wait_for_first(clocks::close_wait);
    else if (!has_peer_left)
        wherry::await_close(channel_.link());
}

void incoming_records::drain() {
    if (merged_) {
        // Unless the first connection itself has failed, its own thread reads it.
        merged_->drop_rest();
        if (!merged_->wait_for_first(clocks::close_wait)) return;
    }
    wherry::await_close(channel_.link());
}

void incoming_records::close() noexcept {
    if (!merged_) return;
    joinable_->registry.withdraw(*merged_);
    merged_->close();
    channel_.link().abort();
    if (first_reader_.joinable()) first_reader_.join();
}

}  // namespace wherry
