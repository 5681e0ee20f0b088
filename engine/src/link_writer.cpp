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

std::size_t bulk_record_bytes(secure_channel& over) {
    return std::clamp(over.link().record_bytes(), limits::min_record_bytes, limits::max_record_bytes);
}

}  // namespace

link_writer::link_writer(secure_channel& over, std::chrono::milliseconds ping_interval, numbering how)
    : over_(over),
      bulk_bytes_(bulk_record_bytes(over)),
      spreader_(how == numbering::ordered ? std::make_unique<record_spreader>(bulk_bytes_, over.protection().overhead())
                                          : nullptr),
      ping_interval_(ping_interval),
      last_sent_(clock::now()),
      // Most connections have ended by then, without a thread for it.
      alarm_(timer::shared().set(ping_interval, [this] {
          const std::lock_guard lock(wake_mutex_);
          start_keepalive();
      })) {}

link_writer::~link_writer() {
    // Whoever uses the rest ends before it does.
    timer::shared().cancel(alarm_);
    keepalive_ = {};
}

// Under `wake_mutex_`.
void link_writer::start_keepalive() noexcept {
    if (keepalive_.joinable()) return;
    try {
        keepalive_ = std::jthread([this](const std::stop_token& stop) { keep_alive(stop); });
    } catch (const std::exception&) {
        // No thread is to be had: a peer that hears nothing would wait in vain.
        over_.link().abort();
    }
}

record_buffer link_writer::make_bulk_record() const {
    return {bulk_bytes_, over_.protection().overhead(), spreader_ ? numbering::ordered : numbering::none};
}

record_buffer link_writer::make_small_record() const {
    return {limits::min_record_bytes, over_.protection().overhead(), spreader_ ? numbering::ordered : numbering::none};
}

void link_writer::transmit(record_buffer& record) {
    if (record.empty()) return;
    if (spreader_) return transmit_numbered(record);
    const std::lock_guard lock(mutex_);
    count(write_locked(record));
}

void link_writer::transmit_numbered(record_buffer& record) {
    if (!spreader_->is_spreading()) {
        const std::lock_guard lock(mutex_);
        // Under the lock, so that records go out in the order of their numbers.
        if (spreader_->number_directly(record)) return count(write_locked(record));
    }
    const auto bytes = record.sealed_bytes();
    const auto begin = clock::now();
    spreader_->put(record);
    // Who fills records is held up by all the connections together.
    count({bytes, clock::now() - begin});
}

void link_writer::write(record_buffer& record) {
    const std::lock_guard lock(mutex_);
    write_locked(record);
}

link_traffic link_writer::write_locked(record_buffer& record) {
    if (const auto earlier = failure()) throw *earlier;
    if (is_shut_down_) throw error(errc::disconnected, "this side has taken leave already");
    try {
        const auto sealed = record.seal(over_.protection());
        const auto begin = clock::now();
        over_.link().write_all(sealed);
        const auto end = clock::now();
        last_sent_ = end;
        return {sealed.size(), end - begin};
    } catch (const std::exception& e) {
        const std::lock_guard failing(failure_mutex_);
        failure_ = as_error(e);
        throw;
    }
}

void link_writer::count(const link_traffic& more) noexcept {
    written_bytes_ += more.bytes;
    blocked_ns_ += more.blocked.count();
}

void link_writer::fail(const error& why) noexcept {
    {
        const std::lock_guard failing(failure_mutex_);
        if (!failure_) failure_ = why;
    }
    over_.link().abort();
}

void link_writer::shut_down() {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(is_shut_down_, true)) over_.link().shutdown_write();
}

std::optional<error> link_writer::failure() const {
    const std::lock_guard lock(failure_mutex_);
    return failure_;
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
    record_buffer record(limits::min_record_bytes, over_.protection().overhead());
    record.append(type, flags, 0, payload);
    write(record);
}

void link_writer::say_bye() {
    const std::lock_guard lock(bye_mutex_);
    if (has_said_bye_.exchange(true)) return;
    transmit_alone(frame_type::bye, 0, {});
}

void link_writer::say_bye_soon() noexcept {
    const std::lock_guard lock(wake_mutex_);
    wants_bye_ = true;
    start_keepalive();
    wake_.notify_all();
}

void link_writer::keep_alive(const std::stop_token& stop) {
    for (;;) {
        bool wants_bye = false;
        {
            std::unique_lock lock(wake_mutex_);
            wake_.wait_until(lock, stop, last_sent_.load() + ping_interval_, [&] { return wants_bye_; });
            wants_bye = std::exchange(wants_bye_, false);
        }
        if (stop.stop_requested()) return;
        try {
            if (wants_bye)
                say_bye();
            else if (clock::now() - last_sent_.load() >= ping_interval_)
                transmit_unnumbered(frame_type::ping, 0, {});
        } catch (const std::exception&) {
            // Nothing can be written after it, and who reads must not wait for an answer to what never went out.
            over_.link().abort();
            return;
        }
    }
}

}  // namespace wherry
