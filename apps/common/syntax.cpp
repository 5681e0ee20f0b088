// SPDX-License-Identifier: BSD-2-Clause
#include "syntax.hpp"

#include <fmt/format.h>

#include <array>

#include "wherry/keys/private_key.hpp"
#include "wherry/limits.hpp"

namespace wherry::app {

namespace {

command_option transport_option() {
    return text_option("transport", "NAME", "the plugin that reaches peers; see: wherry plugins", "tcp");
}

command_option cipher_option() {
    return text_option("cipher", "NAME", "the plugin that encrypts and authenticates; both sides need the same",
                       "hybrid");
}

command_option insecure_option() {
    return command_line_only(flag("insecure", "allow a cipher that protects nothing, for tests and measurements"));
}

command_option handshake_timeout_option() {
    return duration_option("handshake-timeout", "20s", "how long a peer may take to prove its key", 1, 3'600'000);
}

command_option overlap_option() {
    return choice_option(
        "overlap", {"auto", "on", "off"}, "auto",
        "means nothing any more: auto and off are taken, on is refused; streams are the one way to use more "
        "processors");
}

command_option io_timeout_option() {
    return duration_option("io-timeout", "60s", "silence after which a peer counts as gone", 10'000, 86'400'000);
}

command_option verbose_option() {
    return letter('v', flag("verbose", "tell of each file in folders, and show responses in full"));
}

// The options of a dialer and of an item_sender, with the command's own among them.
std::vector<command_option> dialer_options(std::vector<command_option> own) {
    own.insert(own.begin(), text_option("to", "ADDRESS", "the receiver"));
    const std::vector<command_option> rest = {
        on_by_default(flag("resume", "go on with files, from 1 MiB on, of which the receiver has a part")),
        command_line_only(flag("no-resume", "begin every file anew, and leave no part of one that is cut")),
        integer_option("retry", "N",
                       "try again, up to N times in a row, when the link is lost or not there, or there is no room",
                       "0", 0, 1'000'000),
        choice_option("digest", {"none", "sha256"}, "none",
                      "have the receiver compare a digest of each item's whole content"),
        choice_option("compress", {"auto", "zstd", "none"}, "auto",
                      "compress what shrinks where the link is slow, everything, or nothing"),
        flag("accept-new-peer", "trust a receiver's key at first contact without asking"),
        verbose_option(),
        transport_option(),
        cipher_option(),
        insecure_option(),
        handshake_timeout_option(),
        io_timeout_option(),
        overlap_option(),
    };
    own.insert(own.end(), rest.begin(), rest.end());
    return own;
}

command_option follow_option() {
    return flag("follow", "send what symbolic links inside folders point to; else they are skipped");
}

}  // namespace

std::string_view chat_help() noexcept {
    return "A line is sent as a message, and the receiver's answer is shown.\n"
           "  /file PATH...  sends files and folders; Tab completes, blanks are quoted: 'a b', \"a b\", a\\ b\n"
           "  //TEXT         sends /TEXT\n"
           "  /help          shows this\n"
           "  /quit          ends, as Ctrl-D does\n"
           "Ctrl-C clears the line, or cancels what is being sent.";
}

const command_syntax& keygen_syntax() {
    static const command_syntax syntax = {
        "keygen",
        "",
        "Makes this side's key pair, 'identity' and 'identity.pub' in wherry's home folder.",
        "",
        {
            choice_option("type", {"ed25519", "rsa"}, "ed25519", "what kind of key"),
            integer_option("bits", "N", fmt::format("size of an RSA key (default: {})", keys::default_rsa_bits),
                           std::nullopt, static_cast<std::int64_t>(keys::min_rsa_bits),
                           static_cast<std::int64_t>(keys::max_rsa_bits)),
            command_line_only(text_option("comment", "TEXT", "the key's name for people (default: user@host)")),
            command_line_only(flag("force", "replace the key that is there")),
            command_line_only(flag("passphrase", "encrypt the private key with a passphrase, asked on the terminal")),
        },
        {}};
    return syntax;
}

const command_syntax& authorize_syntax() {
    static const command_syntax syntax = {
        "authorize",
        "KEYFILE | LINE | FOLDER...",
        "Lets senders in: adds their public keys to 'authorized_keys' in wherry's home folder.",
        "A line is what wherry keygen prints, in quotes. Of a folder every *.pub is taken. A receiver that is\n"
        "running knows at once.",
        {},
        {}};
    return syntax;
}

const command_syntax& keys_syntax() {
    static const command_syntax syntax = {
        "keys",
        "[--remove FINGERPRINT | ADDRESS | COMMENT]",
        "Lists this side's key, the keys that may send here, and the receivers that were met.",
        "",
        {
            repeatable(command_line_only(text_option(
                "remove", "WHICH", "forget a receiver, by its address, or a key, by its fingerprint or comment"))),
        },
        {}};
    return syntax;
}

const command_syntax& receive_syntax() {
    static const command_syntax syntax = {
        "receive",
        "[ADDRESS]",
        "Receives what authorised senders send, until it is interrupted.",
        "ADDRESS is where to listen: [HOST][:PORT] for tcp, all addresses without HOST or with *; without ADDRESS, at "
        "the\n"
        "transport's default. --hybrid.kem x25519-mlkem768 refuses senders without a post-quantum key exchange.",
        {
            transport_option(),
            cipher_option(),
            text_option("sink", "NAME", "the plugin that deliveries go to; see: wherry plugins", "filesystem"),
            text_option(messages_sink, "NAME", "the same for messages; else that of --sink"),
            text_option(files_sink, "NAME", "the same for files, folders and piped data; else that of --sink"),
            integer_option("max-connections", "N", "senders served at once; further ones wait for one of them to end",
                           "256", 1, 100'000),
            integer_option("max-streams", "N", "connections that one sender may use at once (its --streams)",
                           std::to_string(limits::usual_streams), 1, limits::max_streams),
            command_line_only(flag("once", "end after the first connection")),
            flag("raw",
                 "store all bytes that a peer sends, each silence or close ends one delivery: no protocol, cipher or "
                 "keys; only the link vouches for such a peer"),
            flag("raw-once", "with --raw: close a connection after its first delivery"),
            duration_option("raw-idle-timeout", "5s", "with --raw: silence that ends a delivery; 0 waits for ever", 0,
                            86'400'000),
            size_option("raw-max-size", "0", "with --raw: the most that one delivery may be; 0 for any size"),
            verbose_option(),
            insecure_option(),
            handshake_timeout_option(),
            io_timeout_option(),
            overlap_option(),
        },
        {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink},
        {{plugin_kind::sink, {messages_sink, files_sink}}}};
    return syntax;
}

const command_syntax& send_syntax() {
    static const command_syntax syntax = {
        "send",
        "[FILE | FOLDER | -]... [--message TEXT]... --to ADDRESS",
        "Sends files, folders, messages and standard input ('-'), in the order given.",
        "ADDRESS is tcp://HOST[:PORT], rfcomm://DEVICE[/CHANNEL], or what the transport named by --transport takes.\n"
        "--hybrid.kem x25519-mlkem768 insists on a post-quantum key exchange, which takes Botan 3 on both sides.",
        dialer_options({
            letter('m',
                   repeatable(command_line_only(text_option("message", "TEXT", "send this text; may be repeated")))),
            command_line_only(text_option("name", "NAME", "what standard input is called", "stdin")),
            follow_option(),
            flag("update",
                 "ask of every file, also of small ones, whether the receiver has it from this sender, and send only "
                 "the "
                 "rest"),
            integer_option("streams", "N", "use up to N connections at once, where one cannot fill the path", "1", 1,
                           limits::max_streams),
        }),
        {plugin_kind::transport, plugin_kind::cipher}};
    return syntax;
}

const command_syntax& chat_syntax() {
    static const command_syntax syntax = {
        "chat",
        "--to ADDRESS",
        "Sends each line that is typed, or comes from a pipe, as a message, and shows the answers.",
        fmt::format("ADDRESS is as for wherry send. {}", chat_help()),
        dialer_options({
            follow_option(),
            flag("history", "keep what is typed in a file, for the next chat; else it is forgotten at the end"),
            flag("no-history", "do not even remember it during the chat"),
        }),
        {plugin_kind::transport, plugin_kind::cipher}};
    return syntax;
}

const command_syntax& devices_syntax() {
    static const command_syntax syntax = {
        "devices",
        "",
        "Looks for devices around, and tells which of them run a receiver.",
        "Shown as they are found, the nearest first. Devices that are paired are listed even if they are not near:\n"
        "they have no signal then. Ctrl-C ends it with what was found.",
        {
            text_option("transport", "NAME", "the plugin that looks for peers; see: wherry plugins", "rfcomm"),
            duration_option("limit", "10s", "how long to look", 1'000, 3'600'000),
        },
        {plugin_kind::transport}};
    return syntax;
}

const command_syntax& pair_syntax() {
    static const command_syntax syntax = {
        "pair",
        "ADDRESS",
        "Pairs this device with another one, so that the link between them can be encrypted.",
        "ADDRESS is as for --to; wherry devices shows those around. Both sides show a code: compare them, and answer\n"
        "on both. Once is enough.",
        {
            text_option("transport", "NAME", "the plugin that reaches peers; see: wherry plugins", "rfcomm"),
            duration_option("limit", "30s", "how long to try, without the time that questions wait for an answer",
                            1'000, 3'600'000),
            command_line_only(flag("yes",
                                   "pair without asking with a device that shows no code; a code is always to be "
                                   "compared by a person")),
        },
        {plugin_kind::transport}};
    return syntax;
}

const command_syntax& plugins_syntax() {
    static const command_syntax syntax = {
        "plugins", "[NAME...]", "Lists the plugins that are found, and where; with a name, its options, too.",
        "",        {},          {}};
    return syntax;
}

const command_syntax& new_plugin_syntax() {
    static const command_syntax syntax = {
        "new-plugin",
        "transport|cipher|sink NAME",
        "Writes a folder with the beginning of a plugin: a source, a CMake file and a test.",
        "It builds, passes check-plugin and carries deliveries as it is, though the cipher protects nothing;\n"
        "docs/writing-plugins.md goes on from there.",
        {
            command_line_only(
                choice_option("language", {"c++", "c"}, "c++", "what the source is written in; C for sinks only")),
            command_line_only(
                text_option("directory", "DIR", "the folder to write (default: KIND-NAME); nothing is overwritten")),
        },
        {}};
    return syntax;
}

const command_syntax& check_plugin_syntax() {
    static const command_syntax syntax = {
        "check-plugin",
        "FILE [--PLUGIN.OPTION VALUE]...",
        "Checks a plugin against what its kind has to do, each case in a process of its own.",
        "FILE is KIND-NAME.so, anywhere. Each case runs in an empty folder, with a home of its own. The plugin's "
        "options\n"
        "are those of the command line; for their default, leave them out.",
        {
            command_line_only(flag("list", "show the cases, and what may be promised")),
            command_line_only(repeatable(text_option("case", "NAME", "run this one only; may be repeated"))),
            command_line_only(repeatable(
                text_option("promise", "WORD",
                            "what the plugin is known to do; its cases are then never skipped; may be repeated"))),
            command_line_only(
                duration_option("time-limit", "20s", "how long one call into the plugin may take", 100, 600'000)),
            command_line_only(text_option("offer-name", "NAME", "sinks: the end of each name that is offered")),
            command_line_only(text_option("offer-kind", "WORD", "sinks: offer file, data or message")),
            command_line_only(text_option("content", "FILE", "sinks: content that the sink takes, if not any")),
            command_line_only(text_option("read-back", "COMMAND",
                                          "sinks: for the shell, writes what is stored under $WHERRY_NAME to its "
                                          "standard output, and fails if nothing is")),
            command_line_only(flag("allow-unchecked", "end with 0, not with 11, if something cannot be checked")),
            command_line_only(text_option("address", "ADDRESS", "transports: where to listen")),
            command_line_only(repeatable(text_option(
                "bad-address", "ADDRESS", "transports: one of the wrong form, to be refused; may be repeated"))),
            command_line_only(
                integer_option("connections", "N", "transports: how many the link bears at once", "50", 1, 10'000)),
            command_line_only(text_option("key-type", "WORD", "ciphers: ed25519 or rsa", "ed25519")),
        },
        {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink},
        {},
        true};
    return syntax;
}

const command_syntax& bench_syntax() {
    static const command_syntax syntax = {
        "bench",
        "--serve [ADDRESS] | --to ADDRESS | --local",
        "Measures how fast this host and another one are, and what limits them.",
        "One host receives, with --serve; the other one sends, with --to, for ten seconds. Both show which part of "
        "the\n"
        "time went where: source, cipher, transport, sink. A plain wherry receive will do for the other side, too.\n"
        "With --local both sides are here, with keys of their own, and every cipher has its turn.",
        {
            letter('s', command_line_only(flag("serve", "receive, and measure what comes"))),
            text_option("to", "ADDRESS", "send to this receiver, and measure"),
            command_line_only(flag("local", "be both sides, each a process with keys that are thrown away")),
            choice_option("workload", {"stream", "files", "messages"}, "stream",
                          "what to send: one stream, many files, or many messages, each of which is answered"),
            letter('t', command_line_only(duration_option("time", "10s", "stream: how long to send", 1, 86'400'000))),
            letter('n', command_line_only(size_option("bytes", std::nullopt, "stream: how much each sender sends"))),
            command_line_only(
                text_option("source", "FILE", "stream: send this file, not what lies in memory; to its end")),
            command_line_only(
                integer_option("files", "N", "files: how many each sender sends", "10000", 1, 100'000'000)),
            command_line_only(
                integer_option("messages", "N", "messages: how many each sender sends", "100000", 1, 100'000'000)),
            command_line_only(integer_option("singles", "N",
                                             "messages: how many to send one at a time after that, each when the one "
                                             "before is answered",
                                             "1000", 0, 10'000'000)),
            command_line_only(
                size_option("size", std::nullopt, "files, messages: the size of each; else 4 KiB and 100 bytes")),
            letter('P',
                   command_line_only(integer_option("senders", "N", "senders at once, with connections of their own",
                                                    "1", 1, max_bench_senders))),
            command_line_only(integer_option(
                "streams", "N", "connections that carry what one sender sends, where one cannot fill the path", "1", 1,
                limits::max_streams)),
            letter('i', command_line_only(duration_option("interval", "1s", "tell so often how far it is; 0 for never",
                                                          0, 86'400'000))),
            command_line_only(text_option("compare", "NAME[=VALUE,VALUE...]",
                                          "with --local: measure with each value of 'cipher', or of an option of a "
                                          "plugin; without --cipher, each cipher")),
            command_line_only(integer_option(
                "rounds", "N", "with --local: how often, in turns where something is compared", "1", 1, 1000)),
            letter('1', command_line_only(flag("once", "with --serve: end after the first sender"))),
            text_option("sink", "NAME", "with --serve: the plugin that deliveries go to; only from the command line",
                        "null"),
            choice_option("digest", {"none", "sha256"}, "none",
                          "have the receiver compare a digest of each item's whole content"),
            choice_option("compress", {"auto", "zstd", "none"}, "none",
                          "compress what shrinks where the link is slow, everything, or nothing"),
            flag("accept-new-peer", "trust a receiver's key at first contact without asking"),
            transport_option(),
            cipher_option(),
            insecure_option(),
            handshake_timeout_option(),
            io_timeout_option(),
            overlap_option(),
        },
        {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink}};
    return syntax;
}

std::span<const command_syntax* const> all_syntax() {
    static const std::array all = {&keygen_syntax(),  &authorize_syntax(),  &keys_syntax(),         &receive_syntax(),
                                   &send_syntax(),    &chat_syntax(),       &devices_syntax(),      &pair_syntax(),
                                   &plugins_syntax(), &new_plugin_syntax(), &check_plugin_syntax(), &bench_syntax()};
    return all;
}

}  // namespace wherry::app
