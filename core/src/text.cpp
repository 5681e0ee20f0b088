// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/text.hpp"

#include <array>
#include <cstdio>

namespace wherry {

namespace {

// Characters that move the cursor, reorder the line or hide: a name must not be able to show itself as another.
bool is_deceptive(char32_t c) noexcept {
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0xAD || (c >= 0x200B && c <= 0x200F) ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0x61C || c == 0xFEFF ||
           (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
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
