// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "wherry/bytes.hpp"
#include "wherry/cipher.hpp"
#include "wherry/error.hpp"
#include "wherry/receive_all.hpp"
#include "wherry/secure_channel.hpp"
#include "wherry/sink.hpp"
#include "wherry/transfer_id.hpp"

// Types that all of the engine shares: sources, results, observers, options.
namespace wherry {

class delivery_registry;
class descriptor_reserve;
class join_registry;

// Something to deliver: its description and its bytes.
// Used only within engine::sender::announce() and send(), on the thread that calls them.
class source {
public:
    virtual ~source() = default;

    virtual const offer& what() const noexcept = 0;

    // Reads 1..into.size() bytes; 0 at the end, and then again. Throws if it cannot, or if what it read from changed
    // meanwhile; the transfer is cancelled with that text. REQUIRES: !into.empty().
    virtual std::size_t read(mutable_bytes into) = 0;

    // Goes back or on to `position`, for a resume. Sources whose offers want no resume need not have it.
    virtual void seek(std::uint64_t position) {
        (void)position;
        throw error(errc::unsupported, "this source cannot resume");
    }

    // True for a pipe or a terminal, whose next bytes may be long in coming: what was read is sent before more is read.
    virtual bool may_wait() const noexcept { return false; }
};

delivery_id make_delivery_id();

// What a sender knows of a delivery that it may offer more than once, because a link was lost.
struct delivery_attempt {
    // With one, the receiver answers what has arrived before instead of taking it again.
    std::optional<delivery_id> id;
    // All of it was sent before, and the answer was lost: it may be answered without being sent again.
    bool may_have_arrived = false;
};

// How one transfer ended.
struct delivery_result {
    std::optional<errc> failure;  // none: the receiver has promised that the delivery is durable
    std::string text;             // why it failed; untrusted if is_remote
    bool is_remote = false;       // the other side said so
    // It failed after all of it had been sent, now or in an earlier attempt, and before the answer came: it may have
    // been delivered nevertheless.
    bool is_uncertain = false;
    std::string outcome;              // the sink's own word for it, or ""; untrusted text
    std::vector<std::byte> response;  // from the sink; untrusted bytes
    std::uint64_t bytes = 0;          // content sent or received, without what was resumed
    std::uint64_t bytes_on_link = 0;  // what that took on the link: less where it was compressed
    std::uint64_t resumed_from = 0;
    std::optional<receive_end> ended_by;  // only of a raw delivery; empty if its sink failed first

    bool ok() const noexcept { return !failure; }
};

// Makes a result the failure that this side found; its counts stay.
void mark_failed(delivery_result& result, const error& why);
delivery_result failed(const error& why);

// Told what happens to what a sender sends. Calls come from the sender's threads and from those that call it, one at a
// time; they must not call back into the sender, and must return soon.
class sending_observer {
public:
    virtual ~sending_observer() = default;

    // `resumed_from` > 0: the receiver already has that much.
    virtual void sending(transfer_id, const offer&, std::uint64_t resumed_from) { (void)resumed_from; }
    virtual void sent_so_far(transfer_id, std::uint64_t bytes) { (void)bytes; }
    virtual void answered(transfer_id, const offer&, const delivery_result&) {}
    // Called at most once, if several connections were wanted: how many carry what is sent, and, if fewer, why.
    virtual void streams(std::size_t joined, std::size_t wanted, const std::string& why_fewer) {
        (void)joined, (void)wanted, (void)why_fewer;
    }
};

// The same of what a receiver receives.
class receiving_observer {
public:
    virtual ~receiving_observer() = default;

    virtual void receiving(transfer_id, const offer&, std::uint64_t resumed_from) { (void)resumed_from; }
    virtual void received_so_far(transfer_id, std::uint64_t bytes) { (void)bytes; }
    virtual void delivered(transfer_id, const offer&, const delivery_result&) {}
};

// Opens extra connections to the peer of a sender.
// Thread-safety: both functions from any thread. They throw error; the sender then goes on with fewer connections.
class stream_opener {
public:
    virtual ~stream_opener() = default;

    virtual std::shared_ptr<connection> dial() = 0;
    // As the first one was opened. The sender sees to it that the key is the first one's, too.
    virtual std::unique_ptr<secure_channel> open(std::shared_ptr<connection> link) = 0;
};

struct sender_options {
    // Ask the receiver to compare a SHA-256 of the whole content before it finishes a delivery.
    enum class digest { none, sha256 };
    digest content_digest = digest::none;
    // Compress content: never; what shrinks, as far as the link is slower than compressing; always. The size that
    // content shrinks to tells something about it to whoever watches the link.
    enum class compression { none, automatic, zstd };
    compression content_compression = compression::none;
    // Connections that carry what an initiator sends, 1 to limits::max_streams; a responder uses one. Extra ones join
    // while it is sending. They need the opener, which outlives the sender; without it there is one connection.
    std::size_t streams = 1;
    stream_opener* opener = nullptr;
};

// Separates engine::receiver, for one peer, from the library's wherry::receiver, which serves many.
namespace engine {

// Lets extra connections join a receiver through `registry`. For each, find_what_it_joins() returns `number`.
struct joinable {
    join_registry& registry;
    std::uint64_t number;
};

// Options of one receiver. Everything pointed to outlives it.
struct receiver_options {
    // Called when the peer offers items and before deliveries are finished; its key may have been removed since the
    // handshake. If it throws, the delivery fails and the peer gets the reason. What came is dropped, unless the
    // delivery is on the finishing threads, its offer wants a resume, and the code is not auth_failed. After
    // error(errc::auth_failed) everything from the peer is refused without another call; the peer has to connect again.
    // One thread calls it at a time. Empty: no check.
    peer_verifier verify = {};
    // Deliveries that several connections may claim. Null: no delivery is remembered, nor compared with those of other
    // connections.
    delivery_registry* deliveries = nullptr;
    // Empty: extra connections cannot join.
    std::optional<engine::joinable> joinable = {};
    // Null: deliveries may use the last descriptors.
    const descriptor_reserve* reserve = nullptr;
};

}  // namespace engine

}  // namespace wherry
