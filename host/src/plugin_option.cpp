// SPDX-License-Identifier: BSD-2-Clause
#include "wherry/plugin_option.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <span>
#include <utility>

#include "wherry/error.hpp"

namespace wherry {

namespace {

[[noreturn]] void reject(std::string_view given, const std::string& expected) {
    throw error(errc::bad_input, fmt::format("'{}' is not {}", given, expected));
}

std::string range_of(const plugin_option& option, const std::string& unit) {
    if (option.minimum == 0 && option.maximum == 0) return "";
    return fmt::format(" from {} to {}{}", option.minimum, option.maximum, unit);
}

// A decimal number at the front of `given`, which is taken off it; nothing if there is none or it is too large.
std::optional<std::int64_t> take_number(std::string_view& given) {
    std::int64_t number = 0;
    const auto [end, problem] = std::from_chars(given.data(), given.data() + given.size(), number);
    if (problem != std::errc()) return std::nullopt;
    given.remove_prefix(static_cast<std::size_t>(end - given.data()));
    return number;
}

struct unit {
    std::string_view name;
    std::int64_t factor;
};

// A number with an optional unit, as a multiple of the smallest unit.
std::optional<std::int64_t> scaled(std::string_view given, std::span<const unit> units) {
    const auto number = take_number(given);
    if (!number || *number < 0) return std::nullopt;
    const auto found = std::find_if(units.begin(), units.end(), [&](const unit& u) { return u.name == given; });
    if (found == units.end() || *number > std::numeric_limits<std::int64_t>::max() / found->factor) return std::nullopt;
    return *number * found->factor;
}

constexpr unit durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};
constexpr unit sizes[] = {{"", 1},
                          {"B", 1},
                          {"kB", 1000},
                          {"KB", 1000},
                          {"MB", 1'000'000},
                          {"GB", 1'000'000'000},
                          {"TB", 1'000'000'000'000},
                          {"K", 1 << 10},
                          {"M", 1 << 20},
                          {"G", 1 << 30},
                          {"KiB", 1 << 10},
                          {"MiB", 1 << 20},
                          {"GiB", 1 << 30},
                          {"TiB", std::int64_t{1} << 40}};

std::string in_range(const plugin_option& option, std::string_view given, std::optional<std::int64_t> number,
                     const std::string& expected, const std::string& unit_name) {
    const bool is_limited = option.minimum != 0 || option.maximum != 0;
    if (!number || (is_limited && (*number < option.minimum || *number > option.maximum)))
        reject(given, expected + range_of(option, unit_name));
    return std::to_string(*number);
}

}  // namespace

bool is_plugin_name(std::string_view name) noexcept {
    const auto is_allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
    return !name.empty() && name.size() <= 32 && name.front() != '-' &&
           std::all_of(name.begin(), name.end(), is_allowed);
}

std::string_view to_string(plugin_kind kind) noexcept {
    switch (kind) {
        case plugin_kind::transport: return "transport";
        case plugin_kind::cipher: return "cipher";
        case plugin_kind::sink: return "sink";
    }
    return "unknown";
}

std::string_view to_string(option_type type) noexcept {
    switch (type) {
        case option_type::string: return "string";
        case option_type::integer: return "integer";
        case option_type::boolean: return "boolean";
        case option_type::duration: return "duration";
        case option_type::size: return "size";
        case option_type::path: return "path";
        case option_type::choice: return "choice";
    }
    return "unknown";
}

std::string canonical_value(const plugin_option& option, std::string_view given) {
    switch (option.type) {
        case option_type::string: return std::string(given);
        case option_type::path:
            if (given.empty()) reject(given, "a path");
            return std::string(given);
        case option_type::integer: {
            auto rest = given;
            auto number = take_number(rest);
            if (!rest.empty()) number.reset();
            return in_range(option, given, number, "a whole number", "");
        }
        case option_type::boolean:
            for (const std::string_view yes : {"true", "yes", "on", "1"})
                if (given == yes) return "true";
            for (const std::string_view no : {"false", "no", "off", "0"})
                if (given == no) return "false";
            reject(given, "a yes or no; give true or false");
        case option_type::duration:
            // A bare 0 needs no unit; any other number without one would be a guess.
            return in_range(option, given, given == "0" ? std::optional<std::int64_t>(0) : scaled(given, durations),
                            "a duration such as 500ms, 30s, 2m or 1h", " ms");
        case option_type::size:
            return in_range(option, given, scaled(given, sizes), "a size such as 4096, 64KiB or 1MB", " bytes");
        case option_type::choice: {
            if (std::find(option.choices.begin(), option.choices.end(), given) != option.choices.end())
                return std::string(given);
            std::string expected = "one of";
            for (const auto& choice : option.choices) expected += (expected.size() == 6 ? " " : ", ") + choice;
            reject(given, expected);
        }
    }
    throw error(errc::internal, "an option of unknown type");
}

}  // namespace wherry
