#include "stopper.hpp"

#include <chrono>

#include "wherry/clocks.hpp"

namespace wherry::app {

namespace {

// How long a sender that was interrupted takes leave of the receiver before it just ends.
using clocks::cancel_grace;

}  // namespace

exchange_stopper::scope::scope(exchange_stopper& by, exchange& running) : by_(by) {
    const std::lock_guard lock(by_.mutex_);
    by_.exchange_ = &running;
    by_.count_ = 0;
}

exchange_stopper::scope::~scope() {
    {
        const std::lock_guard lock(by_.mutex_);
        by_.exchange_ = nullptr;
    }
    by_.changed_.notify_all();
    by_.patience_ = {};  // ends at once now; stop() makes no other before the next scope
}

void exchange_stopper::stop(const std::function<void()>& otherwise) {
    const std::lock_guard lock(mutex_);
    if (exchange_ == nullptr || ++count_ > 2) return otherwise();
    if (count_ > 1) return cut();
    exchange_->cancel();
    report_.stop_reading();
    // Over a link that stands still nothing can be cancelled in order.
    patience_ = std::jthread([this](std::stop_token stopped) {
        std::unique_lock waiting(mutex_);
        changed_.wait_for(waiting, stopped, cancel_grace, [this] { return exchange_ == nullptr; });
        if (exchange_ != nullptr) cut();
    });
}

// Under `mutex_`.
void exchange_stopper::cut() {
    before_cut_();
    exchange_->abort();
}

}  // namespace wherry::app
