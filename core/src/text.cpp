// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>

namespace wherry {

namespace {

struct range {
    char32_t first, last;
};

// Characters that move the cursor, reorder the line or are not seen: a name must not be able to show itself as another.
// They are those of the categories Cc, Zl and Zp; of Cf, but for signs that stand in front of a number (grapheme class
// Prepend), which are seen; those with the property Default_Ignorable_Code_Point, unassigned ones too; and the Braille
// pattern without a dot. Of Unicode 15; text_test compares it with utf8proc.
constexpr std::array<range, 21> deceptive = {{
    {0x0000, 0x001F},   {0x007F, 0x009F},   {0x00AD, 0x00AD},   {0x034F, 0x034F}, {0x061C, 0x061C}, {0x115F, 0x1160},
    {0x17B4, 0x17B5},   {0x180B, 0x180F},   {0x200B, 0x200F},   {0x2028, 0x202E}, {0x2060, 0x206F}, {0x2800, 0x2800},
    {0x3164, 0x3164},   {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},   {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0x13430, 0x1343F},
    {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF},
}};

bool is_deceptive(char32_t c) noexcept {
    const auto* const after =
        std::upper_bound(deceptive.begin(), deceptive.end(), c, [](char32_t one, range r) { return one < r.first; });
    return after != deceptive.begin() && c <= std::prev(after)->last;
}

}  // namespace

character first_character(std::string_view text) noexcept {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    std::size_t length = 0;
    char32_t value = 0;
    char32_t smallest = 0;
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2, value = lead & 0x1F, smallest = 0x80;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3, value = lead & 0x0F, smallest = 0x800;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4, value = lead & 0x07, smallest = 0x10000;
    } else {
        return {0, 0};
    }
    if (text.size() < length) return {0, 0};
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xC0) != 0x80) return {0, 0};
        value = value << 6 | (byte(i) & 0x3F);
    }
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    if (value < smallest || surrogate || value > 0x10FFFF) return {0, 0};
    return {value, length};
}

std::string printable(std::string_view untrusted) {
    std::string shown;
    shown.reserve(untrusted.size());
    std::array<char, 16> escape{};
    while (!untrusted.empty()) {
        const auto [value, length] = first_character(untrusted);
        if (length == 0 || (length == 1 && is_deceptive(value))) {
            std::snprintf(escape.data(), escape.size(), "\\x%02X", static_cast<unsigned char>(untrusted[0]));
            shown += escape.data();
        } else if (is_deceptive(value)) {
            std::snprintf(escape.data(), escape.size(), "\\u{%X}", static_cast<unsigned>(value));
            shown += escape.data();
        } else {
            shown += untrusted.substr(0, length);
        }
        untrusted.remove_prefix(length == 0 ? 1 : length);
    }
    return shown;
}

std::string in_quotes(std::string_view untrusted) { return '\'' + printable(untrusted) + '\''; }

bool is_utf8(std::string_view bytes) noexcept {
    while (!bytes.empty()) {
        const auto length = first_character(bytes).length;
        if (length == 0) return false;
        bytes.remove_prefix(length);
    }
    return true;
}

std::string human_bytes(std::uint64_t bytes) {
    static constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) return std::to_string(bytes) + " B";
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 999.5 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.*f %s", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value, units[unit]);
    return text.data();
}

}  // namespace wherry
