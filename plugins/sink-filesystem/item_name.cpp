// SPDX-License-Identifier: BSD-2-Clause
#include "item_name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "wherry/error.hpp"
#include "wherry/limits.hpp"
#include "wherry/text.hpp"

namespace wherry::filesystem {

namespace {

constexpr std::size_t max_component_bytes = 255;

// Compares as the least careful file system does: without case.
bool is_reserved(std::string_view component) noexcept {
    const auto begins = component.substr(0, partial_area_name.size());
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(begins.begin(), begins.end(), partial_area_name.begin(), partial_area_name.end(),
                      [&](char a, char b) { return lower(a) == b; });
}

}  // namespace

std::string partial_area_name_for(uid_t user, unsigned attempts) {
    if (attempts == 0) return std::string(partial_area_name);
    if (attempts == 1) return fmt::format("{}-{}", partial_area_name, user);
    return fmt::format("{}-{}-{}", partial_area_name, user, attempts);
}

bool is_surely_not_reserved(std::string_view component) noexcept {
    // What else there is may be folded to another letter, or be part of another way to write a name.
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
               c == '.' || c == ' ';
    };
    return std::all_of(component.begin(), component.end(), is_plain) && !is_reserved(component);
}

namespace {

// Where the part begins that tells the type: at the last dot, or at ".tar" before it.
std::size_t extension_at(std::string_view component) noexcept {
    const auto dot = component.rfind('.');
    if (dot == component.npos || dot == 0 || dot + 1 == component.size()) return component.size();
    const auto before = component.substr(0, dot);
    return before.size() > 4 && before.ends_with(".tar") ? dot - 4 : dot;
}

}  // namespace

std::vector<std::string> split_name(std::string_view untrusted) {
    const auto refuse = [&](const char* why) {
        // A name that is too long would only fill the screen.
        throw error(errc::refused,
                    fmt::format("the name {} {}", in_quotes(untrusted.substr(0, max_component_bytes)), why));
    };
    if (untrusted.empty()) throw error(errc::refused, "a name is missing");
    if (untrusted.size() > limits::max_item_name_bytes) refuse("is longer than 4096 bytes");
    if (untrusted.find('\0') != untrusted.npos) refuse("holds a zero byte");
    if (untrusted.front() == '/') refuse("is absolute; only names relative to the receiver's folder are taken");

    std::vector<std::string> components;
    for (auto rest = untrusted;;) {
        const auto slash = rest.find('/');
        const auto component = rest.substr(0, slash);
        if (component.empty()) refuse("has an empty component");
        if (component == "." || component == "..") refuse("has a component '.' or '..'");
        if (component.size() > max_component_bytes) refuse("has a component longer than 255 bytes");
        components.emplace_back(component);
        if (slash == rest.npos) break;
        rest.remove_prefix(slash + 1);
    }
    if (is_reserved(components.front())) refuse("is one of the receiver's own");
    return components;
}

std::span<const std::string> parents_of(const std::vector<std::string>& components) {
    return std::span(components).first(components.size() - 1);
}

std::string joined(const std::vector<std::string>& components) {
    std::string all;
    for (const auto& component : components) {
        if (!all.empty()) all += '/';
        all += component;
    }
    return all;
}

std::string numbered(std::string_view component, unsigned number) {
    const auto mark = " (" + std::to_string(number) + ")";
    auto split = extension_at(component);
    if (component.size() - split + mark.size() >= max_component_bytes) split = component.size();
    const auto extension = component.substr(split);
    auto stem = component.substr(0, split);
    const auto room = max_component_bytes - mark.size() - extension.size();
    if (stem.size() > room) {
        auto cut = room;
        // Not through the middle of a UTF-8 character, which some file systems refuse.
        while (cut > 1 && (static_cast<unsigned char>(stem[cut]) & 0xC0) == 0x80) --cut;
        stem = stem.substr(0, cut);
    }
    return std::string(stem) + mark + std::string(extension);
}

std::string message_name(std::time_t when) {
    std::tm utc{};
    ::gmtime_r(&when, &utc);
    std::array<char, 64> text{};
    std::strftime(text.data(), text.size(), "message-%Y%m%dT%H%M%SZ.txt", &utc);
    return text.data();
}

}  // namespace wherry::filesystem
