// SPDX-License-Identifier: BSD-2-Clause
#include "application.hpp"

#include <fmt/format.h>
#include "wherry/keys/authorized_keys.hpp"
#include "wherry/keys/known_hosts.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/keys/private_key.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

json describe(const keys::public_key& key) {
    json fields;
    fields["fingerprint"] = key.fingerprint();
    fields["algorithm"] = key.algorithm();
    fields["bits"] = key.bits();
    fields["public_key"] = key.line();
    return fields;
}

std::string row(const keys::public_key& key, const std::string& rest) {
    return fmt::format("  {} {} {}{}", key.fingerprint(), to_string(key.type()), key.bits(),
                       rest.empty() ? "" : "  " + printable(rest));
}

keys::secret_text ask_passphrase(const std::filesystem::path& key_file) {
    constexpr std::size_t most_bytes = 1024;
    keys::secret_text answer(most_bytes);
    answer.resize(ask_secret(fmt::format("Passphrase of {}: ", printable(key_file.native())), answer));
    return answer;
}

class listing_keys {
public:
    explicit listing_keys(application& app)
        : app_(app), accepted_(keys::authorized_keys_path(app.home())), known_(keys::known_hosts_path(app.home())) {}

    void list() {
        own();
        const auto accepted = accepted_.read();
        warn(accepted_.path(), accepted.skipped);
        heading("authorized to send here:", accepted.entries.empty());
        for (const auto& entry : accepted.entries) tell("authorized", entry.key, entry.comment, {}, entry.comment);
        const auto known = known_.read();
        warn(known_.path(), known.skipped);
        heading("known receivers:", known.entries.empty());
        for (const auto& entry : known.entries)
            tell("known", entry.key, entry.comment, entry.address,
                 entry.address + (entry.comment.empty() ? "" : " " + entry.comment));
    }

    void remove(const std::string& which) {
        const auto from_accepted = accepted_.remove(which);
        const auto from_known = known_.remove(which);
        if (from_accepted + from_known == 0)
            throw error(errc::bad_input,
                        fmt::format("no authorized key and no known receiver is '{}'; wherry keys lists the "
                                    "fingerprints, addresses and comments there are",
                                    printable(which)));
        if (app_.style == output::json) {
            json fields;
            put_name(fields, "name", which);
            fields["authorized"] = from_accepted;
            fields["known"] = from_known;
            app_.events.write("removed", fields);
        } else if (app_.style == output::lines) {
            if (from_accepted > 0)
                app_.terminal.result(fmt::format("no longer authorized: {} ({} {})", printable(which), from_accepted,
                                                 from_accepted == 1 ? "key" : "keys"));
            if (from_known > 0)
                app_.terminal.result(fmt::format("forgotten: {} ({} {})", printable(which), from_known,
                                                 from_known == 1 ? "receiver" : "receivers"));
        }
    }

    // That of this side's own key, if it could not be shown.
    exit_code outcome() const { return own_failure_.value_or(exit_code::delivered); }

private:
    void own() {
        const auto file = keys::identity_path(app_.home());
        std::error_code none;
        if (!std::filesystem::exists(std::filesystem::symlink_status(file, none))) {
            heading("own:", true);
            app_.note("there is no key of this side yet; make one with: wherry keygen");
            return;
        }
        heading("own:", false);
        try {
            const auto line =
                keys::read_own_public_key(file, can_ask() ? keys::passphrase_source(ask_passphrase) : nullptr);
            tell("own", line.key, line.comment, {}, line.comment);
            if (app_.style == output::lines) app_.terminal.result("  " + line.key.line(line.comment));
        } catch (const error& e) {
            own_failure_ = exit_code_for(e.code(), side::here);
            app_.terminal.note(fmt::format("the key of this side is not shown: {}", printable(e.what())));
        }
    }

    void heading(const std::string& text, bool is_empty) {
        if (app_.style == output::lines) app_.terminal.result(text + (is_empty ? " none" : ""));
    }

    void tell(const char* role, const keys::public_key& key, const std::string& comment, const std::string& address,
              const std::string& rest) {
        if (app_.style == output::json) {
            json fields;
            fields["role"] = role;
            fields.update(describe(key));
            fields["comment"] = as_utf8(comment);
            if (!address.empty()) fields["address"] = as_utf8(address);
            app_.events.write("key", fields);
        } else if (app_.style == output::lines) {
            app_.terminal.result(row(key, rest));
        }
    }

    void warn(const std::filesystem::path& file, const std::vector<keys::skipped_line>& skipped) {
        for (const auto& line : skipped) app_.log->warn("{}", skipped_text(file, line));
    }

    application& app_;
    std::optional<exit_code> own_failure_;
    const keys::authorized_keys accepted_;
    const keys::known_hosts known_;
};

exit_code run(application& app) {
    const auto options = app.read_options({});
    listing_keys job(app);
    bool removes = false;
    for (const auto& [option, value] : options.arguments()) {
        if (option.empty())
            throw error(errc::bad_input, fmt::format("keys takes no argument, but got '{}'; to remove a key: --remove",
                                                     printable(value)));
        job.remove(value);
        removes = true;
    }
    if (!removes) job.list();
    return job.outcome();
}

}  // namespace

const command& keys_command() {
    static const command described = {keys_syntax(), run};
    return described;
}

}  // namespace wherry::app
