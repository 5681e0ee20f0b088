// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collected_response.hpp"
#include "frame.hpp"
#include "record.hpp"
#include "wherry/mutex.hpp"
#include "wherry/sink.hpp"
#include "wherry/transfer_id.hpp"

namespace wherry {

// How a delivery ended: its RESULT.
struct earlier_result {
    std::optional<errc> failure;
    std::string text;
    std::string outcome;  // the sink's own word, or ""
    std::vector<std::byte> response;
};

struct delivery_under_way;

// Is told of the ends of deliveries that several connections may claim. Both are called with the delivery's lock held.
class delivery_ends {
public:
    virtual void ended(const delivery_under_way& what) noexcept = 0;
    virtual void finished(const delivery_under_way& what, earlier_result how) = 0;

protected:
    ~delivery_ends() = default;
};

// A delivery that two connections may claim at the same time. Every call into the sink holds `mutex`, so whoever holds
// it may end `target`, if that is set. Locked before the registry's mutex, never after it.
struct delivery_under_way {
    delivery_under_way() = default;
    explicit delivery_under_way(connection& link) noexcept : link(&link) {}

    // Null where there is nobody to share it with.
    delivery_ends* ends = nullptr;
    std::string fingerprint;
    std::optional<delivery_id> id;
    sha256_digest item{};
    bool wants_resume = false;
    std::uint64_t number = 0;  // the connection's
    std::shared_ptr<const last_heard> heard;

    wherry::mutex mutex;
    std::unique_ptr<delivery> target WHERRY_GUARDED_BY(mutex);
    std::uint64_t offset WHERRY_GUARDED_BY(mutex) = 0;
    bool is_over WHERRY_GUARDED_BY(mutex) = false;
    bool is_taken WHERRY_GUARDED_BY(mutex) = false;       // by a newer attempt
    connection* link WHERRY_GUARDED_BY(mutex) = nullptr;  // alive while it is not over

    void end() noexcept WHERRY_REQUIRES(mutex);
    // What came stays for a resume, if the offer wants one.
    void abort_target() noexcept WHERRY_REQUIRES(mutex);
    delivery& still_ours() WHERRY_REQUIRES(mutex);

    // Takes it away from its connection, unless it is over by then.
    enum class old_link { leave, cut };
    void take_away(old_link fate) noexcept;
};

// A delivery under a claim; without a registry, one that nobody else claims. Once a newer attempt has taken it away,
// begin(), read_back(), write() and finish() throw error(errc::refused), and finish_group() reports that; drop() and
// abort() do nothing.
// begin() first; then as any delivery, by one thread at a time. begin() again after drop().
class claimed_delivery {
public:
    claimed_delivery();
    explicit claimed_delivery(std::shared_ptr<delivery_under_way> shared) noexcept;
    // Aborts what was begun and is neither finished nor aborted.
    ~claimed_delivery();

    void begin(const std::function<std::unique_ptr<delivery>()>& begin_in_sink);
    // Drops what came, and keeps the claim.
    void drop() noexcept;

    std::uint64_t offset() const noexcept;
    // Asks the sink whether it stored this delivery before. If so, ends the claim as finish() does; `answer` has what
    // it answered then.
    bool already(collected_response& answer);
    std::size_t read_back(std::uint64_t position, mutable_bytes buffer);
    void write(const_bytes bytes);
    void finish(collected_response& answer);
    bool finishes_at_once() const noexcept;
    // Not null where several can be finished together.
    group_commit* commits_with() const noexcept;
    struct ending {
        claimed_delivery* target;
        collected_response* answer;
        std::optional<error> failure;
    };
    // Finishes each as finish() does. REQUIRES: those that were not taken away have the same commits_with().
    static void finish_group(std::span<ending> all) WHERRY_UNCHECKED_LOCKS;
    void abort(delivery::partial what_came) noexcept;

private:
    // Ends the claim, and has `ends` remember the result, unless another attempt may succeed. `failure` may be null.
    void remember(const error* failure, const collected_response& answer) WHERRY_REQUIRES(shared_->mutex);

    const std::shared_ptr<delivery_under_way> shared_;
};

}  // namespace wherry
