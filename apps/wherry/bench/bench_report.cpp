// SPDX-License-Identifier: BSD-2-Clause
#include "bench/bench_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "application.hpp"
#include "wherry/text.hpp"

namespace wherry::app::bench {

namespace {

double as_seconds(nanoseconds time) noexcept { return std::chrono::duration<double>(time).count(); }

double a_second(std::uint64_t count, double seconds) noexcept {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

template <class... Values>
std::string formatted(const char* format, Values... values) {
    std::array<char, 256> text;
    std::snprintf(text.data(), text.size(), format, values...);
    return text.data();
}

std::string padded(std::string text, std::size_t width) {
    if (text.size() < width) text.insert(0, width - text.size(), ' ');
    return text;
}

std::string plain_number(double value) { return formatted(value < 100 ? "%.1f" : "%.0f", value); }

std::string microseconds(const json& value) { return formatted("%.0f us", value.get<double>()); }

std::string percent(double share) { return formatted("%.1f %%", 100 * share); }

// One row of the table of shares: "-" where a side has no such stage.
std::string share_of(const json& side, const std::string& stage) {
    if (side.is_null()) return "?";
    const auto& stages = side.at("stages");
    const auto found = stages.find(stage);
    if (found == stages.end()) return "-";
    return percent(found->at("share").get<double>());
}

std::string shares_table(const json& sender, const json& receiver) {
    constexpr std::size_t first = 14, column = 16;
    std::string text;
    const auto row = [&](std::string name, std::string left, std::string right) {
        name.resize(first, ' ');
        text += "  " + name + padded(std::move(left), column) + padded(std::move(right), column) + "\n";
    };
    row("share of time", "sending side", "receiving side");
    for (const auto* const stage : {"source", "cipher", "transport", "sink", "answers", "core"})
        row(stage, share_of(sender, stage), share_of(receiver, stage));
    const auto waiting = [](const json& side) {
        return side.is_null() ? std::string("?") : percent(side.at("waiting_share").get<double>());
    };
    row("waiting", waiting(sender), waiting(receiver));
    const auto processors = [](const json& side) {
        return side.is_null() ? std::string("?") : formatted("%.2f", side.at("cpu").at("processors").get<double>());
    };
    row("processors", processors(sender), processors(receiver));
    return text;
}

std::string items_of(const json& fields) {
    const auto items = fields.at("items").get<std::uint64_t>();
    const std::string name = fields.at("workload") == "files" ? "file" : "message";
    return std::to_string(items) + " " + name + (items == 1 ? "" : "s");
}

}  // namespace

std::string rate_text(double bytes_per_second) {
    const auto rate = bytes_per_second / (1 << 20);
    return formatted(rate < 1 ? "%.3f MiB/s" : rate < 100 ? "%.1f MiB/s" : "%.0f MiB/s", rate);
}

void bench_result::add(connection_outcome one) {
    const bool is_first = senders == 0;
    ++senders;
    sum.bytes += one.bytes;
    sum.bytes_on_link += one.bytes_on_link;
    sum.items += one.items;
    sum.failed += one.failed;
    sum.streams = is_first ? one.streams : std::min(sum.streams, one.streams);
    if (sum.why_fewer_streams.empty()) sum.why_fewer_streams = one.why_fewer_streams;
    if (!sum.first_failure) sum.first_failure = std::move(one.first_failure);
    sum.elapsed = std::max(sum.elapsed, one.elapsed);
    sum.sender.add(one.sender);
    if (is_first)
        sum.receiver = one.receiver;
    else if (!one.receiver)
        sum.receiver.reset();
    else if (sum.receiver)
        sum.receiver->add(*one.receiver);
    auto& samples = sum.singles.samples;
    samples.insert(samples.end(), one.singles.samples.begin(), one.singles.samples.end());
    if (!sum.broken) sum.broken = std::move(one.broken);
}

double bench_result::seconds() const noexcept { return as_seconds(sum.elapsed); }
double bench_result::bytes_per_second() const noexcept { return a_second(sum.bytes, seconds()); }
double bench_result::items_per_second() const noexcept { return a_second(sum.items, seconds()); }

bottleneck bench_result::limit() const { return find_bottleneck(sum.sender, sum.receiver ? &*sum.receiver : nullptr); }

json result_fields(const bench_result& result) {
    json fields;
    fields["role"] = "sender";
    fields["workload"] = to_string(result.kind);
    fields["destination"] = as_utf8(result.destination);
    fields["transport"] = result.transport;
    fields["cipher"] = result.cipher;
    fields["senders"] = result.senders;
    fields["streams"] = result.sum.streams;
    if (!result.sum.why_fewer_streams.empty()) fields["why_fewer_streams"] = as_utf8(result.sum.why_fewer_streams);
    fields["interrupted"] = result.is_interrupted;
    fields["seconds"] = result.seconds();
    fields["bytes"] = result.sum.bytes;
    fields["bytes_on_link"] = result.sum.bytes_on_link;
    fields["bytes_per_second"] = result.bytes_per_second();
    fields["items"] = result.sum.items;
    fields["failed"] = result.sum.failed;
    fields["items_per_second"] = result.items_per_second();
    if (!result.sum.singles.samples.empty()) {
        auto sorted = result.sum.singles;
        std::sort(sorted.samples.begin(), sorted.samples.end());
        const auto us = [](nanoseconds time) { return as_seconds(time) * 1e6; };
        fields["latency"] = {{"samples", sorted.samples.size()},     {"p50_us", us(sorted.percentile(50))},
                             {"p99_us", us(sorted.percentile(99))},  {"mean_us", us(sorted.mean())},
                             {"min_us", us(sorted.samples.front())}, {"max_us", us(sorted.samples.back())}};
    }
    fields["sender"] = to_json(result.sum.sender, bench_side::sender);
    fields["receiver"] = result.sum.receiver ? to_json(*result.sum.receiver, bench_side::receiver) : json(nullptr);
    const auto limit = result.limit();
    static constexpr const char* places[] = {"sender", "receiver", "link", "unknown"};
    const bool is_side = limit.where == bottleneck::place::sender || limit.where == bottleneck::place::receiver;
    fields["limited_by"] = {
        {"side", places[static_cast<std::size_t>(limit.where)]},
        {"stage", !is_side ? json(nullptr) : json(limit.which ? to_string(*limit.which) : std::string_view("core"))},
        {"text", limit.sentence()}};
    return fields;
}

json interval_fields(const interval& passed) {
    const auto length = as_seconds(passed.end - passed.begin);
    json fields;
    fields["begin"] = as_seconds(passed.begin);
    fields["end"] = as_seconds(passed.end);
    fields["bytes"] = passed.bytes;
    fields["bytes_per_second"] = a_second(passed.bytes, length);
    fields["items"] = passed.items;
    fields["items_per_second"] = a_second(passed.items, length);
    return fields;
}

std::string interval_line(const interval& passed, workload kind) {
    const auto length = as_seconds(passed.end - passed.begin);
    auto line = formatted("%6.1f-%.1f s", as_seconds(passed.begin), as_seconds(passed.end));
    line += "  " + padded(human_bytes(passed.bytes), 10) + "  " + padded(rate_text(a_second(passed.bytes, length)), 12);
    if (kind != workload::stream)
        line +=
            "  " + padded(plain_number(a_second(passed.items, length)), 8) + " " + std::string(to_string(kind)) + "/s";
    return line;
}

std::string result_text(const json& fields) {
    const auto senders = fields.at("senders").get<std::size_t>();
    const auto bytes = fields.at("bytes").get<std::uint64_t>();
    const bool is_stream = fields.at("workload") == "stream";
    const auto seconds = formatted("%.2f s", fields.at("seconds").get<double>());
    auto text = fmt::format("{}, {}", fields.at("transport").get<std::string>(),
                            printable(fields.at("cipher").get<std::string>()));
    if (senders > 1) text += fmt::format(", {} senders", senders);
    if (const auto streams = fields.at("streams").get<std::size_t>(); streams > 1)
        text += senders > 1 ? fmt::format(", {} streams each", streams) : fmt::format(", {} streams", streams);
    const auto rate = rate_text(fields.at("bytes_per_second").get<double>());
    text += is_stream ? fmt::format(": {} in {}, {}\n", human_bytes(bytes), seconds, rate)
                      : fmt::format(": {}, {} in {}, {} {}/s, {}\n", items_of(fields), human_bytes(bytes), seconds,
                                    plain_number(fields.at("items_per_second").get<double>()),
                                    fields.at("workload").get<std::string>(), rate);
    if (const auto failed = fields.at("failed").get<std::uint64_t>(); failed > 0)
        text += fmt::format("not delivered: {}\n", failed);
    if (const auto why = fields.find("why_fewer_streams"); why != fields.end())
        text += fmt::format("fewer streams than wanted: {}\n", printable(why->get<std::string>()));
    if (const auto latency = fields.find("latency"); latency != fields.end())
        text += fmt::format("one at a time: {} messages, p50 {}, p99 {}\n", latency->at("samples").get<std::uint64_t>(),
                            microseconds(latency->at("p50_us")), microseconds(latency->at("p99_us")));
    text += shares_table(fields.at("sender"), fields.at("receiver"));
    if (fields.at("receiver").is_null())
        text += "the receiver is no bench, so its side is not known: start it with wherry bench --serve\n";
    return text + fmt::format("limited by: {}", fields.at("limited_by").at("text").get<std::string>());
}

json report_fields(const received_report& report) {
    const auto length = as_seconds(report.times.elapsed);
    json fields;
    fields["role"] = "receiver";
    fields["address"] = as_utf8(report.address);
    if (!report.peer.fingerprint.empty()) put_identity(fields, report.peer);
    fields["seconds"] = length;
    fields["bytes"] = report.bytes;
    fields["bytes_per_second"] = a_second(report.bytes, length);
    fields["items"] = report.items;
    fields["items_per_second"] = a_second(report.items, length);
    fields["receiver"] = to_json(report.times, bench_side::receiver);
    return fields;
}

std::string report_text(const received_report& report) {
    const auto length = as_seconds(report.times.elapsed);
    const auto sender = report.peer.fingerprint.empty() ? printable(report.address)
                                                        : fmt::format("{}, {}", printable(report.address),
                                                                      describe_peer(report.peer, report.address));
    const auto items = report.items == 1 ? "1 item" : fmt::format("{} items", report.items);
    auto text = fmt::format("received from {}: {}, {} in {}, {}\n    ", sender, items, human_bytes(report.bytes),
                            formatted("%.2f s", length), rate_text(a_second(report.bytes, length)));
    for (const auto which : {stage::transport, stage::cipher, stage::sink})
        text += fmt::format("{} {}, ", to_string(which), percent(report.times.share(which)));
    return text + fmt::format("core {}; waiting {}; processors {}", percent(report.times.core_share()),
                              percent(report.times.waiting_share()), formatted("%.2f", report.times.processors()));
}

}  // namespace wherry::app::bench
