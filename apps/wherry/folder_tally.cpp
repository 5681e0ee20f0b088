// SPDX-License-Identifier: BSD-2-Clause
#include "folder_tally.hpp"

#include <fmt/format.h>

#include <utility>

#include "wherry/bytes.hpp"
#include "wherry/text.hpp"

namespace wherry::app {

namespace {

// As sink filesystem answers.
constexpr std::string_view stored_as = "stored as ";

// A peer that makes up folders without end costs no more than that.
constexpr std::size_t most_folders = 1000;

}  // namespace

bool folder_tally::add(const offer& what, const delivery_result& result) {
    const auto slash = what.name.find('/');
    if (slash == what.name.npos || !result.ok()) return false;
    const auto response = as_text(result.response);
    const bool has_other_name = response.starts_with(stored_as) && response.substr(stored_as.size()) != what.name;
    if (what.kind == item_kind::folder) return !has_other_name;
    const auto folder = what.name.substr(0, slash);
    if (sums_.size() >= most_folders && !sums_.contains(folder)) return false;
    auto& counted = sums_[folder];
    ++counted.files;
    counted.bytes += what.size.value_or(result.bytes);
    if (result.outcome == already_there) ++counted.already_there;
    if (!response.empty() && !response.starts_with(stored_as)) ++counted.answers;
    return !has_other_name;
}

std::string folder_tally::take(std::string_view folder) {
    const auto found = sums_.find(folder);
    if (found == sums_.end()) return {};
    const auto text = fmt::format(" ({})", describe(found->second));
    sums_.erase(found);
    return text;
}

std::vector<std::string> folder_tally::take_rest() {
    std::vector<std::string> lines;
    for (const auto& [name, counted] : std::exchange(sums_, {}))
        lines.push_back(fmt::format("{}, of the folder {}", describe(counted), printable(name)));
    return lines;
}

std::string folder_tally::describe(const sum& counted) {
    auto text =
        fmt::format("{} {}, {}", counted.files, counted.files == 1 ? "file" : "files", human_bytes(counted.bytes));
    if (counted.already_there > 0) text += fmt::format(", {} already there", counted.already_there);
    if (counted.answers > 0) text += fmt::format(", {} with answers that --verbose shows", counted.answers);
    return text;
}

}  // namespace wherry::app
