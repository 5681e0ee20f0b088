// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/callback_sink.hpp"

#include <fmt/format.h>

#include "wherry/text.hpp"

namespace wherry {

class callback_sink::collecting final : public delivery {
public:
    collecting(callback_sink& owner, const offer& what, const offering_peer& peer)
        : owner_(owner), item_{what, {}, peer.who, std::string(peer.address)} {}
    ~collecting() override { owner_.held_ -= held_; }

    void write(const_bytes bytes) override {
        if (bytes.size() > owner_.limits_.max_bytes - held_) owner_.refuse_size();
        // Counted first, so that many at once cannot go beyond together.
        held_ += bytes.size();
        if ((owner_.held_ += bytes.size()) > owner_.limits_.max_bytes_in_all)
            throw error(errc::exhausted, "the receiver has its memory full with other deliveries; send it again later");
        item_.content.insert(item_.content.end(), bytes.begin(), bytes.end());
    }

    void finish(response& answer) override {
        const auto given = call();
        if (!given.outcome.empty()) answer.set_outcome(given.outcome);
        answer.append(given.response);
        if (given.failure) throw error(*given.failure);
    }

    void abort(partial) noexcept override {}

private:
    reply call() {
        std::unique_lock<mutex> alone(owner_.calling_, std::defer_lock);
        if (owner_.how_ == calls::one_at_a_time) alone.lock();
        return owner_.callback_(std::move(item_));
    }

    callback_sink& owner_;
    received_item item_;
    std::uint64_t held_ = 0;
};

callback_sink::callback_sink(delivery_callback callback, calls how, callback_limits limits)
    : callback_(std::move(callback)), how_(how), limits_(limits) {
    if (!callback_) throw error(errc::bad_input, "a receiver was given no function to call");
}

callback_sink::~callback_sink() = default;

void callback_sink::refuse_size() const {
    throw error(errc::exhausted,
                fmt::format("this receiver takes at most {} in one delivery", human_bytes(limits_.max_bytes)));
}

std::unique_ptr<delivery> callback_sink::begin(const offer& what, const offering_peer& peer) {
    if (what.size.value_or(0) > limits_.max_bytes) refuse_size();
    return std::make_unique<collecting>(*this, what, peer);
}

}  // namespace wherry
