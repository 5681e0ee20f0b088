// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/suggestions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <numeric>
#include <utility>
#include <vector>

namespace wherry {

namespace {

struct packaged_plugin {
    std::string_view file, package, component;
};

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
    // Three rows of the usual table; the oldest is for swapped neighbours.
    std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
    std::iota(above.begin(), above.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, above);
        std::swap(above, row);
    }
    return above[b.size()];
}

std::string nearest(std::string_view word, std::span<const std::string> known) {
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, std::min<std::size_t>(3, word.size() / 3)) + 1;
    for (const auto& candidate : known) {
        const auto distance = edit_distance(word, candidate);
        if (distance < best_distance) best_distance = distance, best = candidate;
    }
    if (!best.empty() || word.size() < 3) return best;
    // Not a slip, but perhaps an abbreviation, or the plugin left out.
    for (const auto& candidate : known)
        if (candidate.starts_with(word) || candidate.ends_with("." + std::string(word))) return candidate;
    return best;
}

std::string no_such_option(std::string_view kind, std::string_view plugin, std::string_view option,
                           std::span<const std::string> known) {
    const auto meant = nearest(option, known);
    return fmt::format(
        "the {} {} has no option '{}'; {}", kind, plugin, option,
        meant.empty() ? fmt::format("see: wherry plugins {}", plugin) : fmt::format("did you mean '{}'?", meant));
}

std::string how_to_install(std::string_view kind, std::string_view plugin) {
    for (const auto& [file, package, component] :
         std::initializer_list<packaged_plugin>{WHERRY_PLUGINS_OF_OTHER_PACKAGES})
        if (file == fmt::format("{}-{}", kind, plugin))
            return fmt::format("install the package {}, or the component '{}' into the same prefix", package,
                               component);
    return "";
}

}  // namespace wherry
