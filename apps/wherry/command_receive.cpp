#include <atomic>

#include "application.hpp"
#include "receive_report.hpp"
#include "wherry/exchange_server.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/routing_sink.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

using namespace std::chrono_literals;

// What is in flight when a receiver is told to stop may still end within this.
constexpr std::chrono::milliseconds stop_grace = 10s;

// Where deliveries go: one instance of each plugin that is chosen.
class chosen_sinks {
public:
    explicit chosen_sinks(const effective_options& options)
        : files_(options.make_sink(files_sink)),
          messages_(options.chosen_for(messages_sink).name() == options.chosen_for(files_sink).name()
                        ? nullptr
                        : options.make_sink(messages_sink)),
          routed_(*files_) {
        if (messages_) routed_.route(item_kind::message, *messages_);
    }

    sink& all() noexcept { return routed_; }

private:
    const std::unique_ptr<sink> files_, messages_;
    routing_sink routed_;
};

class receiving {
public:
    receiving(application& with, const effective_options& options, const std::string& address)
        : with_(with),
          options_(options),
          is_raw_(options.boolean("raw")),
          accepted_(keys::authorized_keys_path(with.home())),
          transport_(options.make_transport()),
          cipher_(is_raw_ ? nullptr : options.make_cipher()),
          sinks_(options),
          address_(address) {
        if (cipher_) require_secure(with, options, *cipher_);
        require_no_overlap(with, options);
    }

    exit_code run() {
        std::atomic<exchange_server*> running{nullptr};
        std::atomic<bool> is_over{false};
        receive_report report(with_, is_raw_, [&] {
            if (!options_.boolean("once")) return;
            is_over = true;
            with_.signals.end_within(stop_grace);
            if (auto* const serving = running.load()) serving->stop(stop_grace);
        });
        const sender_gate gate(
            accepted_, cipher_ && cipher_->is_insecure() ? keyless_peers::accept : keyless_peers::refuse,
            {[&](const identity& peer) { report.refused(peer); },
             [&](const std::string& why) { with_.log->error("no sender can be let in: {}", printable(why)); },
             [&](const std::string& text) { with_.log->warn("{}", text); }});
        message_tee into(sinks_.all(), report);
        raise_descriptor_limit();

        server_protocol protocol;
        protocol.protection = cipher_.get();
        if (cipher_) protocol.cipher_name = options_.chosen(plugin_kind::cipher).name();
        protocol.verify = gate.verifier();
        protocol.raw.idle_timeout = options_.duration("raw-idle-timeout");
        if (const auto limit = options_.bytes("raw-max-size"); limit > 0) protocol.raw.max_bytes = limit;
        protocol.raw_once = options_.boolean("raw-once");

        server_options limits;
        limits.max_connections = static_cast<std::size_t>(options_.integer("max-connections"));
        limits.max_streams = static_cast<std::size_t>(options_.integer("max-streams"));
        limits.timing = session_options_of(options_);

        const auto from = listen();
        exchange_server serving(*from, into, protocol, limits, report);
        running = &serving;
        bool is_stopped = false;
        {
            const signal_watcher::scope stop(with_.signals, [&](unsigned count) {
                is_stopped = true;
                with_.signals.end_within(count == 1 ? stop_grace : 0s);
                if (count == 1) with_.note("stopping; what is in flight has 10 s to end (once more: at once)");
                serving.stop(count == 1 ? stop_grace : 0s);
            });
            tell_listening(from->address(), gate);
            if (const auto shortage = serving.shortage(); !shortage.empty()) with_.log->warn("{}", shortage);
            serving.run();
        }
        const auto code = is_over && !is_stopped ? report.outcome() : exit_code::delivered;
        report.finish(code);
        return code;
    }

private:
    std::unique_ptr<listener> listen() {
        try {
            return transport_->listen(address_);
        } catch (const error& e) {
            // A port that is taken is a wrong option to the transport, but to the shell it is the system that said no.
            if (e.code() == errc::bad_input && e.system_error() != 0) throw error(errc::io, e.what(), e.system_error());
            throw;
        }
    }

