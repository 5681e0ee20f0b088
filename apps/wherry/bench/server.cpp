#include "bench/server.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>

#include "bench/bench_report.hpp"
#include "wherry/exchange_server.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/limits.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app::bench {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds stop_grace = 10s;

// Tells of peers that come and go; of what they send the probe tells.
class bench_observer final : public server_observer {
public:
    bench_observer(application& with, receiving_probe& probe, std::function<void()> all_have_gone)
        : with_(with), probe_(probe), all_have_gone_(std::move(all_have_gone)) {}

    void connected(connection_id id, std::string_view address, const identity& peer, std::string_view cipher) override {
        {
            const std::lock_guard lock(mutex_);
            open_[id] = &peer;
        }
        with_.log->info("connected to {} with {}", printable(address), cipher);
        if (with_.style != output::json) return;
        json fields;
        fields["connection"] = id;
        fields["address"] = as_utf8(address);
        put_identity(fields, peer);
        fields["cipher"] = cipher;
        with_.events.write("connected", fields);
    }

    void joined(connection_id id, connection_id other) override {
        {
            const std::lock_guard lock(mutex_);
            const auto whole = open_.find(other);
            if (whole != open_.end()) probe_.joined(open_.at(id), whole->second);
        }
        if (with_.style == output::json) with_.events.write("joined", {{"connection", id}, {"with", other}});
    }

    void delivered(connection_id, transfer_id, const offer& what, const delivery_result& result) override {
        if (result.ok()) return;
        with_.log->warn("{} was not received: {}", describe_item(what), printable(result.text));
        const std::lock_guard lock(mutex_);
        if (!first_cause_) first_cause_ = exit_code_for(*result.failure, result.is_remote ? side::remote : side::here);
    }

    void disconnected(connection_id id, std::string_view address, const std::optional<error>& failure) override {
        if (failure) with_.log->warn("the connection of {} failed: {}", printable(address), printable(failure->what()));
        if (with_.style == output::json) {
            json fields;
            fields["connection"] = id;
            fields["address"] = as_utf8(address);
            fields["ok"] = !failure;
            fields["status"] = failure ? to_string(failure->code()) : "ok";
            if (failure) fields["error"] = as_utf8(failure->what());
            with_.events.write("disconnected", fields);
        }
        bool was_last = false;
        {
            const std::lock_guard lock(mutex_);
            // A sender with several connections opens all of them before it begins.
            was_last = open_.erase(id) > 0 && open_.empty();
            if (was_last && failure && !first_cause_) first_cause_ = exit_code_for(failure->code(), side::here);
        }
        if (was_last) all_have_gone_();
    }

    exit_code outcome() const {
        const std::lock_guard lock(mutex_);
        return first_cause_.value_or(exit_code::delivered);
    }

private:
    application& with_;
    receiving_probe& probe_;
    const std::function<void()> all_have_gone_;
    mutable std::mutex mutex_;
    std::map<connection_id, const identity*> open_;  // what the probe knows it by; it may be gone already
    std::optional<exit_code> first_cause_;
};

class server {
public:
    server(application& with, const effective_options& options, const std::string& address, serving how)
        : with_(with),
          options_(options),
          how_(how),
          address_(address),
          accepted_(keys::authorized_keys_path(with.home())),
          transport_(options.make_transport()),
          cipher_(options.make_cipher()),
          sink_(options.make_sink(to_string(plugin_kind::sink))),
          probe_(*cipher_, *sink_, [this](const received_report& report) { tell(report); }) {
        require_secure(with, options, *cipher_);
        require_no_overlap(with, options);
    }

