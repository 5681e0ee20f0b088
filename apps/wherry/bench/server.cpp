// SPDX-License-Identifier: BSD-2-Clause
#include "bench/server.hpp"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "bench/bench_report.hpp"
#include "serving.hpp"
#include "syntax.hpp"
#include "wherry/limits.hpp"
#include "wherry/mutex.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app::bench {

namespace {

// Tells of peers that come and go; of what they send the probe tells.
class bench_observer final : public server_observer {
public:
    bench_observer(application& app, receiving_probe& probe, std::function<void()> all_have_gone)
        : app_(app), probe_(probe), all_have_gone_(std::move(all_have_gone)) {}

    void connected(connection_id id, std::string_view address, const identity& peer, std::string_view cipher) override {
        {
            const mutex_lock lock(mutex_);
            open_[id] = &peer;
        }
        app_.log->info("connected to {} with {}", printable(address), cipher);
        if (app_.style == output::json) app_.events.write("connected", connected_fields(id, address, peer, cipher));
    }

    void joined(connection_id id, connection_id other) override {
        {
            const mutex_lock lock(mutex_);
            const auto whole = open_.find(other);
            if (whole != open_.end()) probe_.joined(open_.at(id), whole->second);
        }
        if (app_.style == output::json) app_.events.write("joined", {{"connection", id}, {"with", other}});
    }

    void delivered(connection_id, transfer_id, const offer& what, const delivery_result& result) override {
        if (result.ok()) return;
        app_.log->warn("{} was not received: {}", describe_item(what), printable(result.text));
        const mutex_lock lock(mutex_);
        if (!first_cause_) first_cause_ = exit_code_for(*result.failure, result.is_remote ? side::remote : side::here);
    }

    void disconnected(connection_id id, std::string_view address, const std::optional<error>& failure) override {
        if (failure) app_.log->warn("the connection of {} failed: {}", printable(address), printable(failure->what()));
        if (app_.style == output::json) app_.events.write("disconnected", disconnected_fields(id, address, failure));
        bool was_last = false;
        {
            const mutex_lock lock(mutex_);
            // A sender with several connections opens all of them before it begins.
            was_last = open_.erase(id) > 0 && open_.empty();
            if (was_last && failure && !first_cause_) first_cause_ = exit_code_for(failure->code(), side::here);
        }
        if (was_last) all_have_gone_();
    }

    exit_code outcome() const {
        const mutex_lock lock(mutex_);
        return first_cause_.value_or(exit_code::delivered);
    }

private:
    application& app_;
    receiving_probe& probe_;
    const std::function<void()> all_have_gone_;
    mutable mutex mutex_;
    std::map<connection_id, const identity*> open_
        WHERRY_GUARDED_BY(mutex_);  // what the probe knows it by; it may be gone already
    std::optional<exit_code> first_cause_ WHERRY_GUARDED_BY(mutex_);
};

class server {
public:
    server(application& app, const effective_options& options, const std::string& address, bench::serving how)
        : app_(app),
          options_(options),
          how_(how),
          address_(address),
          plugins_(make_plugins(options)),
          sink_(options.make_sink(to_string(plugin_kind::sink))),
          probe_(*plugins_.protection, *sink_, [this](const received_report& report) { tell(report); }),
          here_(make_endpoint(app, options, watched_plugins())) {
        require_secure(app, options, *plugins_.protection);
        require_no_overlap(app, options);
    }

    exit_code run() {
        app::serving running(app_);
        bench_observer observer(app_, probe_, [&] {
            if (how_ == bench::serving::once) running.end();
        });
        receiver_options how;
        // One sender that waits for another to end would not be measured at once with it.
        how.max_connections = max_bench_senders;
        how.max_streams = limits::max_streams;
        how.timing = session_options_of(options_);
        how.observer = &observer;
        how.refused = [this](const identity& peer) { refused(peer); };
        running.run(here_, plugins_.transport_name, address_, probe_.watched_sink(), std::move(how),
                    {[this](const receiver& listening) { tell_listening(listening); }, nullptr});
        const auto code =
            how_ == bench::serving::once && !running.was_stopped() ? observer.outcome() : exit_code::delivered;
        if (app_.style == output::json) app_.events.write("done", {{"exit_code", to_status(code)}});
        return code;
    }

private:
    made_plugins watched_plugins() {
        auto watched = plugins_;
        watched.make_link = [this] { return std::make_shared<watched_transport>(plugins_.make_link(), probe_); };
        watched.protection = {std::shared_ptr<void>(), &probe_.watched_cipher()};  // the probe's
        return watched;
    }

    void tell_listening(const receiver& listening) {
        const auto own = plugins_.protection->is_insecure() ? std::nullopt : own_public_key(app_, options_);
        if (app_.style == output::json) {
            auto fields = listening_fields(listening, plugins_.cipher_name);
            fields["sink"] = options_.chosen(plugin_kind::sink).name();
            put_own_key(fields, own);
            app_.events.write("listening", fields);
        } else if (app_.style == output::lines) {
            app_.terminal.result(fmt::format("{}; measure with: wherry bench --to {}", listening_line(listening, own),
                                             shell_quoted(listening.address())));
        }
    }

    void tell(const received_report& report) {
        if (app_.style == output::json)
            app_.events.write("bench", report_fields(report));
        else if (app_.style == output::lines)
            app_.terminal.result(report_text(report));
    }

    void refused(const identity& peer) {
        app_.log->error("a sender was not let in: its key {} is not authorised; to let it in: {}", peer.fingerprint,
                        authorize_command(peer.public_key, {}));
        if (app_.style != output::json) return;
        json fields;
        put_identity(fields, peer);
        app_.events.write("refused_peer", fields);
    }

    application& app_;
    const effective_options& options_;
    const bench::serving how_;
    const std::string address_;
    const made_plugins plugins_;
    const std::unique_ptr<sink> sink_;
    receiving_probe probe_;
    const endpoint here_;
};

}  // namespace

exit_code run_server(application& app, const effective_options& options, const std::string& address, serving how) {
    return server(app, options, address, how).run();
}

}  // namespace wherry::app::bench
