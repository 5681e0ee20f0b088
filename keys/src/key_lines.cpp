// SPDX-License-Identifier: BSD-2-Clause
#include "key_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "encoding.hpp"
#include "files.hpp"
#include "wherry/error.hpp"
#include "wherry/file_format.hpp"

namespace wherry::keys {

namespace {

constexpr file_rules public_key_rules{"public key", 64 * 1024, file_access::any};
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// Whether the word is, or may be, the type of a key in OpenSSH, of any kind.
bool is_key_type(std::string_view word) noexcept {
    constexpr std::size_t most_type_bytes = 64;
    const auto is_part = [](char c) { return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != '='; };
    return word.size() <= most_type_bytes && std::all_of(word.begin(), word.end(), is_part) &&
           (word.starts_with("ssh-") || word.starts_with("ecdsa-sha2-") || word.starts_with("sk-") ||
            word.starts_with("rsa-sha2-"));
}

// What is behind the options that OpenSSH takes before a key: one word, in which quotes keep blanks.
std::string_view behind_options(std::string_view line) noexcept {
    bool is_quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == '"')
            ++i;
        else if (line[i] == '"')
            is_quoted = !is_quoted;
        else if (i > 0 && !is_quoted && (line[i] == ' ' || line[i] == '\t'))
            return trimmed(line.substr(i));
    }
    return {};
}

// Throws for a line of which the first word is none of our types.
[[noreturn]] void fail_type(std::string_view line) {
    auto rest = line;
    const auto word = take_word(rest);
    if (is_key_type(word))
        throw error(errc::bad_input,
                    fmt::format("keys of the type {} are not supported; use ssh-ed25519 or ssh-rsa", word));
    if (line.starts_with(byte_order_mark))
        throw error(errc::bad_input,
                    "it begins with a byte order mark, which may only be at the beginning of a file; delete it");
    auto behind = behind_options(line);
    if (is_key_type(take_word(behind)))
        throw error(errc::bad_input,
                    "it has options before the key, which would be ignored here; delete them if the key may be used "
                    "without their limits");
    throw error(errc::bad_input, "it is no line with a public key, which begins with ssh-ed25519 or ssh-rsa");
}

}  // namespace

bool is_control(char c) noexcept {
    const auto code = static_cast<unsigned char>(c);
    return code < 0x20 || code == 0x7f;
}

void check_comment(std::string_view comment) {
    if (comment.size() > max_comment_bytes)
        throw error(errc::bad_input, fmt::format("the comment is longer than {} bytes; shorten it", max_comment_bytes));
    if (std::any_of(comment.begin(), comment.end(), is_control))
        throw error(errc::bad_input, "the comment holds a control character; leave it out");
    if (trimmed(comment) != comment) throw error(errc::bad_input, "the comment begins or ends with a blank");
}

std::string_view take_word(std::string_view& rest) noexcept {
    constexpr std::string_view blanks = " \t";
    const auto word = rest.substr(0, rest.find_first_of(blanks));
    rest.remove_prefix(word.size());
    rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
    return word;
}

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

bool is_remark(std::string_view trimmed_line) noexcept { return trimmed_line.empty() || trimmed_line.front() == '#'; }

error no_text(errc code, std::string_view text, std::size_t place) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(place), '\n');
    const auto value = static_cast<unsigned char>(text[place]);
    return error(code, fmt::format("line {} holds the control character 0x{:02x}, so this is no text file; save it as "
                                   "plain UTF-8 text",
                                   line, value));
}

void each_line(std::string_view text, const std::function<void(std::size_t, std::string_view)>& visit) {
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = std::min(text.find('\n'), text.size());
        visit(number, text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

void require_known_format(std::string_view text) {
    each_line(text, [&](std::size_t number, std::string_view line) {
        auto inner = trimmed(line);
        if (inner.empty() || !is_remark(inner)) return;
        inner.remove_prefix(1);
        if (const auto other = unknown_format(trimmed(inner)))
            throw error(errc::unsupported,
                        fmt::format("line {} says that a newer wherry wrote this, in format {}; use the newer wherry, "
                                    "or put back a copy of this file from before the upgrade",
                                    number, *other));
    });
}

std::string with_line(std::string_view text, std::string_view line) {
    std::string content(text);
    if (content.empty()) content = fmt::format("# {}\n", format_line);
    if (!content.empty() && content.back() != '\n') content += '\n';
    return content.append(line).append(1, '\n');
}

std::string without_lines(std::string_view text, const std::function<bool(std::string_view)>& drop) {
    std::string content;
    each_line(text, [&](std::size_t, std::string_view line) {
        if (!drop(line)) content.append(line).append(1, '\n');
    });
    return content;
}

public_key_line parse_public_key_line(std::string_view line) {
    auto rest = line;
    const auto algorithm = take_word(rest);
    const auto encoded = take_word(rest);
    if (algorithm != ed25519_name && algorithm != rsa_name) fail_type(line);
    if (encoded.size() > (max_key_blob_bytes + 2) / 3 * 4) throw error(errc::bad_input, "the public key is too long");
    auto key = public_key::from_blob(from_base64(encoded));
    if (algorithm != key.algorithm()) throw error(errc::bad_input, "the line's type does not fit its key");
    std::string comment(rest);
    std::replace(comment.begin(), comment.end(), '\t', ' ');  // OpenSSH takes it, but no label may have one
    check_comment(comment);
    return {std::move(key), std::move(comment)};
}

public_key_line parse_public_key_text(std::string_view text) {
    if (text.find("PRIVATE KEY-----") != text.npos)
        throw error(errc::bad_input, "this is a private key, which is never given away; use its public half (.pub)");
    if (text.find("BEGIN PUBLIC KEY-----") != text.npos || text.find("BEGIN SSH2 PUBLIC KEY ----") != text.npos)
        throw error(
            errc::bad_input,
            "this public key is not in OpenSSH's format; convert it with ssh-keygen -i -f FILE, and -m PKCS8 if "
            "it is PEM");
    std::string_view found;
    each_line(text, [&](std::size_t, std::string_view line) {
        const auto inner = trimmed(line);
        if (is_remark(inner)) return;
        if (!found.empty()) throw error(errc::bad_input, "there is more than one key; give each by itself");
        found = inner;
    });
    if (found.empty()) throw error(errc::bad_input, "there is no public key in it");
    return parse_public_key_line(found);
}

public_key_line read_public_key_file(const std::filesystem::path& path) {
    const auto content = read_file(path, public_key_rules);
    if (!content) throw error(errc::bad_input, fmt::format("{} does not exist", path.string()), ENOENT);
    try {
        return parse_public_key_text({content->data(), content->size()});
    } catch (const error& e) {
        throw e.within(path.string());
    }
}

void write_public_key_file(const std::filesystem::path& path, const public_key& key, std::string_view comment) {
    write_file(path, key.line(comment) + '\n', public_key_rules, if_exists::replace);
}

}  // namespace wherry::keys
