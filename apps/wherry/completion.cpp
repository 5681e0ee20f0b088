// SPDX-License-Identifier: BSD-2-Clause
#include "completion.hpp"

#include <algorithm>
#include <utility>

#include "wherry/text.hpp"

namespace wherry::app {

namespace {

using word_kind = completion::word_kind;

// A name that is one of a plugin's: "sink", or "files-sink".
std::optional<plugin_kind> kind_named_by(std::string_view option) {
    for (const auto kind : {plugin_kind::transport, plugin_kind::cipher, plugin_kind::sink}) {
        const auto name = to_string(kind);
        if (option == name) return kind;
        if (option.ends_with(name) && option[option.size() - name.size() - 1] == '-') return kind;
    }
    return std::nullopt;
}

// An option as it stands on a command line.
struct occurrence {
    const command_option* general = nullptr;  // none for a plugin's
    std::string name;
    std::optional<std::string> value;  // behind '='
};

class completer {
public:
    completer(std::span<const command_syntax* const> commands, std::span<const std::string> words,
              const completion_facts& facts)
        : commands_(commands), words_(words), facts_(facts) {}

    completion run() {
        if (words_.empty()) return {};
        typed_ = words_.back();
        const std::string* awaiting = nullptr;  // the option that the typed word is the value of
        bool only_arguments = false, has_help = false;
        std::optional<std::string> command_name;
        for (const auto& word : words_.first(words_.size() - 1)) {
            if (awaiting != nullptr) {
                remember(*awaiting, word);
                awaiting = nullptr;
            } else if (!only_arguments && word == "--") {
                only_arguments = true;
            } else if (!only_arguments && word.size() > 1 && word.front() == '-') {
                const auto option = read(word);
                if (option.value)
                    remember(word, *option.value);
                else if (takes_word(option))
                    awaiting = &word;
            } else if (!command_name) {
                command_name = word;
                if (word == "help") has_help = true;
                command_ = find_command(word);
            } else {
                ++arguments_;
            }
        }
        if (awaiting != nullptr) return value_of(read(*awaiting), typed_, "");
        if (!only_arguments && typed_.starts_with('-')) {
            const auto equals = typed_.find('=');
            if (equals == typed_.npos) return options();
            return value_of(read(typed_.substr(0, equals)), typed_.substr(equals + 1), typed_.substr(0, equals + 1));
        }
        if (!command_name) return command_names(true);
        if (has_help) return arguments_ == 0 ? command_names(false) : completion();
        return command_ == nullptr ? completion() : argument();
    }

private:
    const command_syntax* find_command(std::string_view name) const {
        for (const auto* const one : commands_)
            if (one->name == name) return one;
        return nullptr;
    }

    template <class Condition>
    const command_option* find_option(const Condition& fits) const {
        if (command_ != nullptr)
            for (const auto& option : command_->options)
                if (fits(option)) return &option;
        for (const auto& option : common_options())
            if (fits(option)) return &option;
        return nullptr;
    }

    occurrence read(std::string_view word) const {
        occurrence found;
        if (!word.starts_with("--")) {
            // The last of letters that are written together may take a value.
            const char last = word.back();
            found.general = find_option([&](const command_option& o) { return o.letter != 0 && o.letter == last; });
            if (found.general != nullptr) found.name = found.general->row.name;
            return found;
        }
        word.remove_prefix(2);
        const auto equals = word.find('=');
        found.name = word.substr(0, equals);
        if (equals != word.npos) found.value = word.substr(equals + 1);
        found.general = find_option([&](const command_option& o) { return o.row.name == found.name; });
        return found;
    }

    bool takes_word(const occurrence& option) {
        if (option.general != nullptr) return option.general->row.type != option_type::boolean;
        const auto row = plugin_row(option.name);
        return row && row->type != option_type::boolean;
    }

    // What was given of options that tell where to look.
    void remember(std::string_view word, const std::string& value) {
        const auto name = read(word).name;
        if (name == "plugin-dir") plugin_dirs_.push_back(value);
        if (name == "home") home_ = value;
        if (const auto kind = kind_named_by(name)) chosen_.push_back({*kind, value, name == to_string(*kind)});
    }

    const std::vector<plugin_listing>& plugins() {
        if (!listed_) listed_ = facts_.plugins(plugin_dirs_);
        return *listed_;
    }

    std::optional<plugin_option> plugin_row(std::string_view name) {
        const auto dot = name.find('.');
        if (dot == name.npos) return std::nullopt;
        for (const auto& listing : plugins())
            if (listing.loaded && listing.name == name.substr(0, dot))
                for (const auto& row : listing.loaded->options())
                    if (row.name == name.substr(dot + 1)) return row;
        return std::nullopt;
    }

    // Takes a candidate that begins as the typed word does.
    void offer(completion& found, std::string word, std::string_view help) const {
        if (!word.starts_with(typed_)) return;
        const auto has_it = [&](const completion::candidate& other) { return other.word == word; };
        if (std::any_of(found.candidates.begin(), found.candidates.end(), has_it)) return;
        found.candidates.push_back({std::move(word), printable(help)});
    }

    completion command_names(bool with_own) const {
        completion found;
        for (const auto* const one : commands_) offer(found, one->name, one->summary);
        if (with_own) offer(found, "help", "Shows what a command takes.");
        if (with_own) offer(found, "version", "Says which version this is.");
        return found;
    }

