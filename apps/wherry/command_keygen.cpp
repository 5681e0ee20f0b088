// SPDX-License-Identifier: BSD-2-Clause
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "application.hpp"
#include "wherry/keys/paths.hpp"
#include "wherry/keys/private_key.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_passphrase_bytes = 1024;

keys::secret_text ask(const std::string& prompt) {
    keys::secret_text answer(most_passphrase_bytes);
    answer.resize(ask_secret(prompt, answer));
    return answer;
}

keys::secret_text ask_new_passphrase() {
    auto first = ask("New passphrase: ");
    if (first.empty()) throw error(errc::bad_input, "an empty passphrase protects nothing; leave --passphrase out");
    if (first != ask("The same again: "))
        throw error(errc::bad_input, "the two passphrases differ; nothing was written");
    return first;
}

std::string default_comment() {
    std::array<char, 256> host{};
    if (::gethostname(host.data(), host.size() - 1) != 0) return "wherry";
    const char* user = std::getenv("USER");
    return (user != nullptr && *user != '\0' ? std::string(user) + "@" : std::string()) + host.data();
}

exit_code run(application& app) {
    const auto options = app.read_options({});
    if (!options.arguments().empty())
        throw error(errc::bad_input,
                    fmt::format("keygen takes no argument, but got '{}'; --comment gives the key a name",
                                printable(options.arguments().front().value)));
    const auto type = keys::parse_key_type(options.text("type"));
    std::size_t bits = keys::default_rsa_bits;
    if (options.has("bits")) {
        if (type != keys::key_type::rsa)
            throw error(errc::bad_input, fmt::format("{}: an Ed25519 key has one size; leave it out, or add --type rsa",
                                                     options.given("bits").written));
        bits = static_cast<std::size_t>(options.integer("bits"));
    }
    const auto comment = options.has("comment") ? options.text("comment") : default_comment();

    const auto file = keys::identity_path(app.home());
    const auto public_file = keys::identity_public_path(app.home());
    const bool replace = options.boolean("force");
    std::error_code none;
    if (!replace && fs::exists(fs::symlink_status(file, none)))
        throw error(errc::bad_input,
                    fmt::format("there is a key already, {}; --force replaces it, and then whoever knows the old one "
                                "must learn the new one",
                                file.string()));

    const auto key_comment_checked = [&](const keys::private_key& key) { return key.public_part().line(comment); };
    keys::secret_text passphrase;
    if (options.boolean("passphrase")) passphrase = ask_new_passphrase();
    if (type == keys::key_type::rsa) app.note("making an RSA key; this may take a while");
    const auto key = keys::private_key::generate(type, bits);
    const auto line = key_comment_checked(key);
    key.save(file, passphrase, replace ? keys::if_exists::replace : keys::if_exists::refuse);
    keys::write_public_key_file(public_file, key.public_part(), comment);

    const auto fingerprint = key.public_part().fingerprint();
    if (app.style == output::json) {
        json fields;
        fields["file"] = as_utf8(file.native());
        fields["public_file"] = as_utf8(public_file.native());
        fields["type"] = to_string(type);
        fields["bits"] = key.public_part().bits();
        fields["fingerprint"] = fingerprint;
        fields["public_key"] = line;
        app.events.write("key", fields);
    } else if (app.style == output::lines) {
        app.terminal.result(fingerprint + " " + printable(comment));
        app.terminal.result(line);
        app.terminal.note(
            fmt::format("The private key is in {}, and is to stay there; the line above is in {}.\n"
                        "To send: have the receiver's owner run this with your line:\n"
                        "  {}\n"
                        "To receive: run wherry authorize with the senders' lines, then wherry receive.",
                        file.string(), public_file.string(), authorize_command(key.public_part().line(), comment)));
    }
    return exit_code::delivered;
}

}  // namespace

const command& keygen_command() {
    static const command described = {keygen_syntax(), run};
    return described;
}

}  // namespace wherry::app
