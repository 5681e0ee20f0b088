// SPDX-License-Identifier: BSD-2-Clause
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wherry/transport.hpp"

namespace wherry::app {

// A discovered_peer that is kept.
struct listed_device {
    std::string address, name;  // untrusted bytes
    std::optional<int> signal_dbm;
    std::optional<bool> is_paired, has_receiver;

    bool operator==(const listed_device&) const = default;
};

inline constexpr std::size_t widest_table = 1000;

// What discover() has told, as a table for people.
class device_list {
public:
    // False if that was known.
    bool update(const discovered_peer& peer);

    // The strongest signal first, those without one last.
    std::vector<listed_device> devices() const;

    // A line of headings and one for each device, as far as `rows` go; the last one says how many are left out, if any
    // are. No line is wider than `columns` - 1, and nothing in it moves a terminal's cursor. "" if there is none.
    std::string table(std::size_t columns, std::size_t rows) const;

private:
    std::vector<listed_device> devices_;
};

// `text` with each line cut to less than `columns`.
std::string fitted(std::string_view text, std::size_t columns);

// `text` for a POSIX shell, in quotes only where it needs them.
std::string shell_word(std::string_view text);

}  // namespace wherry::app