    completion options() {
        completion found;
        const auto offer_all = [&](std::span<const command_option> all) {
            for (const auto& option : all) offer(found, "--" + option.row.name, option.row.help);
        };
        if (command_ != nullptr) offer_all(command_->options);
        offer_all(common_options());
        if (command_ == nullptr) offer(found, "--version", "Says which version this is.");
        if (command_ == nullptr || command_->kinds.empty()) return found;
        for (const auto& listing : plugins()) {
            const auto is_used = std::find(command_->kinds.begin(), command_->kinds.end(), listing.kind);
            if (!listing.loaded || is_used == command_->kinds.end() || !may_be_chosen(listing)) continue;
            for (const auto& row : listing.loaded->options())
                offer(found, "--" + listing.name + "." + row.name, row.help);
        }
        return found;
    }

    // Who has chosen a plugin for everything wants the options of that one, and of those chosen for a part.
    bool may_be_chosen(const plugin_listing& listing) const {
        bool is_free = true;
        for (const auto& choice : chosen_) {
            if (choice.kind != listing.kind) continue;
            if (choice.name == listing.name) return true;
            if (choice.is_for_all) is_free = false;
        }
        return is_free;
    }

    // `typed` is the part of the typed word that is the value, behind `before`: "z" behind "--compress=".
    completion value_of(const occurrence& option, std::string_view typed, const std::string& before) {
        completion found;
        const auto offer_value = [&](const std::string& value, std::string_view help) {
            if (value.starts_with(typed) && !value.empty()) offer(found, before + value, help);
        };
        const auto kind = kind_named_by(option.name);
        std::optional<plugin_option> row;
        if (option.general != nullptr)
            row = option.general->row;
        else
            row = plugin_row(option.name);
        if (!row) return found;
        if (row->type == option_type::choice) {
            for (const auto& choice : row->choices) offer_value(choice, "");
        } else if (row->type == option_type::boolean) {
            for (const auto* const word : {"true", "false"}) offer_value(word, "");
        } else if (option.general == nullptr) {
            if (row->type == option_type::path) found.what = word_kind::files;
        } else if (kind) {
            for (const auto& listing : plugins())
                if (listing.kind == *kind) offer_value(listing.name, summary_of(listing));
        } else if (option.name == "to") {
            for (const auto& address : facts_.receivers(home_)) offer_value(address, "a receiver that was met");
            for (const auto& listing : plugins())
                if (listing.kind == plugin_kind::transport) offer_value(listing.name + "://", summary_of(listing));
        } else {
            found.what = place_of(option.general->placeholder).value_or(word_kind::words);
        }
        return found;
    }

    static std::string summary_of(const plugin_listing& listing) {
        return listing.loaded ? listing.loaded->summary() : "refused";
    }

    // What the help calls a file or a folder.
    static std::optional<word_kind> place_of(std::string_view placeholder) {
        if (placeholder.ends_with("FILE") || placeholder == "PATH") return word_kind::files;
        if (placeholder == "DIR" || placeholder == "FOLDER") return word_kind::folders;
        return std::nullopt;
    }

    // An argument proper, by what the command's usage calls it: "[FILE | FOLDER | -]... --to ADDRESS".
    completion argument() {
        completion found;
        if (command_->name == "plugins") {
            for (const auto& listing : plugins()) offer(found, listing.name, summary_of(listing));
            return found;
        }
        const std::string_view usage = command_->arguments;
        std::string word;
        bool is_value = false;
        const auto take = [&] {
            if (word.starts_with("--")) {
                is_value = true;
            } else if (!word.empty() && !std::exchange(is_value, false)) {
                if (const auto place = place_of(word); place && found.what != word_kind::files) found.what = *place;
                const auto is_lower = [](char c) { return (c >= 'a' && c <= 'z') || c == '-'; };
                // Words to choose from come first in a usage: "transport|cipher|sink NAME".
                if (arguments_ == 0 && word.size() > 1 && std::all_of(word.begin(), word.end(), is_lower))
                    offer(found, word, "");
            }
            word.clear();
        };
        for (const char c : usage) {
            if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-')
                word += c;
            else
                take();
        }
        take();
        if (found.what != word_kind::words) found.candidates.clear();
        return found;
    }

    const std::span<const command_syntax* const> commands_;
    const std::span<const std::string> words_;
    const completion_facts& facts_;
    std::string typed_;
    const command_syntax* command_ = nullptr;
    std::size_t arguments_ = 0;
    std::vector<std::string> plugin_dirs_;
    std::optional<std::string> home_;
    struct choice {
        plugin_kind kind;
        std::string name;
        bool is_for_all;  // --sink, not --files-sink
    };
    std::vector<choice> chosen_;
    std::optional<std::vector<plugin_listing>> listed_;
};

}  // namespace

completion complete(std::span<const command_syntax* const> commands, std::span<const std::string> words,
                    const completion_facts& facts) {
    return completer(commands, words, facts).run();
}

std::string to_lines(const completion& completed) {
    std::string text = completed.what == word_kind::files     ? "files"
                       : completed.what == word_kind::folders ? "folders"
                                                              : "words";
    for (const auto& [word, help] : completed.candidates) text += "\n" + word + "\t" + help;
    return text;
}

}  // namespace wherry::app
