// SPDX-License-Identifier: BSD-2-Clause
#include "bench/comparison.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "bench/bench_report.hpp"
#include "wherry/error.hpp"
#include "wherry/text.hpp"

namespace wherry::app::bench {

comparison read_comparison(std::string_view text) {
    comparison read;
    const auto equals = text.find('=');
    read.name = text.substr(0, equals);
    if (read.name.empty()) throw error(errc::bad_input, "it is to be NAME or NAME=VALUE,VALUE,...");
    if (equals == text.npos) return read;
    auto rest = text.substr(equals + 1);
    for (;;) {
        const auto comma = rest.find(',');
        read.values.emplace_back(rest.substr(0, comma));
        if (read.values.back().empty())
            throw error(errc::bad_input, fmt::format("a value of '{}' is empty", printable(text)));
        if (comma == rest.npos) return read;
        rest.remove_prefix(comma + 1);
    }
}

double median(std::vector<double> numbers) {
    std::sort(numbers.begin(), numbers.end());
    const auto half = numbers.size() / 2;
    return numbers.size() % 2 == 1 ? numbers[half] : (numbers[half - 1] + numbers[half]) / 2;
}

void compared_results::add(const std::string& value, const json& fields) {
    auto found = std::find_if(values_.begin(), values_.end(), [&](const auto& one) { return one.value == value; });
    if (found == values_.end()) found = values_.insert(values_.end(), {value, {}});
    found->rounds.push_back(fields);
}

json compared_results::rows() const {
    auto rows = json::array();
    for (const auto& [value, rounds] : values_) {
        const auto median_of = [&rounds = rounds](const json::json_pointer& which) {
            std::vector<double> numbers;
            for (const auto& one : rounds)
                if (one.contains(which)) numbers.push_back(one.at(which).get<double>());
            return numbers.empty() ? json(nullptr) : json(median(std::move(numbers)));
        };
        std::map<std::string, int> limits;
        for (const auto& one : rounds) ++limits[one.at("limited_by").at("text").get<std::string>()];
        const auto most = std::max_element(limits.begin(), limits.end(),
                                           [](const auto& a, const auto& b) { return a.second < b.second; });
        json row;
        row["value"] = value;
        row["rounds"] = rounds.size();
        row["bytes_per_second"] = median_of(json::json_pointer("/bytes_per_second"));
        const bool is_stream = rounds.front().at("workload") == "stream";
        if (!is_stream) row["items_per_second"] = median_of(json::json_pointer("/items_per_second"));
        if (const auto p50 = median_of(json::json_pointer("/latency/p50_us")); !p50.is_null()) row["p50_us"] = p50;
        const auto rate = row.at("bytes_per_second").get<double>();
        const auto first = rows.empty() ? rate : rows.front().at("bytes_per_second").get<double>();
        row["ratio"] = first > 0 ? rate / first : 0;
        row["limited_by"] = most->first;
        rows.push_back(std::move(row));
    }
    return rows;
}

std::string compared_results::table(const std::string& name) const {
    const auto number = [](const char* format, double value) {
        std::array<char, 64> text;
        std::snprintf(text.data(), text.size(), format, value);
        return std::string(text.data());
    };
    const auto all = rows();
    std::size_t width = name.size();
    for (const auto& row : all) width = std::max(width, row.at("value").get<std::string>().size());
    const auto padded = [](std::string text, std::size_t columns) {
        if (text.size() < columns) text.insert(0, columns - text.size(), ' ');
        return text;
    };
    const bool has_items = all.front().contains("items_per_second"), has_p50 = all.front().contains("p50_us");
    std::string text = name + std::string(width - name.size(), ' ') + "            rate  times";
    if (has_items) text += "     items/s";
    if (has_p50) text += "       p50";
    text += "  limited by";
    for (const auto& row : all) {
        auto value = row.at("value").get<std::string>();
        value.resize(width, ' ');
        text += "\n" + printable(value) + padded(rate_text(row.at("bytes_per_second").get<double>()), 16) +
                padded(number("%.2f", row.at("ratio").get<double>()), 7);
        if (has_items) text += padded(number("%.0f", row.at("items_per_second").get<double>()), 12);
        if (has_p50)
            text += padded(row.contains("p50_us") ? number("%.0f us", row.at("p50_us").get<double>()) : "", 10);
        text += "  " + row.at("limited_by").get<std::string>();
    }
    return text;
}

}  // namespace wherry::app::bench
