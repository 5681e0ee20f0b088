// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/keys/known_hosts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "files.hpp"
#include "key_lines.hpp"
#include "wherry/error.hpp"

namespace wherry::keys {

namespace {

constexpr file_rules known_hosts_rules{"list of known receivers", 4 * 1024 * 1024, file_access::closed_writing};

struct host_line {
    std::string address;
    public_key_line key;
};

constexpr std::string_view exchange_label = "key-exchange=";

// Returns what one word of a comment says; nothing for any other word.
std::optional<key_exchange> exchange_in(std::string_view word) noexcept {
    if (!word.starts_with(exchange_label)) return std::nullopt;
    word.remove_prefix(exchange_label.size());
    for (const auto kind : {key_exchange::classical, key_exchange::post_quantum})
        if (word == to_string(kind)) return kind;
    return std::nullopt;
}

bool may_stand_in_an_address(char c) noexcept {
    const auto code = static_cast<unsigned char>(c);
    return code > 0x20 && code != 0x7f;
}

bool is_graphic(char c) noexcept { return c > 0x20 && c < 0x7f; }

// Canonical addresses are in lower case; people may write them otherwise.
std::string lower_case(std::string_view text) {
    std::string lower(text);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return lower;
}

bool is_same_address(std::string_view one, std::string_view other) {
    return one.size() == other.size() && lower_case(one) == lower_case(other);
}

// Whether they differ only in characters that a person hardly sees, such as a no-break space in pasted text.
bool looks_like(std::string_view written, std::string_view address) {
    auto seen = lower_case(written);
    std::erase_if(seen, [](char c) { return !is_graphic(c); });
    return seen == lower_case(address) && !is_same_address(written, address);
}

// Whether a line that cannot be parsed may be about this address.
bool is_about(std::string_view unread, std::string_view address) {
    const auto begin = std::find_if(unread.begin(), unread.end(), is_graphic);
    unread.remove_prefix(static_cast<std::size_t>(begin - unread.begin()));
    return is_same_address(unread.substr(0, address.size()), address) &&
           (unread.size() == address.size() || !is_graphic(unread[address.size()]));
}

void check_address(std::string_view address) {
    if (address.empty() || address.size() > max_address_bytes || address.front() == '#' ||
        !std::all_of(address.begin(), address.end(), may_stand_in_an_address))
        throw error(errc::bad_input, "the address is empty, too long, or has a character that no address has");
    const auto mark = address.find("://");
    if (mark == 0 || mark == address.npos || address.find("://", mark + 1) != address.npos)
        throw error(errc::bad_input, "it does not begin with one address, such as tcp://host:9417");
}

// Throws for control characters: an editor may take them for line ends and show other lines than we parse.
void require_text(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool ends_a_line = c == '\n' || (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n');
        if (is_control(c) && c != '\t' && !ends_a_line) throw no_text(errc::auth_failed, text, i);
    }
}

host_line parse_host_line(std::string_view line) {
    auto rest = line;
    const auto address = take_word(rest);
    check_address(address);
    return {std::string(address), parse_public_key_line(rest)};
}

known_hosts::verdict judge(const known_hosts::listing& all, std::string_view address, const public_key& key) {
    auto verdict = known_hosts::verdict::unknown;
    for (const auto& entry : all.entries) {
        if (!is_same_address(entry.address, address)) continue;
        if (entry.key == key) return known_hosts::verdict::known;
        verdict = known_hosts::verdict::changed;
    }
    return verdict;
}

// Returns the comment, which others may have written, without words that only note_exchange() and the user write.
std::string without_exchange(std::string_view comment) {
    std::string kept;
    for (auto rest = comment; !rest.empty();) {
        const auto word_and_rest = rest;
        if (!take_word(rest).starts_with(exchange_label))
            kept += word_and_rest.substr(0, word_and_rest.size() - rest.size());
    }
    return std::string(trimmed(kept));
}

// Returns the line, which can be parsed, with the word for this key exchange in its comment, instead of an older one.
// Throws error(errc::bad_input) if the comment has no room for it.
std::string with_exchange(std::string_view line, std::size_t number, key_exchange used) {
    auto comment = line;
    take_word(comment);  // the address
    take_word(comment);  // the type
    take_word(comment);  // the key
    const auto before = line.substr(0, line.size() - comment.size());
    auto changed = fmt::format("{}{}", exchange_label, to_string(used));
    auto rest = comment;
    bool is_replaced = false;
    while (!rest.empty() && !is_replaced) {
        const auto begin = comment.size() - rest.size();
        const auto word = take_word(rest);
        if (!exchange_in(word)) continue;
        changed = fmt::format("{}{}{}", comment.substr(0, begin), changed, comment.substr(begin + word.size()));
        is_replaced = true;
    }
    if (!is_replaced && !comment.empty()) changed = fmt::format("{} {}", comment, changed);
    if (changed.size() > max_comment_bytes)
        throw error(errc::bad_input, fmt::format("the comment of line {} has no room for {}{}; shorten it", number,
                                                 exchange_label, to_string(used)));
    return fmt::format("{}{}{}", before, comment.empty() ? " " : "", changed);
}

// Throws if a line may be about this address, before the receiver counts as never met.
void require_no_doubt(const known_hosts::listing& all, std::string_view address, const std::filesystem::path& path) {
    const auto fail = [&](std::size_t line, const std::string& how) {
        throw error(errc::auth_failed,
                    fmt::format("line {} of {} is about {} and {}", line, path.string(), address, how));
    };
    for (std::size_t i = 0; i < all.unread.size(); ++i)
        if (is_about(all.unread[i], address))
            fail(all.skipped[i].number,
                 fmt::format("cannot be read, so its key cannot be compared; mend it, or forget it with: wherry keys "
                             "--remove '{}'",
                             address));
    for (const auto& entry : all.entries)
        if (looks_like(entry.address, address))
            fail(entry.line, "has a character in the address that does not belong there; mend or delete the line");
}

known_hosts::listing parse_known_hosts(const std::filesystem::path& path, std::string_view text) {
    try {
        return known_hosts::parse(text);
    } catch (const error& e) {
        throw e.within(path.string());
    }
}

}  // namespace

known_hosts::listing known_hosts::parse(std::string_view text) {
    require_text(text);
    require_known_format(text);
    known_hosts::listing found;
    each_line(text, [&](std::size_t number, std::string_view line) {
        const auto inner = trimmed(line);
        if (is_remark(inner)) return;
        try {
            auto [address, key] = parse_host_line(inner);
            found.entries.push_back({number, std::move(address), std::move(key.key), std::move(key.comment)});
        } catch (const error& e) {
            found.skipped.push_back({number, e.what()});
            found.unread.emplace_back(inner);
        }
    });
    return found;
}

known_hosts::listing known_hosts::read() const {
    const auto content = read_file(path_, known_hosts_rules);
    return content ? parse_known_hosts(path_, {content->data(), content->size()}) : listing{};
}

std::vector<public_key> known_hosts::find(std::string_view address) const {
    std::vector<public_key> found;
    for (auto& entry : read().entries)
        if (is_same_address(entry.address, address)) found.push_back(std::move(entry.key));
    return found;
}

known_hosts::verdict known_hosts::check(const listing& all, std::string_view address, const public_key& key) const {
    const auto found = judge(all, address, key);
    if (found == verdict::unknown) require_no_doubt(all, address, path_);
    return found;
}

change known_hosts::remember(std::string_view address, const public_key& key, std::string_view comment) const {
    check_address(address);
    check_comment(comment);
    const auto line = std::string(address) + ' ' + key.line(without_exchange(comment));
    auto result = change::not_needed;
    edit_file(path_, known_hosts_rules, [&](std::string_view text) -> std::optional<std::string> {
        const auto all = parse_known_hosts(path_, text);
        const auto now = judge(all, address, key);
        if (now == verdict::known) return std::nullopt;
        if (now == verdict::changed)
            throw error(errc::auth_failed,
                        fmt::format("another key is known for {} in {}; if the change is meant, remove that line first",
                                    address, path_.string()));
        require_no_doubt(all, address, path_);
        result = change::made;
        return with_line(text, line);
    });
    return result;
}

std::optional<key_exchange> known_hosts::best_exchange(const listing& all, std::string_view address,
                                                       const public_key& key) {
    std::optional<key_exchange> best;
    for (const auto& entry : all.entries) {
        if (!is_same_address(entry.address, address) || !(entry.key == key)) continue;
        for (std::string_view rest = entry.comment; !rest.empty();) best = std::max(best, exchange_in(take_word(rest)));
    }
    return best;
}

change known_hosts::note_exchange(std::string_view address, const public_key& key, key_exchange used) const {
    auto result = change::not_needed;
    edit_file(path_, known_hosts_rules, [&](std::string_view text) -> std::optional<std::string> {
        const auto all = parse_known_hosts(path_, text);
        if (best_exchange(all, address, key) >= used) return std::nullopt;
        const auto entry = std::find_if(all.entries.begin(), all.entries.end(), [&](const auto& one) {
            return is_same_address(one.address, address) && one.key == key;
        });
        if (entry == all.entries.end()) return std::nullopt;
        std::string_view line;
        each_line(text, [&](std::size_t number, std::string_view one) {
            if (number == entry->line) line = trimmed(one);
        });
        const auto changed = [&] {
            try {
                return with_exchange(line, entry->line, used);
            } catch (const error& e) {
                throw e.within(path_.string());
            }
        }();
        result = change::made;
        const auto begin = static_cast<std::size_t>(line.data() - text.data());
        return fmt::format("{}{}{}", text.substr(0, begin), changed, text.substr(begin + line.size()));
    });
    return result;
}

std::size_t known_hosts::remove(std::string_view address_or_fingerprint) const {
    if (address_or_fingerprint.empty()) return 0;
    std::size_t removed = 0;
    const auto drop = [&](std::string_view line) {
        const auto inner = trimmed(line);
        if (is_remark(inner)) return false;
        try {
            const auto [address, key] = parse_host_line(inner);
            if (!is_same_address(address, address_or_fingerprint) && key.key.fingerprint() != address_or_fingerprint)
                return false;
        } catch (const error&) {
            if (!is_about(inner, address_or_fingerprint)) return false;
        }
        ++removed;
        return true;
    };
    edit_file(path_, known_hosts_rules, [&](std::string_view text) -> std::optional<std::string> {
        parse_known_hosts(path_, text);  // throws if it is not a text file
        auto kept = without_lines(text, drop);
        if (removed == 0) return std::nullopt;
        return kept;
    });
    return removed;
}

}  // namespace wherry::keys
