// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wherry/bytes.hpp"
#include "wherry/error.hpp"
#include "wherry/mutex.hpp"
#include "wherry/sink.hpp"

namespace wherry {

// A delivery that has come whole: every byte of it was proved to be the sender's. It belongs to who gets it.
struct received_item {
    // As the sender describes it. Its name is the sender's choice, any bytes but NUL: never a path to write to unless
    // it was checked, nor anything to print but through printable().
    offer what;
    std::vector<std::byte> content;
    identity sender;      // whose key has a label, the comment of its line in authorized_keys
    std::string address;  // that it came from

    std::string_view text() const noexcept { return as_text(content); }
};

// What the sender is told of a delivery.
struct reply {
    reply() = default;  // it is done, and there is nothing to say
    reply(std::string_view text) : response(as_bytes(text).begin(), as_bytes(text).end()) {}
    reply(const std::string& text) : reply(std::string_view(text)) {}
    reply(const char* text) : reply(std::string_view(text)) {}
    reply(std::vector<std::byte> bytes) : response(std::move(bytes)) {}

    // It failed, for this reason; a response may go with it.
    static reply failed(errc code, const std::string& why, reply answer = {}) {
        answer.failure.emplace(code, why);
        return answer;
    }
    // The same with the receiver's own word for how it ended, beside the transfer's status: "indexed".
    reply as(std::string_view word) && {
        outcome = word;
        return std::move(*this);
    }

    std::vector<std::byte> response;  // at most 1 MiB
    std::string outcome;              // at most 64 bytes of UTF-8 without control characters
    std::optional<error> failure;
};

// Gets each delivery, and answers it. Once it has returned, the sender is told that the delivery is durable: so it must
// have been put where it will stay. What it throws is a failure, and its text is told to the sender; so is a reply
// beyond the limits above.
using delivery_callback = std::function<reply(received_item&& item)>;

// How many calls there are at the same time.
enum class calls { one_at_a_time, many };

struct callback_limits {
    // The largest content that is taken. Larger deliveries are refused, at once where the sender tells the size: a sink
    // of one's own (sink.hpp) can take any.
    std::uint64_t max_bytes = std::uint64_t{64} << 20;
    // What all deliveries that are under way at the same time may hold; one that goes beyond is refused, to be sent
    // again later.
    std::uint64_t max_bytes_in_all = std::uint64_t{256} << 20;
};

// Collects deliveries in memory, and calls a function with each. Interrupted ones are forgotten.
// Thread-safety: as a sink. The function is called from threads of the receiver, as `how` says.
class callback_sink final : public sink {
public:
    explicit callback_sink(delivery_callback callback, calls how = calls::one_at_a_time, callback_limits limits = {});
    ~callback_sink() override;

    // Refuses with errc::exhausted what is beyond the limits.
    std::unique_ptr<delivery> begin(const offer& what, const offering_peer& peer) override;

private:
    class collecting;
    [[noreturn]] void refuse_size() const;

    const delivery_callback callback_;
    const calls how_;
    const callback_limits limits_;
    mutex calling_;
    std::atomic<std::uint64_t> held_{0};
};

}  // namespace wherry
