#include "dialer.hpp"

#include <random>

#include "wherry/keys/paths.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

dialer::dialer(application& with, const effective_options& options)
    : with_(with),
      options_(options),
      transport_(options.make_transport()),
      cipher_(options.make_cipher()),
      skipped_([this](const std::string& text) { with_.log->warn("{}", text); }) {
    address_ = split_destination(options.text("to")).address;
    if (address_.empty())
        throw error(errc::bad_input, options.given("to").written + " names no address; write, say, tcp://host:9417");
    canonical_ = canonical_destination(options.chosen(plugin_kind::transport).name(), address_,
                                       options.plugin_value(plugin_kind::transport, "port"));
    require_secure(with, options, *cipher_);
    require_no_overlap(with, options);
}

exchange_options dialer::how() const {
    exchange_options chosen;
    chosen.timing = session_options_of(options_);
    if (options_.text("digest") == "sha256") chosen.content_digest = exchange_options::digest::sha256;
    const auto& word = options_.text("compress");
    using compression = exchange_options::compression;
    chosen.content_compression = word == "zstd"   ? compression::zstd
                                 : word == "auto" ? compression::automatic
                                                  : compression::none;
    return chosen;
}

retry_schedule dialer::retries() const {
    return {static_cast<unsigned>(options_.integer("retry")),
            [numbers = std::mt19937(std::random_device()())]() mutable {
                return std::uniform_real_distribution<double>(0, 1)(numbers);
            }};
}

std::unique_ptr<session> dialer::connect(link_probe* probe) {
    const auto keyless = cipher_->is_insecure() ? keyless_peers::accept : keyless_peers::refuse;
    const auto policy = options_.boolean("accept-new-peer") ? first_contact::remember : first_contact::report;
    const keys::known_hosts known(keys::known_hosts_path(with_.home()));
    receiver_check check(known, canonical_, keyless, policy, skipped_);
    try {
        return meet(check, probe);
    } catch (const error&) {
        if (check.found() == receiver_check::finding::changed) fail_changed(check);
        if (check.found() != receiver_check::finding::unknown) throw;
    }
    // The connection is gone by now: the receiver need not wait for a person to make up their mind.
    ask_about(check);
    check.remember();
    receiver_check again(known, canonical_, keyless, first_contact::report, skipped_);
    try {
        return meet(again, probe);
    } catch (const error&) {
        if (again.found() == receiver_check::finding::changed) fail_changed(again);
        throw;
    }
}

std::shared_ptr<connection> dialer::dial(link_probe* probe) {
    auto link = transport_->connect(address_);
    return probe != nullptr ? probe->watch(std::move(link)) : std::move(link);
}

std::unique_ptr<session> dialer::open(std::shared_ptr<connection> link, link_probe* probe) {
    const auto keyless = cipher_->is_insecure() ? keyless_peers::accept : keyless_peers::refuse;
    const keys::known_hosts known(keys::known_hosts_path(with_.home()));
    receiver_check check(known, canonical_, keyless, first_contact::report, skipped_);
    return session::open(role::initiator, std::move(link), protection(probe),
                         options_.chosen(plugin_kind::cipher).name(), check.verifier(), how().timing);
}

std::unique_ptr<session> dialer::meet(receiver_check& check, link_probe* probe) {
    with_.log->info("connecting to {}", printable(canonical_));
    auto opened = session::open(role::initiator, dial(probe), protection(probe),
                                options_.chosen(plugin_kind::cipher).name(), check.verifier(), how().timing);
    if (check.found() == receiver_check::finding::remembered)
        with_.note("first contact with " + printable(canonical_) + ": its key " + check.peer().fingerprint +
                   " is remembered");
    has_met_ = true;
    with_.log->info("connected to {} with {}", printable(canonical_), opened->describe());
    if (with_.style == output::json) {
        json fields;
        fields["address"] = as_utf8(opened->peer_address());
        fields["destination"] = as_utf8(canonical_);
        put_identity(fields, opened->peer());
        fields["cipher"] = opened->describe();
        with_.events.write("connected", fields);
    }
    return opened;
}

void dialer::ask_about(const receiver_check& check) {
    const auto& peer = check.peer();
    if (!can_ask())
        throw error(errc::auth_failed, "this is the first contact with " + printable(canonical_) +
                                           ", and there is no terminal to ask on "
                                           "whether its key " +
                                           peer.fingerprint +
                                           " is right; compare it with what `wherry keys` says there, "
                                           "then send once from a terminal, or give --accept-new-peer");
    const auto answer = ask_line("This is the first contact with " + printable(canonical_) + ".\nIts key is " +
                                 peer.fingerprint + " (" + peer.algorithm +
                                 ").\nCompare it with what `wherry keys` says there. Trust it from now on? [yes/no] ");
    if (answer != "yes" && answer != "y")
        throw error(errc::auth_failed, "the key of " + printable(canonical_) + " was not accepted; nothing was sent");
}

void dialer::fail_changed(const receiver_check& check) {
    with_.terminal.note(check.changed_warning());
    throw error(errc::auth_failed,
                "the key of " + printable(canonical_) + " has changed to " + check.peer().fingerprint +
                    "; nothing was sent. If the receiver does have a new key: wherry keys --remove " +
                    shell_quoted(canonical_));
}

void dialer::tell(const error& failure, std::string_view advice) const {
    json fields;
    fields["status"] = to_string(failure.code());
    fields["error"] = as_utf8(failure.what());
    with_.log->error("{}{}", printable(failure.what()), advice);
    if (failure.code() == errc::auth_failed && has_met_) {
        // The receiver has been recognised, so it is this side that was not.
        if (const auto own = own_public_key(with_, options_)) {
            const auto line = own->key.line(own->comment);
            fields["public_key"] = line;
            fields["fingerprint"] = own->key.fingerprint();
            with_.terminal.note("To be let in, give the receiver's owner this command with your public key:\n  " +
                                authorize_command(own->key.line(), own->comment));
        }
    }
    if (with_.style == output::json) with_.events.write("error", fields);
}

effective_options read_dialer_options(application& with) {
    // The scheme of the address chooses the transport.
    const auto to = with.options.early("to");
    if (!to || to->empty())
        throw error(errc::bad_input, "where to is not said; give --to ADDRESS, as in --to tcp://host:9417");
    if (const auto scheme = split_destination(*to).scheme; !scheme.empty()) {
        const auto named = with.options.early("transport");
        if (with.options.early_origin("transport") == origin::command_line && named != scheme)
            throw error(errc::bad_input, "--to " + printable(*to) + " is for the transport " + scheme +
                                             ", but --transport says " + named.value_or("") +
                                             "; leave --transport out");
        with.options.choose(plugin_kind::transport, scheme);
    }
    return with.read_options(dialer_kinds);
}

}  // namespace wherry::app
