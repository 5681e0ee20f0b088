// SPDX-License-Identifier: BSD-2-Clause
#include "manual.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "exit_code.hpp"

namespace wherry::app {

namespace {

constexpr std::array<std::pair<exit_code, const char*>, 13> exit_codes = {{
    {exit_code::delivered, "All was delivered, or done; or a receiver was told to end."},
    {exit_code::internal, "Unexpected: a bug."},
    {exit_code::usage, "Usage: an option, an argument, the configuration or a plugin is wrong, or not found."},
    {exit_code::partly, "Some items were delivered, some failed."},
    {exit_code::refused, "Refused by the receiver or its sink; nothing was delivered. Or a pairing was declined."},
    {exit_code::not_trusted,
     "Trust: not authorised, or a key that is unknown, changed or not proved; or a pairing that failed."},
    {exit_code::link,
     "Link: the peer is not reached, was lost, was silent for too long, or has no version or algorithm in common with "
     "this side."},
    {exit_code::local_io,
     "This side's system: a source or key file cannot be read, nothing can be written, or listened on; no thread "
     "or memory can be had; or it has no Bluetooth."},
    {exit_code::integrity, "Integrity or protocol: altered on the way, or the peer does not follow the protocol."},
    {exit_code::nonconforming, "A plugin does not pass check-plugin."},
    {exit_code::plugin, "A plugin ended the program, or kept it from ending."},
    {exit_code::unchecked, "A plugin fails nothing of check-plugin, but not all of it could be checked."},
    {exit_code::interrupted, "A sender, a search or a pairing was interrupted."},
}};

// Text as roff's readers take it. A hyphen stays one in prose, and is a minus, to be copied, in what is typed.
enum class as { prose, typed };

std::string escaped(std::string_view text, as what = as::prose) {
    std::string safe;
    bool at_line_begin = true;
    for (const char c : text) {
        if (at_line_begin && (c == '.' || c == '\'')) safe += "\\&";
        at_line_begin = c == '\n';
        switch (c) {
            case '\\': safe += "\\e"; break;
            case '~': safe += "\\(ti"; break;
            case '^': safe += "\\(ha"; break;
            case '`': safe += "\\(ga"; break;
            case '\'': safe += "\\(aq"; break;
            case '|': safe += "|\\:"; break;  // a line may break behind it
            case '-': safe += what == as::typed ? "\\-" : "-"; break;
            default: safe += c;
        }
    }
    return safe;
}

std::string bold(std::string_view typed) { return "\\fB" + escaped(typed, as::typed) + "\\fR"; }
std::string italic(std::string_view text) { return "\\fI" + escaped(text, as::typed) + "\\fR"; }

// Lines as the help has them: a blank one parts paragraphs, those that are set in keep their breaks.
std::string paragraphs(std::string_view lines) {
    std::string text = ".PP\n";
    bool is_set_in = false;
    while (!lines.empty()) {
        const auto line = lines.substr(0, lines.find('\n'));
        lines.remove_prefix(std::min(line.size() + 1, lines.size()));
        const auto begin = line.find_first_not_of(' ');
        const bool now_set_in = begin != line.npos && begin > 0;
        if (now_set_in != is_set_in) text += now_set_in ? ".PP\n.nf\n" : ".fi\n.PP\n";
        is_set_in = now_set_in;
        if (begin == line.npos)
            text += text.ends_with(".PP\n") ? "" : ".PP\n";
        else
            text += escaped(line, is_set_in ? as::typed : as::prose) + "\n";
    }
    return is_set_in ? text + ".fi\n" : text;
}

// "[FILE | -]... --to ADDRESS": what is to be typed is bold, what stands for something else is italic.
std::string usage_text(std::string_view usage) {
    std::string text, word;
    const auto flush = [&] {
        if (word.empty()) return;
        const bool is_placeholder = std::all_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
        text += is_placeholder ? italic(word) : bold(word);
        word.clear();
    };
    for (const char c : usage) {
        const bool is_mark = c == ' ' || c == '[' || c == ']' || c == '|' || c == '.' || c == '<' || c == '>';
        if (!is_mark) {
            word += c;
            continue;
        }
        flush();
        text += c;
    }
    flush();
    return text;
}

std::string heading(const std::string& name, char section, const std::string& release, const std::string& date) {
    std::string upper = name;
    for (char& c : upper)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return ".TH " + escaped(upper, as::typed) + " " + section + " " + date + " \"" + release + "\" \"wherry\"\n" +
           ".ad l\n.nh\n";  // long words leave lines that cannot be filled to both margins
}

// The summary as whatis shows it: "sends files, folders and messages".
std::string lower_phrase(std::string summary) {
    if (summary.ends_with('.')) summary.pop_back();
    if (summary.size() > 1 && summary[1] >= 'a' && summary[1] <= 'z' && summary[0] >= 'A' && summary[0] <= 'Z')
        summary[0] = static_cast<char>(summary[0] - 'A' + 'a');
    return summary;
}

std::string option_entry(const std::string& name, char letter, const std::string& placeholder,
                         const plugin_option& row) {
    std::string text = ".TP\n";
    if (letter != 0) text += bold(std::string("-") + letter) + ", ";
    text += bold("--" + name);
    if (row.type != option_type::boolean) text += " " + italic(placeholder);
    return text + "\n" + escaped(explained(row)) + "\n";
}

std::string option_entries(std::span<const command_option> options) {
    std::string text;
    for (const auto& option : options)
        text += option_entry(option.row.name, option.letter, option.placeholder, option.row);
    return text;
}

std::string page_of(const std::string& command) { return "wherry-" + command; }

std::string reference(const std::string& page, char section) {
    return ".BR " + escaped(page, as::typed) + " (" + section + ")";
}

// "SEE ALSO" of pages with their sections.
std::string references(std::span<const std::pair<std::string, char>> pages) {
    std::string text = ".SH SEE ALSO\n";
    for (std::size_t i = 0; i < pages.size(); ++i)
        text += reference(pages[i].first, pages[i].second) + (i + 1 < pages.size() ? ",\n" : "\n");
    return text;
}

std::string command_page(const command_syntax& command, const std::string& release, const std::string& date) {
    const auto name = page_of(command.name);
    std::string text = heading(name, '1', release, date);
    text += ".SH NAME\n" + escaped(name) + " \\- " + escaped(lower_phrase(command.summary)) + "\n";
    text += ".SH SYNOPSIS\n" + bold("wherry " + command.name);
    if (!command.arguments.empty()) text += " " + usage_text(command.arguments);
    text += " [" + italic("OPTION") + "]...\n";
    text += ".SH DESCRIPTION\n" + escaped(command.summary) + "\n";
    if (!command.details.empty()) text += paragraphs(command.details);
    text += ".SH OPTIONS\n" + option_entries(command.options) + (command.options.empty() ? "" : ".PP\n");
    text += "The options that every command has are in\n" + reference("wherry", '1') +
            (command.kinds.empty() ? ".\n" : ",\nthose of plugins in\n" + reference("wherry-plugins", '7') + ".\n");
    if (!command.kinds.empty())
        text += bold("wherry help " + command.name) + " shows them together,\nfor the plugins that are chosen.\n";
    text += ".SH EXIT STATUS\n0 if all went well; the other codes are in\n" + reference("wherry", '1') + ".\n";
    std::vector<std::pair<std::string, char>> others = {{"wherry", '1'}};
    if (!command.kinds.empty()) others.emplace_back("wherry-plugins", '7');
    return text + references(others);
}

std::string program_page(std::span<const command_syntax* const> commands, const std::string& release,
                         const std::string& date) {
    std::string text = heading("wherry", '1', release, date);
    text +=
        ".SH NAME\nwherry \\- encrypted transfers over whatever link there is\n"
        ".SH SYNOPSIS\n\\fBwherry\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR | \\fIOPTION\\fR]...\n.br\n"
        "\\fBwherry help\\fR [\\fICOMMAND\\fR]\n.br\n\\fBwherry version\\fR\n"
        ".SH DESCRIPTION\n"
        "wherry ferries messages and files over whatever link there is: end-to-end encrypted, authenticated by keys, "
        "and\n"
        "through plugins that are chosen by options.\n"
        ".SH COMMANDS\n";
    for (const auto* const one : commands)
        text += ".TP\n" + reference(page_of(one->name), '1') + "\n" + escaped(one->summary) + "\n";
    text += ".SH OPTIONS\nEvery command has these; they may stand before the command, too.\n";
    text += option_entries(common_options());
    text +=
        ".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\nsay which version this is\n"
        ".PP\n"
        "Values are given as \\fB\\-\\-name\\fR \\fIVALUE\\fR or \\fB\\-\\-name=\\fR\\fIVALUE\\fR. Switches need no "
        "value, and\n"
        "take one behind =: \\fB\\-\\-json=false\\fR. Names are not abbreviated. \\fB\\-\\-\\fR ends the options. "
        "Times are\n"
        "written 500ms, 30s, 2m, 1h, 1d; sizes 4096, 64KiB, 1MB.\n"
        ".SH CONFIGURATION\n"
        "The first of these that has a value for an option counts: the command line (\\fB\\-\\-tcp.port 9000\\fR), "
        "the\n"
        "environment (\\fBWHERRY_TCP_PORT=9000\\fR), the configuration file (\\fBport = 9000\\fR below "
        "\\fB[tcp]\\fR), the\n"
        "default.\n"
        ".PP\n.in +4n\n.nf\n"
        "# General options come first, without \\(aq\\-\\-\\(aq.\n"
        "transport = tcp\n\n"
        "# Then the plugins\\(aq options, below their names.\n"
        "[filesystem]\n"
        "directory = /srv/incoming\n"
        ".fi\n.in\n.PP\n"
        "A comment begins with #, at the beginning of a line or behind a blank. A value may stand in quotes, single or "
        "double.\n"
        "One file serves all commands. A file that belongs to another user, or that others can write, is not used.\n"
        ".SH ENVIRONMENT\n"
        ".TP\n.B WHERRY_HOME\nThe folder with keys and settings, unless \\fB\\-\\-home\\fR names it.\n"
        ".TP\n.B XDG_CONFIG_HOME\nIts parent, where neither names it.\n"
        ".TP\n.B WHERRY_PLUGIN_PATH\n"
        "Folders with plugins, with colons between them, behind those of \\fB\\-\\-plugin\\-dir\\fR.\n"
        ".TP\n\\fBWHERRY_\\fR\\fINAME\\fR\n"
        "Any option, in capitals, with _ for . and \\-: \\fBWHERRY_TRANSPORT\\fR, \\fBWHERRY_TCP_PORT\\fR.\n"
        ".SH FILES\n"
        "In \\fB\\-\\-home\\fR, else $WHERRY_HOME, else $XDG_CONFIG_HOME/wherry, else \\(ti/.config/wherry:\n"
        ".TP\n.I identity\nThe private key, for its owner's eyes only.\n"
        ".TP\n.I identity.pub\nIts public key, one OpenSSH line, to be given to others.\n"
        ".TP\n.I authorized_keys\nThe senders that may send here, one OpenSSH line each; looked at again for each "
        "delivery.\n"
        ".TP\n.I known_hosts\nThe receivers that were met, with their keys and the best key exchange with "
        "each.\n"
        ".TP\n.I config\nThe configuration, if there is one.\n"
        ".TP\n.I chat_history\nWhat was typed in wherry chat \\-\\-history.\n"
        ".PP\nFiles in a format of a newer wherry are refused, with a sentence that says what to do.\n"
        ".SH EXIT STATUS\n";
    for (const auto& [code, meaning] : exit_codes)
        text += ".TP\n.B " + std::to_string(to_status(code)) + "\n" + escaped(meaning) + "\n";
    text +=
        ".PP\nWhere nothing was delivered the code is that of the first cause.\n"
        ".SH EXAMPLES\n"
        "The first steps, on two computers:\n"
        ".PP\n.in +4n\n.nf\n"
        "sender$    wherry keygen\n"
        "receiver$  wherry keygen\n"
        "receiver$  wherry authorize \\(aqssh\\-ed25519 AAAA... you@sender\\(aq\n"
        "receiver$  wherry receive\n"
        "sender$    wherry send skull.stl \\-\\-to tcp://RECEIVER\n"
        ".fi\n.in\n.PP\n"
        "The line to authorise is what \\fBwherry keygen\\fR said on the sender. At first contact the sender is shown "
        "the\n"
        "receiver's fingerprint and asked.\n";
    std::vector<std::pair<std::string, char>> others;
    for (const auto* const one : commands) others.emplace_back(page_of(one->name), '1');
    others.emplace_back("wherry-plugins", '7');
    return text + references(others);
}

std::string plugins_page(std::span<const plugin_listing> plugins, const std::string& release, const std::string& date) {
    std::string text = heading("wherry-plugins", '7', release, date);
    text +=
        ".SH NAME\nwherry-plugins \\- the plugins that come with wherry, and their options\n"
        ".SH DESCRIPTION\n"
        "A transport reaches peers, a cipher encrypts and authenticates, a sink takes what is delivered. They are "
        "chosen by\n"
        "\\fB\\-\\-transport\\fR, \\fB\\-\\-cipher\\fR and \\fB\\-\\-sink\\fR, and their options are written\n"
        "\\fB\\-\\-\\fR\\fIPLUGIN\\fR\\fB.\\fR\\fIOPTION\\fR. \\fBwherry plugins\\fR lists what is found on this "
        "machine, and where;\n"
        "\\fBwherry plugins\\fR \\fINAME\\fR shows the options of one.\n"
        ".PP\n"
        "Plugins are files KIND-NAME.so, which are looked for in the folders of \\fB\\-\\-plugin\\-dir\\fR, in those "
        "of\n"
        "\\fBWHERRY_PLUGIN_PATH\\fR, in \\fIlib/wherry\\fR beside the program's own folder, where wherry was "
        "installed, and in\n"
        "\\fI/usr/local/lib/wherry\\fR. Files and folders that other users can write are refused.\n";
    for (const auto& listing : plugins) {
        if (!listing.loaded) continue;
        text += ".SH " + escaped(std::string(to_string(listing.kind)) + " " + listing.name, as::typed) + "\n";
        text += escaped(listing.loaded->summary()) + "\n";
        for (const auto& row : listing.loaded->options())
            text += option_entry(listing.name + "." + row.name, 0, placeholder_of(row), row);
    }
    constexpr std::pair<const char*, char> others[] = {{"wherry", '1'}, {"wherry-plugins", '1'}};
    return text + references(std::vector<std::pair<std::string, char>>(std::begin(others), std::end(others)));
}

}  // namespace

std::map<std::string, std::string> manual_pages(std::span<const command_syntax* const> commands,
                                                std::span<const plugin_listing> plugins, const std::string& release,
                                                const std::string& date) {
    std::map<std::string, std::string> pages;
    pages["wherry.1"] = program_page(commands, release, date);
    for (const auto* const one : commands) pages[page_of(one->name) + ".1"] = command_page(*one, release, date);
    pages["wherry-plugins.7"] = plugins_page(plugins, release, date);
    return pages;
}

}  // namespace wherry::app
