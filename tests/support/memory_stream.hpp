// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "wherry/error.hpp"
#include "wherry/transport.hpp"

// Two ends of a connection in memory, to test without a network; and a network that damages what it carries.
namespace wherry::test {

// What happens to the bytes of one direction. Offsets count from the first byte ever written to it.
struct damage {
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t flip_at = never;  // this byte is changed by `mask`
    std::byte mask{0x01};
    std::uint64_t cut_at = never;  // from here on bytes are lost; the reader then sees the end of the stream
};

// One direction. Thread-safety: all functions from any thread.
class memory_pipe {
public:
    explicit memory_pipe(damage harm = {}, bool keep_record = false) : harm_(harm), keeps_record_(keep_record) {}

    void write(const_bytes bytes) {
        const std::lock_guard lock(mutex_);
        if (closed_ || reader_gone_) throw error(errc::disconnected, "the other end of the memory stream is gone");
        for (const auto byte : bytes) append(byte);
        changed_.notify_all();
    }

    std::size_t read(mutable_bytes into, std::chrono::milliseconds timeout) {
        std::unique_lock lock(mutex_);
        const auto ready = [&] { return !bytes_.empty() || closed_ || reader_gone_; };
        if (timeout.count() == 0) {
            changed_.wait(lock, ready);
        } else if (!changed_.wait_for(lock, timeout, ready)) {
            throw error(errc::timed_out, "nothing came on the memory stream");
        }
        if (reader_gone_) throw error(errc::disconnected, "this memory stream was aborted");
        std::size_t count = 0;
        while (count < into.size() && !bytes_.empty()) {
            into[count++] = bytes_.front();
            bytes_.pop_front();
        }
        return count;
    }

    // The writer has no more.
    void close() noexcept {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        changed_.notify_all();
    }

    // The reader takes no more.
    void abandon() noexcept {
        const std::lock_guard lock(mutex_);
        reader_gone_ = true;
        changed_.notify_all();
    }

    std::uint64_t written() const {
        const std::lock_guard lock(mutex_);
        return written_;
    }
    std::size_t unread() const {
        const std::lock_guard lock(mutex_);
        return bytes_.size();
    }
    // Everything written so far, as it left the writer; only with keep_record.
    std::vector<std::byte> record() const {
        const std::lock_guard lock(mutex_);
        return record_;
    }

private:
    void append(std::byte byte) {
        const auto at = written_++;
        if (keeps_record_) record_.push_back(byte);
        if (at >= harm_.cut_at) {
            closed_ = true;
            return;
        }
        bytes_.push_back(at == harm_.flip_at ? byte ^ harm_.mask : byte);
    }

    const damage harm_;
    const bool keeps_record_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::byte> bytes_;
    std::vector<std::byte> record_;
    std::uint64_t written_ = 0;
    bool closed_ = false, reader_gone_ = false;
};

// One end. Closes both directions when it goes, so that a peer that waits wakes up.
class memory_stream final : public connection {
public:
    memory_stream(std::shared_ptr<memory_pipe> in, std::shared_ptr<memory_pipe> out, std::size_t record_bytes = 65536)
        : in_(std::move(in)), out_(std::move(out)), record_bytes_(record_bytes) {}
    memory_stream(const memory_stream&) = delete;
    memory_stream& operator=(const memory_stream&) = delete;
    ~memory_stream() override { abort(); }

    using connection::write_all;

    std::size_t read_some(mutable_bytes into) override { return in_->read(into, read_timeout_); }
    void write_all(std::span<const const_bytes> pieces) override {
        for (const auto piece : pieces) out_->write(piece);
    }
    void shutdown_write() override { out_->close(); }
    void set_read_timeout(std::chrono::milliseconds timeout) noexcept override { read_timeout_ = timeout; }
    void set_write_timeout(std::chrono::milliseconds) noexcept override {}
    void abort() noexcept override {
        out_->close();
        in_->abandon();
    }
    std::string_view peer_address() const noexcept override { return "memory"; }
    std::size_t record_bytes() const noexcept override { return record_bytes_; }

private:
    std::shared_ptr<memory_pipe> in_, out_;
    std::size_t record_bytes_;
    std::chrono::milliseconds read_timeout_{0};
};

// Both ends and what is between them.
struct memory_link {
    explicit memory_link(damage to_responder = {}, damage to_initiator = {}, bool keep_record = false)
        : forward(std::make_shared<memory_pipe>(to_responder, keep_record)),
          backward(std::make_shared<memory_pipe>(to_initiator, keep_record)),
          initiator(std::make_unique<memory_stream>(backward, forward)),
          responder(std::make_unique<memory_stream>(forward, backward)) {}

    std::shared_ptr<memory_pipe> forward, backward;
    std::unique_ptr<memory_stream> initiator, responder;
};

}  // namespace wherry::test
