#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "send_report.hpp"
#include "wherry/exchange.hpp"

namespace wherry::app {

// Ends what an exchange sends, for a person who does not want it any more: in order, and if that takes too long, or
// they insist, by cutting the link.
// Thread-safety: stop() from any thread.
class exchange_stopper {
public:
    // `report` outlives it. `before_cut` is called before the link is cut, because a plugin may hang in that.
    exchange_stopper(send_report& report, std::function<void()> before_cut)
        : report_(report), before_cut_(std::move(before_cut)) {}

    // While it lives, this exchange is what stop() stops. One at a time.
    class scope {
    public:
        scope(exchange_stopper& by, exchange& running);
        ~scope();
        scope(const scope&) = delete;
        scope& operator=(const scope&) = delete;

    private:
        exchange_stopper& by_;
    };

    // Calls `otherwise` where no exchange runs, or two calls have not ended the one that does; none begins meanwhile.
    void stop(const std::function<void()>& otherwise);

private:
    void cut();

    send_report& report_;
    const std::function<void()> before_cut_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    exchange* exchange_ = nullptr;
    unsigned count_ = 0;  // of the calls for this exchange
    std::jthread patience_;
};

}  // namespace wherry::app
