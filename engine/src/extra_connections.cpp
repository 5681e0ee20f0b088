// SPDX-License-Identifier: BSD-2-Clause
#include "extra_connections.hpp"

#include <exception>
#include <system_error>
#include <utility>

#include "record.hpp"
#include "wherry/as_error.hpp"
#include "wherry/clocks.hpp"

namespace wherry {

struct extra_connections::stream {
    std::shared_ptr<connection> link;  // under the mutex
    std::unique_ptr<secure_channel> over;
    std::unique_ptr<link_writer> writer;
    record_spreader::writer writing;
    std::jthread writing_thread, reading_thread;
};

extra_connections::extra_connections(secure_channel& first, link_writer& writer, stream_opener& opener,
                                     std::size_t wanted, observer_gate& observer)
    : first_(first), writer_(writer), opener_(opener), wanted_(wanted), observer_(observer) {}

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
    std::unique_lock lock(mutex_);
    if (was_answered_ || content.count >= wanted_ || (content.count > 0 && !content.token))
        throw error(errc::protocol, "the peer granted connections that were not asked for");
    was_answered_ = true;
    // Too late: everything is sent.
    if (is_over_ || is_settled_) return;
    if (content.count + 1u < wanted_)
        why_fewer_ = "the receiver takes no more than " + std::to_string(content.count + 1) + " for each sender";
    if (content.count > 0) {
        token_ = *content.token;
        try {
            start_first_writer();
            for (std::size_t i = 0; i < content.count; ++i) {
                auto& one = *streams_.emplace_back(std::make_unique<stream>());
                one.writing_thread = std::jthread([this, &one] {
                    try {
                        writer_.spreader()->serve(one.writing, [&](record_buffer& r) { one.writer->write(r); });
                    } catch (const std::exception& e) {
                        lost(as_error(e));
                    }
                });
                one.reading_thread = std::jthread([this, &one] { run(one); });
                ++awaited_;
            }
        } catch (const std::system_error&) {
            why_fewer_ = "no thread could be started for another connection";
        }
    }
    settle(lock);
}

void extra_connections::on_other_answer() {
    std::unique_lock lock(mutex_);
    if (was_answered_ || is_settled_) return;
    why_fewer_ = "the receiver's version of wherry knows of one connection only";
    settle(lock);
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

void extra_connections::run(stream& one) {
    try {
        std::unique_ptr<record_reader> records;
        std::optional<error> failure;
        try {
            open(one);
            records = std::make_unique<record_reader>(one.over->link(), one.over->protection(),
                                                      one.over->timing().io_timeout);
            join(one, *records);
        } catch (const std::exception& e) {
            failure = as_error(e);
        }
        {
            std::unique_lock lock(mutex_);
            if (awaited_ > 0) --awaited_;
            if (failure) {
                if (one.link) one.link->abort();
                if (!is_over_) why_fewer_ = failure->what();
            } else {
                std::vector<record_spreader::writer*> further = {&one.writing};
                if (joined_++ == 1) further.push_back(&first_writing_);
                writer_.spreader()->let_in(further);
            }
            settle(lock);
        }
        if (!failure) listen(*records);
    } catch (const std::exception& e) {
        lost(as_error(e));
    }
}

void extra_connections::open(stream& one) {
    auto link = opener_.dial();
    {
        const std::lock_guard lock(mutex_);
        if (is_over_) throw error(errc::cancelled, "it is over");
        one.link = link;
    }
    one.over = opener_.open(std::move(link));
    const auto& expected = first_.peer();
    const auto& found = one.over->peer();
    if (found.public_key != expected.public_key || found.fingerprint != expected.fingerprint)
        throw error(errc::auth_failed, "somebody else answered at the same address, with the key " + found.fingerprint);
    if (one.over->protection().overhead() != first_.protection().overhead())
        throw error(errc::internal, "the cipher seals differently from one connection to the next");
    // As for the first: how long the peer takes to read tells nothing.
    one.over->link().set_write_timeout(std::chrono::milliseconds(0));
    one.writer = std::make_unique<link_writer>(*one.over, one.over->timing().ping_interval);
}

void extra_connections::join(stream& one, record_reader& records) {
    one.writer->transmit_unnumbered(frame_type::join, frame_flag::critical, encode(join_frame{token_}));
    one.over->complete();
    while (const auto record = records.next()) {
        byte_reader frames(*record, "a record of the peer");
        while (frames.remaining() > 0) {
            const auto got = take_frame(frames);
            // BYE means nothing here: what joins goes on as long as what it has joined.
            if (got.type == frame_type::ping || got.type == frame_type::bye) continue;
            if (got.type != frame_type::join)
                throw error(errc::protocol, "the peer says something else before it has let a connection join");
            const auto answer = decode_result(got.payload);
            if (answer.failure) throw error(*answer.failure, "the receiver says: " + answer.text);
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
    std::unique_lock lock(mutex_);
    if (is_over_) return;
    writer_.spreader()->fail(why);
    // What the peer has answered before it went is still to be heard.
    changed_.wait_for(lock, clocks::last_words_wait, [&] { return is_over_; });
    if (is_over_) return;
    lock.unlock();
    writer_.fail(why);
}

void extra_connections::settle(std::unique_lock<std::mutex>& lock) {
    if (is_settled_ || is_over_ || awaited_ > 0) return;
    is_settled_ = true;
    const auto joined = joined_;
    const auto why = joined < wanted_ ? why_fewer_ : "";
    lock.unlock();
    observer_.tell([&](auto& o) { o.streams(joined, wanted_, why); });
    lock.lock();
    was_told_ = true;
    changed_.notify_all();
}

void extra_connections::conclude(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, time, [&] { return was_told_ || is_over_; })) return;
    awaited_ = 0;
    why_fewer_ = "everything was sent before more had joined";
    settle(lock);
}

void extra_connections::cut(const error& why) noexcept {
    {
        const std::lock_guard lock(mutex_);
        is_over_ = true;
        for (const auto& one : streams_)
            if (one->link) one->link->abort();
        changed_.notify_all();
    }
    writer_.spreader()->fail(why);
}

void extra_connections::stop() noexcept {
    cut(error(errc::disconnected, "the connection was closed from this side"));
    for (const auto& one : streams_) {
        if (one->reading_thread.joinable()) one->reading_thread.join();
        if (one->writing_thread.joinable()) one->writing_thread.join();
    }
    if (first_writer_.joinable()) first_writer_.join();
}

}  // namespace wherry
