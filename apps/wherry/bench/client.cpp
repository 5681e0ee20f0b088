// SPDX-License-Identifier: BSD-2-Clause
#include "bench/client.hpp"

#include <unistd.h>

#include <thread>
#include <vector>

#include "bench/bench_report.hpp"
#include "dial_report.hpp"
#include "wherry/clocks.hpp"
#include "wherry/mutex.hpp"
#include "wherry/text.hpp"

namespace wherry::app::bench {

namespace {

using namespace std::chrono_literals;

// One sender: what is measured of it, over all connections that carry what it sends.
class measured_sender {
public:
    // All outlive it.
    measured_sender(const endpoint& here, const made_plugins& plugins, const std::string& destination,
                    const send_options& how, dial_observer& meeting)
        : receiver_dialer_(here.with_plugins(watched(plugins)), destination, how.timing, how.new_peer, meeting) {}

    dialer& receiver_dialer() noexcept { return receiver_dialer_; }
    const std::shared_ptr<stage_meter>& meter() const noexcept { return meter_; }

private:
    made_plugins watched(made_plugins plugins) const {
        plugins.make_link = [make = plugins.make_link, meter = meter_] {
            return std::make_shared<timed_transport>(make(), meter);
        };
        plugins.protection = std::make_shared<timed_cipher>(plugins.protection, meter_);
        return plugins;
    }

    const std::shared_ptr<stage_meter> meter_ = std::make_shared<stage_meter>();
    dialer receiver_dialer_;
};

// All senders share a transport, for they are stopped together.
made_plugins with_one_transport(made_plugins plugins) {
    plugins.make_link = [link = plugins.make_link()] { return link; };
    return plugins;
}

class client {
public:
    client(application& app, const effective_options& options, const client_options& how)
        : app_(app),
          how_(how),
          plugins_(with_one_transport(make_plugins(options))),
          destination_(destination_of(options)),
          here_(make_sender(app, options, plugins_)),
          sending_(send_options_of(options)),
          meeting_(app, options) {}

    exit_code run() {
        try {
            connect();
            measure();
        } catch (const error& e) {
            meeting_.tell(e);
            return exit_code_for(e.code(), side::here);
        }
        return tell();
    }

private:
    void connect() {
        for (std::size_t i = 0; i < how_.senders; ++i) {
            auto& one = *senders_.emplace_back(
                std::make_unique<measured_sender>(here_, plugins_, destination_, sending_, meeting_));
            auto how = sender_options_of(sending_);
            how.opener = &one.receiver_dialer();
            connections_.push_back(std::make_unique<bench_connection>(one.receiver_dialer().connect(), one.meter(),
                                                                      how_.what, how, progress_));
        }
        for (auto& one : connections_) one->await_entry();
    }

    void measure() {
        result_.kind = how_.what.kind;
        result_.destination = senders_.front()->receiver_dialer().destination();
        result_.transport = plugins_.transport_name;
        result_.cipher = connections_.front()->describe();
        const signal_watcher::scope stop(app_.signals, [this](unsigned count) { interrupt(count); });
        std::vector<connection_outcome> outcomes(connections_.size());
        {
            const mutex_lock lock(mutex_);
            running_ = connections_.size();
        }
        began_ = std::chrono::steady_clock::now();
        {
            std::vector<std::jthread> threads;
            for (std::size_t i = 0; i < connections_.size(); ++i)
                threads.emplace_back([this, i, &outcomes] {
                    outcomes[i] = connections_[i]->run();
                    const mutex_lock lock(mutex_);
                    --running_;
                    changed_.notify_all();
                });
            watch();
        }
        for (auto& one : outcomes) result_.add(std::move(one));
        result_.is_interrupted = progress_.wants_stop;
    }

    // Tells how far it is, and cuts what does not end, until all connections are done.
    void watch() {
        using clock = std::chrono::steady_clock;
        mutex_lock lock(mutex_);
        const bool tells = how_.interval > 0ms;
        auto next = tells ? began_ + how_.interval : clock::time_point::max();
        for (;;) {
            const auto until = std::min(next, cut_at_);
            const auto is_due = [&]() WHERRY_REQUIRES(mutex_) { return running_ == 0 || cut_at_ < until; };
            if (until == clock::time_point::max())
                changed_.wait(lock, is_due);
            else
                changed_.wait_until(lock, until, is_due);
            if (running_ == 0) break;
            const auto now = clock::now();
            if (now >= cut_at_) {
                cut_at_ = clock::time_point::max();
                for (auto& one : connections_) one->abort();
            }
            if (now >= next) {
                tell_interval(now - began_);
                next += how_.interval;
            }
        }
        if (tells) tell_interval(clock::now() - began_);
    }

    void tell_interval(nanoseconds now) WHERRY_REQUIRES(mutex_) {
        const interval one{told_.end, now, progress_.bytes - told_bytes_, progress_.items - told_items_};
        // At the end there is a rest that says nothing any more.
        if (running_ == 0 && one.bytes == 0 && (one.items == 0 || how_.what.kind == workload::stream)) return;
        told_ = one;
        told_bytes_ += one.bytes;
        told_items_ += one.items;
        if (app_.style == output::json)
            app_.events.write("interval", interval_fields(one));
        else if (app_.style == output::lines)
            app_.terminal.result(interval_line(one, how_.what.kind));
    }

    void interrupt(unsigned count) {
        if (count > 2) ::_exit(to_status(exit_code::interrupted));
        const std::chrono::milliseconds grace = count == 1 ? clocks::cancel_grace : std::chrono::seconds(0);
        app_.signals.end_within(grace);
        const mutex_lock lock(mutex_);
        progress_.wants_stop = true;
        cut_at_ = std::chrono::steady_clock::now() + grace;
        changed_.notify_all();
    }

    exit_code tell() {
        auto code = exit_code::delivered;
        if (result_.is_interrupted) {
            code = exit_code::interrupted;
        } else if (const auto& broken = result_.sum.broken) {
            meeting_.tell(*broken);
            code = exit_code_for(broken->code(), side::here);
        } else if (const auto& failure = result_.sum.first_failure) {
            meeting_.tell(error(*failure->failure, failure->text));
            code = exit_code_for(*failure->failure, failure->is_remote ? side::remote : side::here);
            if (result_.sum.items > 0) code = exit_code::partly;
        }
        auto fields = result_fields(result_);
        fields["exit_code"] = to_status(code);
        if (app_.style == output::json)
            app_.events.write("bench", fields);
        else if (app_.style == output::lines)
            app_.terminal.result(result_text(fields));
        return code;
    }

    application& app_;
    const client_options& how_;
    const made_plugins plugins_;
    const std::string destination_;
    const endpoint here_;
    const send_options sending_;
    dial_report meeting_;
    bench_progress progress_;
    std::vector<std::unique_ptr<measured_sender>> senders_;
    std::vector<std::unique_ptr<bench_connection>> connections_;
    bench_result result_;

    std::chrono::steady_clock::time_point began_;
    interval told_;
    std::uint64_t told_bytes_ = 0, told_items_ = 0;

    mutex mutex_;
    condition changed_;
    std::size_t running_ WHERRY_GUARDED_BY(mutex_) = 0;
    std::chrono::steady_clock::time_point cut_at_ WHERRY_GUARDED_BY(mutex_) =
        std::chrono::steady_clock::time_point::max();
};

}  // namespace

exit_code run_client(application& app, const effective_options& options, const client_options& how) {
    client one(app, options, how);
    return one.run();
}

}  // namespace wherry::app::bench
