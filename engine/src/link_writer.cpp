// SPDX-License-Identifier: BSD-2-Clause
#include "link_writer.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include "wherry/as_error.hpp"
#include "wherry/limits.hpp"

namespace wherry {

using clock = std::chrono::steady_clock;

namespace {

std::size_t bulk_record_bytes(secure_channel& channel) {
    return std::clamp(channel.link().record_bytes(), limits::min_record_bytes, limits::max_record_bytes);
}

}  // namespace

link_writer::link_writer(secure_channel& channel, numbering how)
    : channel_(channel),
      bulk_bytes_(bulk_record_bytes(channel)),
      spreader_(how == numbering::ordered
                    ? std::make_unique<record_spreader>(bulk_bytes_, channel.protection().overhead())
                    : nullptr),
      last_sent_(clock::now()),
      keepalive_(channel.timing().ping_interval, {.last_written = [this] { return last_sent_.load(); },
                                                  .ping = [this] { transmit_unnumbered(frame_type::ping, 0, {}); },
                                                  .bye = [this] { say_bye(); },
                                                  .cut = [this] { channel_.link().abort(); }}) {}

record_buffer link_writer::make_bulk_record() const {
    return {bulk_bytes_, channel_.protection().overhead(), spreader_ ? numbering::ordered : numbering::none};
}

record_buffer link_writer::make_small_record() const {
    return {limits::min_record_bytes, channel_.protection().overhead(),
            spreader_ ? numbering::ordered : numbering::none};
}

void link_writer::transmit(record_buffer& record) {
    if (record.empty()) return;
    if (spreader_) return transmit_numbered(record);
    const mutex_lock lock(mutex_);
    count(write_locked(record));
}

void link_writer::transmit_numbered(record_buffer& record) {
    if (!spreader_->is_spreading()) {
        const mutex_lock lock(mutex_);
        // Under the lock, so that records go out in the order of their numbers.
        if (spreader_->number_directly(record)) return count(write_locked(record));
    }
    const auto bytes = record.sealed_bytes();
    const auto begin = clock::now();
    spreader_->put(record);
    // Blocked time includes waiting for any of the connections.
    count({bytes, clock::now() - begin});
}

void link_writer::write(record_buffer& record) {
    const mutex_lock lock(mutex_);
    write_locked(record);
}

link_traffic link_writer::write_locked(record_buffer& record) {
    if (const auto earlier = failure()) throw *earlier;
    if (is_shut_down_) throw error(errc::disconnected, "this side has taken leave already");
    try {
        const auto sealed = record.seal(channel_.protection());
        const auto begin = clock::now();
        channel_.link().write_all(sealed);
        const auto end = clock::now();
        last_sent_ = end;
        return {sealed.size(), end - begin};
    } catch (const std::exception& e) {
        const mutex_lock failing(failure_mutex_);
        if (!failure_) failure_ = as_error(e);
        throw;
    }
}

void link_writer::count(const link_traffic& more) noexcept {
    written_bytes_ += more.bytes;
    blocked_ns_ += more.blocked.count();
}

void link_writer::fail(const error& why) noexcept {
    {
        const mutex_lock failing(failure_mutex_);
        if (!failure_) failure_ = why;
    }
    channel_.link().abort();
}

void link_writer::shut_down() {
    const mutex_lock lock(mutex_);
    if (!std::exchange(is_shut_down_, true)) channel_.link().shutdown_write();
}

std::optional<error> link_writer::failure() const {
    const mutex_lock lock(failure_mutex_);
    return failure_;
}

error link_writer::cause_of(const error& read_failure) const {
    const auto write_failure = failure();
    return write_failure && read_failure.code() == errc::disconnected ? *write_failure : read_failure;
}

void link_writer::put(record_buffer& record, frame_type type, std::uint8_t flags, std::uint32_t transfer,
                      const_bytes payload) {
    if (!record.fits(payload.size())) transmit(record);
    record.append(type, flags, transfer, payload);
}

void link_writer::transmit_alone(frame_type type, std::uint32_t transfer, const_bytes payload) {
    auto record = make_small_record();
    record.append(type, 0, transfer, payload);
    transmit(record);
}

void link_writer::transmit_unnumbered(frame_type type, std::uint8_t flags, const_bytes payload) {
    record_buffer record(limits::min_record_bytes, channel_.protection().overhead());
    record.append(type, flags, 0, payload);
    write(record);
}

void link_writer::say_bye() {
    const mutex_lock lock(bye_mutex_);
    if (has_said_bye_.exchange(true)) return;
    transmit_alone(frame_type::bye, 0, {});
}

}  // namespace wherry
