// SPDX-License-Identifier: BSD-2-Clause
#include "device_list.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <tuple>

#include "progress.hpp"
#include "wherry/text.hpp"
#include "wherry/trust.hpp"

namespace wherry::app {

namespace {

// Longer ones are cut before anything is made of them: they come from strangers.
constexpr std::size_t longest_name = 248;  // Bluetooth Core, Generic Access Profile, section 3.2.2

std::string yes_or_no(const std::optional<bool>& known) { return !known ? "?" : *known ? "yes" : "no"; }

std::string padded(std::string text, std::size_t width) {
    const auto used = display_width(text);
    if (used < width) text.append(width - used, ' ');
    return text;
}

}  // namespace

bool device_list::update(const discovered_peer& peer) {
    listed_device news{std::string(peer.address), std::string(peer.name.substr(0, longest_name)), peer.signal_dbm,
                       peer.is_paired, peer.has_receiver};
    const auto known = std::find_if(devices_.begin(), devices_.end(),
                                    [&](const listed_device& one) { return one.address == peer.address; });
    if (known == devices_.end()) {
        devices_.push_back(std::move(news));
        return true;
    }
    if (*known == news) return false;
    *known = std::move(news);
    return true;
}

std::vector<listed_device> device_list::devices() const {
    auto sorted = devices_;
    const auto rank = [](const listed_device& one) {
        return std::tuple(-one.signal_dbm.value_or(std::numeric_limits<int>::min() + 1), one.address);
    };
    std::sort(sorted.begin(), sorted.end(),
              [&](const listed_device& a, const listed_device& b) { return rank(a) < rank(b); });
    return sorted;
}

std::string device_list::table(std::size_t columns, std::size_t rows) const {
    if (devices_.empty() || rows < 2) return {};
    const auto all = devices();
    std::size_t address_width = 7;
    for (const auto& one : all) address_width = std::max(address_width, display_width(printable(one.address)));
    const auto line = [&](const std::string& signal, const std::string& address, const std::string& paired,
                          const std::string& receiver, const std::string& name) {
        auto text = fmt::format("{}  {}  {}  {}  {}", padded(signal, 8), padded(address, address_width),
                                padded(paired, 6), padded(receiver, 8), name);
        text.erase(text.find_last_not_of(' ') + 1);
        return text;
    };
    auto text = line("SIGNAL", "ADDRESS", "PAIRED", "RECEIVER", "NAME");
    const bool all_fit = all.size() < rows;
    const auto shown = all_fit ? all.size() : rows - 2;
    for (std::size_t i = 0; i < shown; ++i) {
        const auto& one = all[i];
        const auto signal = one.signal_dbm ? fmt::format("{} dBm", *one.signal_dbm) : "-";
        text += "\n" + line(signal, printable(one.address), yes_or_no(one.is_paired), yes_or_no(one.has_receiver),
                            printable(one.name));
    }
    if (!all_fit) text += fmt::format("\nand {} more", all.size() - shown);
    return fitted(text, columns);
}

std::string fitted(std::string_view text, std::size_t columns) {
    const std::size_t room = columns > 1 ? columns - 1 : 0;
    std::string all;
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        auto line = text.substr(0, end);
        // The last column stays free: a terminal may wrap when it is filled.
        if (display_width(line) > room) {
            const std::string_view dots = room > 6 ? "..." : "";
            while (!line.empty() && display_width(line) + dots.size() > room) {
                line.remove_suffix(1);
                while (!line.empty() && !is_utf8(line)) line.remove_suffix(1);
            }
            all += line;
            all += dots;
        } else {
            all += line;
        }
        text.remove_prefix(end);
        if (!text.empty()) {
            all += '\n';
            text.remove_prefix(1);
        }
    }
    return all;
}

std::string shell_word(std::string_view text) {
    const auto is_plain = [](unsigned char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               std::string_view("%+,-./:=@_").find(static_cast<char>(c)) != std::string_view::npos;
    };
    if (!text.empty() && std::all_of(text.begin(), text.end(), is_plain)) return std::string(text);
    return shell_quoted(printable(text));
}

}  // namespace wherry::app
