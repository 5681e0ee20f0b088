// SPDX-License-Identifier: BSD-2-Clause
#include "config_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

#include "wherry/error.hpp"
#include "wherry/quoted_text.hpp"
#include "wherry/text.hpp"
#include "wherry/unique_fd.hpp"

namespace wherry::app {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view blanks = " \t\r";
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
constexpr std::size_t most_bytes = 1024 * 1024;

[[noreturn]] void fail(std::size_t number, std::string_view why) {
    throw error(errc::bad_input,
                fmt::format("line {} {}; lines are 'name = value', '[plugin]' or '# comment'", number, why));
}

std::string_view trimmed(std::string_view text) noexcept {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

bool is_comment_or_blank(std::string_view trimmed_text) noexcept {
    return trimmed_text.empty() || trimmed_text.front() == '#';
}

// Without a comment, which follows a blank.
std::string_view without_comment(std::string_view text) noexcept {
    for (auto place = text.find('#', 1); place != text.npos; place = text.find('#', place + 1))
        if (blanks.find(text[place - 1]) != blanks.npos) return text.substr(0, place);
    return text;
}

bool ends_within_quotes(std::string_view text) {
    for (auto place = text.find_first_of("'\""); place != text.npos; place = text.find_first_of("'\"")) {
        const auto read = read_quoted(text.substr(place));
        if (!read.is_closed) return true;
        text.remove_prefix(place + read.length);
    }
    return false;
}

std::string parse_value(std::string_view text, std::size_t number) {
    auto rest = trimmed(text);
    if (!rest.starts_with('"') && !rest.starts_with('\'')) {
        const auto kept = without_comment(text);
        // What its writer took for a part of the value.
        if (kept.size() < text.size() && ends_within_quotes(kept))
            fail(number, "has a '#' between quotes, so put quotes around the whole value");
        return std::string(trimmed(kept));
    }
    auto value = read_quoted(rest);
    if (!value.is_closed) fail(number, "has a quote that is not closed");
    rest.remove_prefix(value.length);
    if (!trimmed(without_comment(rest)).empty())
        fail(number, "has text behind the closing quote, so put quotes around the whole value");
    return std::move(value.inner);
}

[[noreturn]] void refuse(const std::string& text) { throw error(errc::bad_input, text); }

// Linux numbers its devices so. What is written to this one is never read, so all may write to it.
bool is_null_device(const struct stat& status) noexcept {
    return S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
}

// Throws unless this user alone, or root, decides what is in it: whoever writes it chooses what code is loaded.
void check_access(const struct stat& status, const std::string& shown) {
    if (is_null_device(status)) return;
    if (!S_ISREG(status.st_mode) && !S_ISFIFO(status.st_mode))
        refuse(fmt::format("the configuration file '{}' is neither a regular file nor a pipe", shown));
    if (status.st_uid != 0 && status.st_uid != ::geteuid())
        refuse(fmt::format("the configuration file '{}' belongs to another user, so it is not used; make it your own",
                           shown));
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        refuse(
            fmt::format("the configuration file '{0}' can be written by other users, so it is not used; run: chmod "
                        "go-w '{0}'",
                        shown));
}

std::string read_text(const fs::path& file, const std::string& shown) {
    const auto fail_reading = [&](int code) {
        refuse(fmt::format("the configuration file '{}' cannot be read: {}", shown,
                           std::generic_category().message(code)));
    };
    const unique_fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    struct stat status {};
    if (!fd.is_open() || ::fstat(fd.get(), &status) != 0) fail_reading(errno);
    check_access(status, shown);
    std::string text;
    std::array<char, 4096> part;
    for (;;) {
        const auto count = uninterrupted([&] { return ::read(fd.get(), part.data(), part.size()); });
        if (count < 0) fail_reading(errno);
        if (count == 0) return text;
        text.append(part.data(), static_cast<std::size_t>(count));
        if (text.size() > most_bytes)
            refuse(
                fmt::format("the configuration file '{}' is larger than {} bytes: it is not one", shown, most_bytes));
    }
}

}  // namespace

std::vector<config_line> parse_config(std::string_view text) {
    std::vector<config_line> lines;
    std::string prefix;
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (is_comment_or_blank(line)) continue;
        if (line.find('\0') != line.npos) fail(number, "holds a NUL, so this is no text; save it as plain UTF-8 text");
        if (line.front() == '[') {
            const auto heading = trimmed(without_comment(line));
            const auto plugin = trimmed(heading.substr(1, heading.size() - 2));
            if (!heading.ends_with(']') || plugin.empty()) fail(number, "does not name a plugin between '[' and ']'");
            prefix = fmt::format("{}.", plugin);
            continue;
        }
        const auto equals = line.find('=');
        const auto name = trimmed(line.substr(0, std::min(equals, line.size())));
        if (equals == line.npos || name.empty()) fail(number, "is not understood");
        lines.push_back({number, prefix + std::string(name), parse_value(line.substr(equals + 1), number)});
    }
    return lines;
}

std::vector<config_line> read_config_file(const fs::path& file) {
    const auto shown = printable(file.native());
    const auto text = read_text(file, shown);
    try {
        return parse_config(text);
    } catch (const error& e) {
        throw e.within(fmt::format("the configuration file '{}'", shown));
    }
}

}  // namespace wherry::app