    void tell_listening(std::string_view address, const sender_gate& gate) {
        const auto& transport_name = options_.chosen(plugin_kind::transport).name();
        const auto destination = transport_name + "://" + std::string(address);
        const auto own = is_raw_ || cipher_->is_insecure() ? std::nullopt : own_public_key(with_, options_);
        with_.log->info("listening on {}", printable(destination));
        if (with_.style == output::json) {
            json fields;
            fields["transport"] = transport_name;
            fields["address"] = as_utf8(address);
            fields["destination"] = as_utf8(destination);
            fields["cipher"] = is_raw_ ? json(nullptr) : json(options_.chosen(plugin_kind::cipher).name());
            const auto& messages = options_.chosen_for(messages_sink).name();
            const auto& files = options_.chosen_for(files_sink).name();
            if (messages == files) fields["sink"] = files;
            fields["sinks"] = {{"messages", messages}, {"files", files}};
            if (own) {
                fields["fingerprint"] = own->key.fingerprint();
                fields["public_key"] = own->key.line(own->comment);
            }
            with_.events.write("listening", fields);
        } else if (with_.style == output::lines) {
            with_.terminal.result("listening on " + printable(destination) +
                                  (own ? ", this receiver's key is " + own->key.fingerprint() : std::string()));
        }
        if (is_raw_) {
            with_.log->warn(
                "raw: no cipher and no keys are used; whoever reaches {} over the link can deliver, and is vouched for "
                "by nothing else",
                printable(destination));
        } else if (!cipher_->is_insecure()) {
            tell_authorized(gate);
        }
    }

    void tell_authorized(const sender_gate& gate) {
        try {
            if (gate.count_keys() == 0)
                with_.log->warn(
                    "no key is authorised yet, so nobody can send; let a sender in with: wherry authorize "
                    "KEYFILE (its identity.pub), or with the line that it prints");
        } catch (const error& e) {
            with_.log->error("no sender can be let in: {}", printable(e.what()));
        }
    }

    application& with_;
    const effective_options& options_;
    const bool is_raw_;
    const keys::authorized_keys accepted_;
    const std::unique_ptr<transport> transport_;
    const std::unique_ptr<cipher> cipher_;
    chosen_sinks sinks_;
    const std::string address_;
};

// The address that was given, without its scheme, which must be the transport's.
std::string read_address(const effective_options& options) {
    std::string address;
    bool has_address = false;
    for (const auto& [option, value] : options.arguments()) {
        if (!option.empty()) continue;
        if (has_address)
            throw error(errc::bad_input,
                        "there is an argument too many: '" + printable(value) + "'; one ADDRESS is taken");
        has_address = true;
        const auto parts = split_destination(value);
        const auto& transport = options.chosen(plugin_kind::transport).name();
        if (!parts.scheme.empty() && parts.scheme != transport)
            throw error(errc::bad_input, "'" + printable(value) + "' is for the transport " + parts.scheme +
                                             ", but the transport is " + transport + "; add --transport " +
                                             parts.scheme);
        address = parts.address;
    }
    return address;
}

exit_code run(application& with) {
    for (const auto& argument : with.options.early_arguments()) {
        const auto scheme = split_destination(argument).scheme;
        if (scheme.empty()) continue;
        if (with.options.early_origin("transport") != origin::command_line)
            with.options.choose(plugin_kind::transport, scheme);
        break;
    }
    std::vector<plugin_kind> kinds = {plugin_kind::transport, plugin_kind::sink};
    if (!with.options.early_flag("raw")) kinds.push_back(plugin_kind::cipher);
    const auto options = with.read_options(kinds);
    return receiving(with, options, read_address(options)).run();
}

}  // namespace

const command& receive_command() {
    static const command described = {receive_syntax(), run, true};
    return described;
}

}  // namespace wherry::app
