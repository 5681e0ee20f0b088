// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "wherry/bytes.hpp"
#include "wherry/cipher.hpp"
#include "wherry/transfer_id.hpp"

namespace wherry {

enum class item_kind : std::uint8_t {
    message = WHERRY_MESSAGE,
    file = WHERRY_FILE,
    data = WHERRY_DATA,
    folder = WHERRY_FOLDER,  // the folder itself, without content; it comes after what is in it
};

constexpr std::string_view to_string(item_kind kind) noexcept {
    switch (kind) {
        case item_kind::message: return "message";
        case item_kind::file: return "file";
        case item_kind::data: return "data";
        case item_kind::folder: return "folder";
    }
    return "unknown";
}

struct file_time {
    std::int64_t seconds = 0;  // since 1970-01-01T00:00:00Z
    std::uint32_t nanoseconds = 0;

    bool operator==(const file_time&) const = default;
};

// What a sender proposes to deliver.
struct offer {
    item_kind kind = item_kind::file;
    std::string name;  // as the sender gave it: any bytes but NUL, '/' between components; "" for a message
    std::optional<std::uint64_t> size;  // bytes; not known for a pipe
    std::optional<std::uint32_t> mode;  // permission bits, 0..07777
    std::optional<file_time> mtime;
    bool wants_resume = false;  // keep what has come if the link is cut, and go on from it if there is some
    // Names this delivery. Its sender repeats it when it offers the same delivery again. None: each offer is a delivery
    // of its own.
    std::optional<delivery_id> id = std::nullopt;

    bool operator==(const offer&) const = default;
};

// Who offers it.
struct offering_peer {
    std::string_view address;
    const identity& who;
};

// What the sink answers the sender, whether finish() returns or throws. Only until then.
class response {
public:
    virtual ~response() = default;

    // At most max_response_bytes (1 MiB) in all; throws error(errc::exhausted) beyond.
    virtual void append(const_bytes bytes) = 0;
    void append(std::string_view text) { append(as_bytes(text)); }

    // The sink's own word for how it ended, beside the transfer's status: "indexed", "exit 3". The last one counts.
    // Throws error(errc::bad_input) unless it is UTF-8 of at most max_outcome_bytes (64) without control characters.
    virtual void set_outcome(std::string_view word) = 0;
};

// The outcome of a file that stood there before, with the same content, and so was not stored again.
inline constexpr std::string_view already_there = "already there";

class delivery;

// One of several deliveries that are finished together.
struct ending {
    delivery* of;
    response* answer;
    std::optional<error> failure;  // set where finish() would have thrown it
};

// Finishes several deliveries for less than each by itself: one sync of a folder for all that went into it.
class group_commit {
public:
    // As delivery::finish() of each, which it ends; one that fails is for itself. From many threads, with other
    // deliveries each. At most limits::max_group_commit.
    virtual void finish_group(std::span<ending> all) noexcept = 0;

protected:
    ~group_commit() = default;
};

// One item on its way into a sink. Used by one thread at a time; finish() or abort() ends it, then it is destroyed.
class delivery {
public:
    virtual ~delivery() = default;

    // How many bytes this side already has; the writes go on from there. Asked once, before the first write.
    virtual std::uint64_t offset() const noexcept { return 0; }

    // Returns whether this very delivery (same id, key of the peer, kind, name, size and time) was stored before; then
    // `answer` gets what finish() answered. Asked once, before anything else but offset(), and only where offer::id is
    // set. If it is true, abort(partial::drop) follows.
    virtual bool already(response& answer) {
        (void)answer;
        return false;
    }

    // Reads back up to buffer.size() bytes of what was kept, from `position`; 0 at the end. Before the first write.
    virtual std::size_t read_back(std::uint64_t position, mutable_bytes buffer) {
        (void)position;
        (void)buffer;
        throw error(errc::unsupported, "this sink keeps nothing to resume from");
    }

    virtual void write(const_bytes bytes) = 0;

    // Returns once the delivery is durable: that is the promise the sender gets. If it throws, nothing is left that
    // looks finished. It may take long: another thread reads the connection then, and no other delivery waits for it,
    // up to limits::max_unfinished_deliveries of one connection.
    virtual void finish(response& answer) = 0;

    // Whether finish() neither waits for anything nor takes long, as where nothing leaves memory. Then it is called at
    // once, by the thread that reads the connection, and the answer is a thread's waking earlier.
    virtual bool finishes_at_once() const noexcept { return false; }

    // Deliveries that name the same one here may be finished by it. It lives as long as their sink.
    virtual group_commit* commits_with() noexcept { return nullptr; }

    // Nothing more will come. keep: what came may be kept for a resume.
    enum class partial { drop, keep };
    virtual void abort(partial what_came) noexcept = 0;
};

// Where deliveries go. One that is a group_commit, too, finishes its deliveries as such. Thread-safety: begin() from
// many threads at once.
class sink {
public:
    virtual ~sink() = default;

    // Accepts, or refuses by throwing an error whose text is for the sender. Arguments are borrowed for the call.
    virtual std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) = 0;

    // The program is ending, and what is in flight has had its time: finish() calls, those that wait now and later
    // ones, are to fail soon, with errc::cancelled. From any thread; once or more often. For a sink whose finish() may
    // take long; one that wraps another hands it on.
    virtual void interrupt() noexcept {}
};

}  // namespace wherry