    exit_code run() {
        std::atomic<exchange_server*> running{nullptr};
        bench_observer observer(with_, probe_, [&] {
            if (how_ != serving::once) return;
            with_.signals.end_within(stop_grace);
            running.load()->stop(stop_grace);
        });
        const sender_gate gate(
            accepted_, cipher_->is_insecure() ? keyless_peers::accept : keyless_peers::refuse,
            {[this](const identity& peer) { refused(peer); },
             [this](const std::string& why) { with_.log->error("no sender can be let in: {}", printable(why)); },
             [this](const std::string& text) { with_.log->warn("{}", text); }});

        server_protocol protocol;
        protocol.protection = &probe_.watched_cipher();
        protocol.cipher_name = options_.chosen(plugin_kind::cipher).name();
        protocol.verify = gate.verifier();
        server_options how;
        how.max_streams = limits::max_streams;
        how.timing = session_options_of(options_);

        raise_descriptor_limit();
        const auto from = probe_.watch(listen());
        exchange_server serving_all(*from, probe_.watched_sink(), protocol, how, observer);
        running = &serving_all;
        bool is_stopped = false;
        {
            const signal_watcher::scope stop(with_.signals, [&](unsigned count) {
                is_stopped = true;
                with_.signals.end_within(count == 1 ? stop_grace : 0s);
                serving_all.stop(count == 1 ? stop_grace : 0s);
            });
            tell_listening(from->address());
            if (const auto shortage = serving_all.shortage(); !shortage.empty()) with_.log->warn("{}", shortage);
            serving_all.run();
        }
        const auto code = how_ == serving::once && !is_stopped ? observer.outcome() : exit_code::delivered;
        if (with_.style == output::json) with_.events.write("done", {{"exit_code", to_status(code)}});
        return code;
    }

private:
    std::unique_ptr<listener> listen() {
        try {
            return transport_->listen(address_);
        } catch (const error& e) {
            // As for receive: a port that is taken is the system's no.
            if (e.code() == errc::bad_input && e.system_error() != 0) throw error(errc::io, e.what(), e.system_error());
            throw;
        }
    }

    void tell_listening(std::string_view address) {
        const auto& transport_name = options_.chosen(plugin_kind::transport).name();
        const auto destination = transport_name + "://" + std::string(address);
        const auto own = cipher_->is_insecure() ? std::nullopt : own_public_key(with_, options_);
        if (with_.style == output::json) {
            json fields;
            fields["transport"] = transport_name;
            fields["address"] = as_utf8(address);
            fields["destination"] = as_utf8(destination);
            fields["cipher"] = options_.chosen(plugin_kind::cipher).name();
            fields["sink"] = options_.chosen(plugin_kind::sink).name();
            if (own) {
                fields["fingerprint"] = own->key.fingerprint();
                fields["public_key"] = own->key.line(own->comment);
            }
            with_.events.write("listening", fields);
        } else if (with_.style == output::lines) {
            with_.terminal.result("listening on " + printable(destination) +
                                  (own ? ", this receiver's key is " + own->key.fingerprint() : std::string()) +
                                  "; measure with: wherry bench --to " + shell_quoted(destination));
        }
    }

    void tell(const received_report& report) {
        if (with_.style == output::json)
            with_.events.write("bench", report_fields(report));
        else if (with_.style == output::lines)
            with_.terminal.result(report_text(report));
    }

    void refused(const identity& peer) {
        with_.log->error("a sender was not let in: its key {} is not authorised; to let it in: {}", peer.fingerprint,
                         authorize_command(peer.public_key, {}));
        if (with_.style != output::json) return;
        json fields;
        put_identity(fields, peer);
        with_.events.write("refused_peer", fields);
    }

    application& with_;
    const effective_options& options_;
    const serving how_;
    const std::string address_;
    const keys::authorized_keys accepted_;
    const std::unique_ptr<transport> transport_;
    const std::unique_ptr<cipher> cipher_;
    const std::unique_ptr<sink> sink_;
    receiving_probe probe_;
};

}  // namespace

exit_code run_server(application& with, const effective_options& options, const std::string& address, serving how) {
    return server(with, options, address, how).run();
}

}  // namespace wherry::app::bench
