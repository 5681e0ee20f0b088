// SPDX-License-Identifier: BSD-2-Clause
#include "chat_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "wherry/error.hpp"
#include "wherry/quoted_text.hpp"
#include "wherry/suggestions.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

constexpr std::array<std::string_view, 3> commands = {"/file", "/help", "/quit"};

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

struct word {
    std::string text;         // without its quotes
    bool is_at_home = false;  // begins with a "~/" that is not quoted
};

// Words taken out of their quotes, and what the end of the text is in.
struct words_read {
    std::vector<word> words;
    char open_quote = 0;          // ' or " that nothing closes
    bool ends_in_escape = false;  // a backslash that nothing follows
    bool ends_in_word = false;    // else between words
};

words_read read_words(std::string_view text) {
    words_read read;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (is_blank(c)) {
            read.ends_in_word = false;
            continue;
        }
        if (!read.ends_in_word) {
            read.words.emplace_back();
            read.words.back().is_at_home = text.substr(i).starts_with("~/");
            read.ends_in_word = true;
        }
        auto& current = read.words.back().text;
        if (c == '\\') {
            if (i + 1 == text.size())
                read.ends_in_escape = true;
            else
                current += text[++i];
        } else if (c == '\'' || c == '"') {
            const auto inside = read_quoted(text.substr(i));
            current += inside.inner;
            i += inside.length - 1;
            if (!inside.is_closed) read.open_quote = c;
            read.ends_in_escape = inside.ends_in_escape;
        } else {
            current += c;
        }
    }
    return read;
}

std::string path_of(const word& given) {
    if (!given.is_at_home) return given.text;
    const char* const home = std::getenv("HOME");
    return home != nullptr && *home != '\0' ? home + given.text.substr(1) : given.text;
}

// `text`, so that read_words takes it as it is behind what has this quote open.
std::string escaped(std::string_view text, char open_quote) {
    std::string written;
    for (const char c : text) {
        if (open_quote == '\'') {
            written += c == '\'' ? std::string("'\\''") : std::string(1, c);
            continue;
        }
        const bool is_special =
            open_quote == '"' ? c == '"' || c == '\\' : is_blank(c) || c == '\'' || c == '"' || c == '\\';
        if (is_special) written += '\\';
        written += c;
    }
    return written;
}

std::size_t common_length(std::string_view a, std::string_view b) {
    auto length = static_cast<std::size_t>(
        std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size())), b.begin())
            .first -
        a.begin());
    // Never half a character.
    while (length > 0 && length < a.size() && (static_cast<unsigned char>(a[length]) & 0xC0) == 0x80) --length;
    return length;
}

line_completion agree(std::vector<std::string> found, std::size_t typed, char open_quote) {
    line_completion completion;
    if (found.empty()) return completion;
    std::sort(found.begin(), found.end());
    auto agreed = found.front();
    for (const auto& one : found) agreed.resize(common_length(agreed, one));
    completion.insert = escaped(std::string_view(agreed).substr(std::min(typed, agreed.size())), open_quote);
    if (found.size() > 1)
        completion.candidates = std::move(found);
    else if (!agreed.ends_with('/'))
        completion.insert += open_quote != 0 ? std::string{open_quote, ' '} : std::string(" ");
    return completion;
}

line_completion complete_path(std::string_view arguments) {
    const auto read = read_words(arguments);
    if (read.ends_in_escape) return {};
    const auto path = read.ends_in_word ? path_of(read.words.back()) : std::string();
    const auto slash = path.rfind('/');
    const auto folder = slash == path.npos ? std::string() : path.substr(0, slash + 1);
    const auto begun = path.substr(folder.size());
    std::vector<std::string> found;
    std::error_code failure;
    for (std::filesystem::directory_iterator entry(folder.empty() ? "." : folder, failure), end;
         !failure && entry != end; entry.increment(failure)) {
        auto name = entry->path().filename().native();
        if (!name.starts_with(begun) || (begun.empty() && name.starts_with('.'))) continue;
        // Nobody can type that, and no terminal should get it.
        if (printable(name) != name) continue;
        std::error_code unknown;
        if (entry->is_directory(unknown)) name += '/';
        found.push_back(std::move(name));
    }
    return agree(std::move(found), begun.size(), read.open_quote);
}

}  // namespace

chat_line read_chat_line(std::string_view line) {
    chat_line read;
    if (!line.starts_with('/') || line.starts_with("//")) {
        read.text = line.starts_with('/') ? line.substr(1) : line;
        return read;
    }
    const auto end = static_cast<std::size_t>(std::find_if(line.begin(), line.end(), is_blank) - line.begin());
    const auto name = line.substr(0, end);
    if (std::find(commands.begin(), commands.end(), name) == commands.end()) {
        const auto meant = nearest(name, std::vector<std::string>(commands.begin(), commands.end()));
        throw error(
            errc::bad_input,
            fmt::format("there is no command {}; {}; a message that begins with a slash is written with two",
                        printable(name), meant.empty() ? "/help lists them" : fmt::format("did you mean {}", meant)));
    }
    const auto arguments = read_words(line.substr(end));
    if (arguments.open_quote != 0 || arguments.ends_in_escape)
        throw error(errc::bad_input,
                    arguments.ends_in_escape
                        ? std::string("the line ends with a backslash; write two for one, or leave it out")
                        : fmt::format("the quote {} is not closed; put a backslash before one that belongs to the name",
                                      arguments.open_quote));
    if (name == "/file") {
        read.asks_for = chat_line::kind::files;
        for (const auto& one : arguments.words) {
            if (one.text.empty()) throw error(errc::bad_input, "the name of a file to send is empty");
            read.paths.push_back(path_of(one));
        }
        if (read.paths.empty()) throw error(errc::bad_input, "which file is not said; write /file PATH");
        return read;
    }
    if (!arguments.words.empty()) throw error(errc::bad_input, fmt::format("{} takes nothing behind it", name));
    read.asks_for = name == "/help" ? chat_line::kind::help : chat_line::kind::quit;
    return read;
}

line_completion complete_chat_line(std::string_view before_cursor) {
    if (!before_cursor.starts_with('/') || before_cursor.starts_with("//")) return {};
    const auto blank = std::find_if(before_cursor.begin(), before_cursor.end(), is_blank);
    if (blank == before_cursor.end()) {
        std::vector<std::string> found;
        for (const auto one : commands)
            if (one.starts_with(before_cursor)) found.emplace_back(one);
        return agree(std::move(found), before_cursor.size(), 0);
    }
    const auto name = static_cast<std::size_t>(blank - before_cursor.begin());
    if (before_cursor.substr(0, name) != "/file") return {};
    return complete_path(before_cursor.substr(name));
}

}  // namespace wherry::app
