// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/keys/authorized_keys.hpp"

#include <algorithm>
#include <functional>

#include "files.hpp"
#include "key_lines.hpp"
#include "wherry/error.hpp"

namespace wherry::keys {

namespace {

constexpr file_rules authorized_keys_rules{"list of authorised keys", 1024 * 1024, file_access::closed_writing};

const authorized_keys::entry* find_in(const authorized_keys::listing& listing, const public_key& key) {
    const auto found =
        std::find_if(listing.entries.begin(), listing.entries.end(), [&](const auto& e) { return e.key == key; });
    return found == listing.entries.end() ? nullptr : &*found;
}

authorized_keys::listing parse_authorized_keys(const std::filesystem::path& path, std::string_view text) {
    try {
        return authorized_keys::parse(text);
    } catch (const error& e) {
        throw e.within(path.string());
    }
}

// Lines that do not parse are never removed: nobody knows whose they are.
std::size_t remove_if(const std::filesystem::path& path, const std::function<bool(const public_key_line&)>& matches) {
    std::size_t removed = 0;
    const auto drop = [&](std::string_view line) {
        try {
            if (is_remark(trimmed(line)) || !matches(parse_public_key_line(trimmed(line)))) return false;
        } catch (const error&) {
            return false;
        }
        ++removed;
        return true;
    };
    edit_file(path, authorized_keys_rules, [&](std::string_view text) -> std::optional<std::string> {
        parse_authorized_keys(path, text);  // throws if it is not a text file
        auto kept = without_lines(text, drop);
        if (removed == 0) return std::nullopt;
        return kept;
    });
    return removed;
}

}  // namespace

authorized_keys::listing authorized_keys::parse(std::string_view text) {
    // Another control character only makes its line invalid, which lets nobody in. A NUL shows another encoding.
    if (const auto place = text.find('\0'); place != text.npos) throw no_text(errc::bad_input, text, place);
    require_known_format(text);
    authorized_keys::listing found;
    each_line(text, [&](std::size_t number, std::string_view line) {
        const auto inner = trimmed(line);
        if (is_remark(inner)) return;
        try {
            auto [key, comment] = parse_public_key_line(inner);
            found.entries.push_back({number, std::move(key), std::move(comment)});
        } catch (const error& e) {
            found.skipped.push_back({number, e.what()});
        }
    });
    return found;
}

authorized_keys::listing authorized_keys::read() const {
    const auto content = read_file(path_, authorized_keys_rules);
    return content ? parse_authorized_keys(path_, {content->data(), content->size()}) : listing{};
}

std::optional<std::string> authorized_keys::find(const public_key& key) const {
    const auto all = read();
    const auto* entry = find_in(all, key);
    return entry ? std::optional(entry->comment) : std::nullopt;
}

change authorized_keys::add(const public_key& key, std::string_view comment) const {
    const auto line = key.line(comment);
    auto result = change::not_needed;
    edit_file(path_, authorized_keys_rules, [&](std::string_view text) -> std::optional<std::string> {
        if (find_in(parse_authorized_keys(path_, text), key)) return std::nullopt;
        result = change::made;
        return with_line(text, line);
    });
    return result;
}

std::size_t authorized_keys::remove(const public_key& key) const {
    return remove_if(path_, [&](const public_key_line& line) { return line.key == key; });
}

std::size_t authorized_keys::remove(std::string_view fingerprint_or_comment) const {
    if (fingerprint_or_comment.empty()) return 0;
    return remove_if(path_, [&](const public_key_line& line) {
        return line.comment == fingerprint_or_comment || line.key.fingerprint() == fingerprint_or_comment;
    });
}

}  // namespace wherry::keys
