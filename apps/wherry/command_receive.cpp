// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>

#include <atomic>

#include "application.hpp"
#include "message_tee.hpp"
#include "receive_report.hpp"
#include "serving.hpp"
#include "wherry/limits.hpp"
#include "wherry/routing_sink.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

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
    receiving(application& app, const effective_options& options, const std::string& address)
        : app_(app),
          options_(options),
          is_raw_(options.boolean("raw")),
          plugins_(make_plugins(options)),
          here_(make_endpoint(app, options, plugins_)),
          sinks_(options),
          address_(address) {
        if (plugins_.protection) require_secure(app, options, *plugins_.protection);
        require_no_overlap(app, options);
    }

    exit_code run() {
        std::atomic<bool> is_over{false};
        serving running(app_);
        receive_report report(app_, is_raw_, detail_of(options_), [&] {
            if (!options_.boolean("once")) return;
            is_over = true;
            running.end();
        });
        message_tee store(sinks_.all(), [&](const delivered_message& message) { report.message(message); });

        receiver_options how;
        how.timing = session_options_of(options_);
        how.max_connections = static_cast<std::size_t>(options_.integer("max-connections"));
        how.max_streams = static_cast<std::size_t>(options_.integer("max-streams"));
        how.observer = &report;
        how.refused = [&](const identity& peer) { report.refused(peer); };
        if (is_raw_) {
            how.raw.emplace();
            how.raw->limits.idle_timeout = options_.duration("raw-idle-timeout");
            if (const auto limit = options_.bytes("raw-max-size"); limit > 0) how.raw->limits.max_bytes = limit;
            how.raw->once = options_.boolean("raw-once");
        }
        running.run(here_, plugins_.transport_name, address_, store, std::move(how),
                    {[this](const receiver& listening) { tell_listening(listening); },
                     [this] { app_.note("stopping; what is in flight has 10 s to end (once more: at once)"); }});
        const auto code = is_over && !running.was_stopped() ? report.outcome() : exit_code::delivered;
        report.finish(code);
        return code;
    }

private:
    bool is_insecure() const noexcept { return plugins_.protection && plugins_.protection->is_insecure(); }

    void tell_listening(const receiver& listening) {
        const auto own = is_raw_ || is_insecure() ? std::nullopt : own_public_key(app_, options_);
        app_.log->info("listening on {}", printable(listening.address()));
        if (app_.style == output::json) {
            auto fields =
                listening_fields(listening, is_raw_ ? std::nullopt : std::optional<std::string>(plugins_.cipher_name));
            const auto& messages = options_.chosen_for(messages_sink).name();
            const auto& files = options_.chosen_for(files_sink).name();
            if (messages == files) fields["sink"] = files;
            fields["sinks"] = {{"messages", messages}, {"files", files}};
            put_own_key(fields, own);
            app_.events.write("listening", fields);
        } else if (app_.style == output::lines) {
            app_.terminal.result(listening_line(listening, own));
        }
        if (is_raw_) {
            app_.log->warn(
                "raw: no cipher and no keys are used; whoever reaches {} over the link can deliver, and is vouched for "
                "by nothing else",
                printable(listening.address()));
        } else if (!is_insecure()) {
            tell_authorized(listening);
        }
    }

    void tell_authorized(const receiver& listening) {
        try {
            if (listening.count_keys() == 0)
                app_.log->warn(
                    "no key is authorised yet, so nobody can send; let a sender in with: wherry authorize "
                    "KEYFILE (its identity.pub), or with the line that it prints");
        } catch (const error& e) {
            app_.log->error("no sender can be let in: {}", printable(e.what()));
        }
    }

    application& app_;
    const effective_options& options_;
    const bool is_raw_;
    const made_plugins plugins_;
    const endpoint here_;
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
                        fmt::format("there is an argument too many: '{}'; one ADDRESS is taken", printable(value)));
        has_address = true;
        const auto parts = split_destination(value);
        const auto& transport = options.chosen(plugin_kind::transport).name();
        if (!parts.scheme.empty() && parts.scheme != transport)
            throw error(errc::bad_input,
                        fmt::format("'{0}' is for the transport {1}, but the transport is {2}; add --transport {1}",
                                    printable(value), parts.scheme, transport));
        address = parts.address;
    }
    return address;
}

exit_code run(application& app) {
    choose_transport_by_address(app);
    std::vector<plugin_kind> kinds = {plugin_kind::transport, plugin_kind::sink};
    if (!app.options.early_flag("raw")) kinds.push_back(plugin_kind::cipher);
    const auto options = app.read_options(kinds);
    return receiving(app, options, read_address(options)).run();
}

}  // namespace

const command& receive_command() {
    static const command described = {receive_syntax(), run, true};
    return described;
}

}  // namespace wherry::app
