// SPDX-License-Identifier: BSD-2-Clause
#include "command_line.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "wherry/error.hpp"
#include "wherry/quoted_text.hpp"
#include "wherry/text.hpp"

namespace wherry::exec {

namespace {

bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool can_be_run(const std::filesystem::path& file) {
    struct stat found {};
    return ::stat(file.c_str(), &found) == 0 && S_ISREG(found.st_mode) && ::access(file.c_str(), X_OK) == 0;
}

}  // namespace

std::vector<std::string> split_words(std::string_view line) {
    std::vector<std::string> words;
    bool is_inside = false;  // a word, which may be empty in quotes
    for (std::size_t index = 0; index < line.size(); ++index) {
        const char c = line[index];
        if (is_blank(c)) {
            is_inside = false;
            continue;
        }
        if (!is_inside) words.emplace_back();
        is_inside = true;
        if (c == '\\' && index + 1 < line.size()) {
            words.back() += line[++index];
        } else if (c == '\'' || c == '"') {
            const auto inside = read_quoted(line.substr(index));
            if (!inside.is_closed)
                throw error(
                    errc::bad_input,
                    fmt::format("a quote {0} is not closed; close it, or write \\{0} for the character itself", c));
            words.back() += inside.inner;
            index += inside.length - 1;
        } else {
            words.back() += c;
        }
    }
    return words;
}

std::string find_program(const std::string& word, std::string_view search_path) {
    namespace fs = std::filesystem;
    if (word.find('/') != word.npos) {
        const auto file = fs::absolute(word);
        if (!can_be_run(file))
            throw error(errc::bad_input,
                        fmt::format("'{}' is no file that can be run; check the path, and chmod +x", printable(word)));
        return file.native();
    }
    for (auto rest = search_path; !word.empty() && !rest.empty();) {
        const fs::path folder(rest.substr(0, rest.find(':')));
        if (folder.is_absolute() && can_be_run(folder / word)) return (folder / word).native();
        const auto end = rest.find(':');
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    }
    throw error(errc::bad_input, fmt::format("there is no program '{}' in PATH; give its full path", printable(word)));
}

std::string with_file(std::string word, std::string_view file) {
    for (std::size_t place = 0; (place = word.find("{}", place)) != word.npos; place += file.size())
        word.replace(place, 2, file);
    return word;
}

}  // namespace wherry::exec
