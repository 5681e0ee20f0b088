// SPDX-License-Identifier: BSD-2-Clause
#include "extra_connections.hpp"

#include <fmt/format.h>

#include <exception>
#include <system_error>
#include <utility>

#include "record.hpp"
#include "wherry/as_error.hpp"
#include "wherry/clocks.hpp"

namespace wherry {

struct extra_connections::lane {
    std::shared_ptr<connection> link;  // under the mutex
    std::unique_ptr<secure_channel> channel;
    std::unique_ptr<link_writer> writer;
    record_spreader::writer writing;
    std::jthread writing_thread, reading_thread;
};

extra_connections::extra_connections(secure_channel& first, link_writer& writer, stream_opener& opener,
                                     std::size_t wanted, sending_gate& gate)
    : first_(first), writer_(writer), opener_(opener), wanted_(wanted), gate_(gate) {}

extra_connections::~extra_connections() { stop(); }

void extra_connections::ask() {
    if (std::exchange(was_asked_, true)) return;
    try {
        writer_.transmit_unnumbered(frame_type::streams, 0,
                                    encode(streams_frame{static_cast<std::uint16_t>(wanted_ - 1), std::nullopt}));
    } catch (const error&) {
        // What is sent next fails for the same reason, and finds out why.
    }
}

void extra_connections::on_answer(const frame& got) {
    const auto content = decode_streams(got.payload);
    mutex_lock lock(mutex_);
    if (was_answered_ || content.count >= wanted_ || (content.count > 0 && !content.token))
        throw error(errc::protocol, "the peer granted connections that were not asked for");
    was_answered_ = true;
    // Too late: everything is sent.
    if (is_over_ || is_settled_) return;
    if (content.count + 1u < wanted_)
        why_fewer_ = fmt::format("the receiver takes no more than {} for each sender", content.count + 1);
    if (content.count > 0) {
        token_ = *content.token;
        try {
            start_first_writer();
            for (std::size_t i = 0; i < content.count; ++i) {
                auto& fresh = *lanes_.emplace_back(std::make_unique<extra_connections::lane>());
                fresh.writing_thread = std::jthread([this, &fresh] {
                    try {
                        writer_.spreader()->serve(fresh.writing, [&](record_buffer& r) { fresh.writer->write(r); });
                    } catch (const std::exception& e) {
                        lost(as_error(e));
                    }
                });
                fresh.reading_thread = std::jthread([this, &fresh] { run(fresh); });
                ++awaited_;
            }
        } catch (const std::system_error&) {
            why_fewer_ = "no thread could be started for another connection";
        }
    }
    const auto settled = settle();
    lock.unlock();
    tell(settled);
}

void extra_connections::on_other_answer() {
    mutex_lock lock(mutex_);
    if (was_answered_ || is_settled_) return;
    why_fewer_ = "the receiver's version of wherry knows of one connection only";
    const auto settled = settle();
    lock.unlock();
    tell(settled);
}

void extra_connections::start_first_writer() {
    first_writer_ = std::jthread([this] {
        try {
            writer_.spreader()->serve(first_writing_, [&](record_buffer& r) { writer_.write(r); });
        } catch (const std::exception& e) {
            lost(as_error(e));
        }
    });
}

void extra_connections::run(lane& lane) {
    try {
        std::unique_ptr<record_reader> records;
        std::optional<error> failure;
        try {
            open(lane);
            records = std::make_unique<record_reader>(lane.channel->link(), lane.channel->protection(),
                                                      lane.channel->timing().io_timeout);
            join(lane, *records);
        } catch (const std::exception& e) {
            failure = as_error(e);
        }
        std::optional<count> settled;
        {
            const mutex_lock lock(mutex_);
            if (awaited_ > 0) --awaited_;
            if (failure) {
                if (lane.link) lane.link->abort();
                if (!is_over_) why_fewer_ = failure->what();
            } else {
                std::vector<record_spreader::writer*> writers = {&lane.writing};
                if (joined_++ == 1) writers.push_back(&first_writing_);
                writer_.spreader()->let_in(writers);
            }
            // A stop of all is no news about the number of connections.
            if (!failure || failure->code() != errc::cancelled) settled = settle();
        }
        tell(settled);
        if (!failure) listen(*records);
    } catch (const std::exception& e) {
        lost(as_error(e));
    }
}

void extra_connections::open(lane& lane) {
    auto link = opener_.dial();
    {
        const mutex_lock lock(mutex_);
        if (is_over_) throw error(errc::cancelled, "it is over");
        lane.link = link;
    }
    lane.channel = opener_.open(std::move(link));
    const auto& expected = first_.peer();
    const auto& found = lane.channel->peer();
    if (found.public_key != expected.public_key || found.fingerprint != expected.fingerprint)
        throw error(errc::auth_failed,
                    fmt::format("somebody else answered at the same address, with the key {}", found.fingerprint));
    if (lane.channel->protection().overhead() != first_.protection().overhead())
        throw error(errc::internal, "the cipher seals differently from one connection to the next");
    // As for the first: how long the peer takes to read tells nothing.
    lane.channel->link().set_write_timeout(std::chrono::milliseconds(0));
    lane.writer = std::make_unique<link_writer>(*lane.channel);
}

void extra_connections::join(lane& lane, record_reader& records) {
    lane.writer->transmit_unnumbered(frame_type::join, frame_flag::critical, encode(join_frame{token_}));
    lane.channel->complete();
    while (const auto record = records.next()) {
        byte_reader frames(*record, "a record of the peer");
        while (frames.remaining() > 0) {
            const auto got = take_frame(frames);
            // BYE means nothing here: what joins goes on as long as what it has joined.
            if (got.type == frame_type::ping || got.type == frame_type::bye) continue;
            if (got.type != frame_type::join)
                throw error(errc::protocol, "the peer says something else before it has let a connection join");
            const auto answer = decode_result(got.payload);
            if (answer.failure) throw error(*answer.failure, fmt::format("the receiver says: {}", answer.text));
            return;
        }
    }
    throw error(errc::disconnected, "the peer closed the connection before it had joined");
}

void extra_connections::listen(record_reader& records) {
    while (const auto record = records.next()) {
        byte_reader frames(*record, "a record of the peer");
        while (frames.remaining() > 0) {
            const auto type = take_frame(frames).type;
            if (type != frame_type::ping && type != frame_type::bye)
                throw error(errc::protocol, "the peer answers over a connection that is for sending");
        }
    }
    throw error(errc::disconnected, "the peer closed one of the connections in the middle; try again");
}

void extra_connections::lost(const error& why) noexcept {
    mutex_lock lock(mutex_);
    if (is_over_) return;
    writer_.spreader()->fail(why);
    // What the peer has answered before it went is still to be heard.
    changed_.wait_for(lock, clocks::last_words_wait, [&]() WHERRY_REQUIRES(mutex_) { return is_over_; });
    if (is_over_) return;
    lock.unlock();
    writer_.fail(why);
}

std::optional<extra_connections::count> extra_connections::settle() {
    if (is_settled_ || is_over_ || awaited_ > 0) return std::nullopt;
    is_settled_ = true;
    return count{joined_, joined_ < wanted_ ? why_fewer_ : ""};
}

void extra_connections::tell(const std::optional<count>& settled) {
    if (!settled) return;
    gate_.tell([&](auto& observer) { observer.streams(settled->joined, wanted_, settled->why_fewer); });
    const mutex_lock lock(mutex_);
    was_told_ = true;
    changed_.notify_all();
}

void extra_connections::conclude(std::chrono::milliseconds time) {
    mutex_lock lock(mutex_);
    if (changed_.wait_for(lock, time, [&]() WHERRY_REQUIRES(mutex_) { return was_told_ || is_over_; })) return;
    awaited_ = 0;
    why_fewer_ = "everything was sent before more had joined";
    const auto settled = settle();
    lock.unlock();
    tell(settled);
}

void extra_connections::cut(const error& why) noexcept {
    {
        const mutex_lock lock(mutex_);
        is_over_ = true;
        for (const auto& one : lanes_)
            if (one->link) one->link->abort();
        changed_.notify_all();
    }
    writer_.spreader()->fail(why);
}

void extra_connections::stop() noexcept {
    cut(error(errc::disconnected, "the connection was closed from this side"));
    // Nobody changes them once it is over; and their threads take the lock.
    for (const auto& one : lanes_) {
        if (one->reading_thread.joinable()) one->reading_thread.join();
        if (one->writing_thread.joinable()) one->writing_thread.join();
    }
    if (first_writer_.joinable()) first_writer_.join();
}

}  // namespace wherry
