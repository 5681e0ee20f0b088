#include "wherry/keys/known_hosts.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "files.hpp"
#include "key_lines.hpp"
#include "wherry/error.hpp"

namespace wherry::keys {

namespace {

constexpr file_rules rules{"list of known receivers", 4 * 1024 * 1024, file_access::closed_writing};

struct host_line {
    std::string address;
    public_key_line key;
};

bool may_stand_in_an_address(char c) noexcept {
    const auto code = static_cast<unsigned char>(c);
    return code > 0x20 && code != 0x7f;
}

void check_address(std::string_view address) {
    if (address.empty() || address.size() > max_address_bytes || address.front() == '#' ||
        !std::all_of(address.begin(), address.end(), may_stand_in_an_address))
        throw error(errc::bad_input, "the address is empty, too long, or has a character that no address has");
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
        if (entry.address != address) continue;
        if (entry.key == key) return known_hosts::verdict::known;
        verdict = known_hosts::verdict::changed;
    }
    return verdict;
}

}  // namespace

known_hosts::listing known_hosts::parse(std::string_view text) {
    known_hosts::listing found;
    each_line(text, [&](std::size_t number, std::string_view line) {
        const auto inner = trimmed(line);
        if (is_remark(inner)) return;
        try {
            auto [address, key] = parse_host_line(inner);
            found.entries.push_back({number, std::move(address), std::move(key.key), std::move(key.comment)});
        } catch (const error& e) {
            found.skipped.push_back({number, e.what()});
            auto rest = inner;
            found.damaged.emplace_back(take_word(rest));
        }
    });
    return found;
}

known_hosts::listing known_hosts::read() const {
    const auto content = read_file(path_, rules);
    return content ? parse({content->data(), content->size()}) : listing{};
}

std::vector<public_key> known_hosts::find(std::string_view address) const {
    std::vector<public_key> found;
    for (auto& entry : read().entries)
        if (entry.address == address) found.push_back(std::move(entry.key));
    return found;
}

known_hosts::verdict known_hosts::check(std::string_view address, const public_key& key) const {
    const auto all = read();
    const auto found = judge(all, address, key);
    if (found == known_hosts::verdict::unknown &&
        std::find(all.damaged.begin(), all.damaged.end(), address) != all.damaged.end())
        throw error(errc::auth_failed, "the line about " + std::string(address) + " in " + path_.string() +
                                           " cannot be read, so its key cannot be compared; mend it, or forget it "
                                           "with: wherry keys --remove '" +
                                           std::string(address) + "'");
    return found;
}

change known_hosts::remember(std::string_view address, const public_key& key, std::string_view comment) const {
    check_address(address);
    const auto line = std::string(address) + ' ' + key.line(comment);
    auto result = change::not_needed;
    edit_file(path_, rules, [&](std::string_view text) -> std::optional<std::string> {
        const auto now = judge(parse(text), address, key);
        if (now == verdict::known) return std::nullopt;
        if (now == verdict::changed)
            throw error(errc::auth_failed, "another key is known for " + std::string(address) + " in " +
                                               path_.string() + "; if the change is meant, remove that line first");
        result = change::made;
        return with_line(text, line);
    });
    return result;
}

std::size_t known_hosts::remove(std::string_view address_or_fingerprint) const {
    std::size_t removed = 0;
    const auto drop = [&](std::string_view line) {
        const auto inner = trimmed(line);
        if (is_remark(inner)) return false;
        try {
            const auto [address, key] = parse_host_line(inner);
            if (address != address_or_fingerprint && key.key.fingerprint() != address_or_fingerprint) return false;
        } catch (const error&) {
            auto rest = inner;
            if (take_word(rest) != address_or_fingerprint) return false;
        }
        ++removed;
        return true;
    };
    edit_file(path_, rules, [&](std::string_view text) -> std::optional<std::string> {
        auto kept = without_lines(text, drop);
        if (removed == 0) return std::nullopt;
        return kept;
    });
    return removed;
}

}  // namespace wherry::keys
